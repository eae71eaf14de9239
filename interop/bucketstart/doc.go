// Package bucketstart opens our store gateway and Thanos' over many small blocks
// behind a latency, with nothing known of them and then again, and compares
// requests, time and memory. Thanos' opens all index headers at once, as it does
// by default, and then lazily.
//
//	go test -tags slicelabels -v ./bucketstart -blocks 10000 -timeout 30m
//
// Without a latency, disk and processor alone count; on a machine that does
// something else as well, the processor time says more than the time:
//
//	go test -tags slicelabels -v ./bucketstart -blocks 10000 -latency 0s -timeout 30m
package bucketstart
