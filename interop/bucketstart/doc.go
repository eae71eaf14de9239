// Package bucketstart opens our store gateway and Thanos' over many small blocks
// behind a latency, with nothing known of them and then again, and compares
// requests, time and memory.
//
//	go test -tags slicelabels -v ./bucketstart -blocks 10000 -timeout 15m
package bucketstart
