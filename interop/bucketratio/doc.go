// Package bucketratio measures our store gateway beside Thanos', in one process,
// over the same blocks and with the same index cache, each with the defaults of
// its own, after a check that both answer the same, chunk for chunk.
//
// What a call asks of a bucket behind a latency of 20 ms is counted, and is the
// same each time: requests, bytes, and trips, which are how many answers are
// waited for one after the other. Cold is with index headers and nothing else,
// warm the same call again.
//
//	go test -tags slicelabels -v -run Requests ./bucketratio
//
// Time and allocations are those of calls on blocks in a directory, without gRPC:
// each gateway hands what it would encode, Thanos' in batches of 64 series, to
// somebody who counts it. Allocations are always compared, times in pairs if it
// is asked for, and over more data then; that takes five minutes:
//
//	go test -tags slicelabels -v -run Ratio ./bucketratio -ratio 21 -timeout 20m
//
// The start over many blocks is in package bucketstart.
package bucketratio
