// Package bucketcost counts what our store gateway and Thanos' ask of a bucket for
// the same answers: requests, bytes, and how often they wait for one answer before
// they can ask for the next.
//
//	go test -tags slicelabels -v ./bucketcost
//
// It starts both over many small blocks as well, behind a latency of 20 ms:
//
//	go test -tags slicelabels -v -run Startup ./bucketcost -blocks 10000 -timeout 15m
package bucketcost
