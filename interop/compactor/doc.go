// Package compactor tests the compactor beside the real thing: our program and
// Thanos' take turns on one bucket, in a directory and behind S3, and what is left
// when ours is killed.
//
//	go test ./compactor -kills=20 -run Kills -v
package compactor
