// Package dedupratio measures deduplication beside Thanos', in one process, after
// a check that what comes out is what should.
//
// TestRatioQuery has both read what a querier merges: chunks of 120 samples of
// replicas in, samples out. Thanos' side is what its querier does with the answer
// of its stores: split into tracks, iterated, merged by penalty. Ours is once the
// algorithms alone, over iterators that decode a chunk at a time, and once a whole
// select of package query, the way from a Store to series included.
//
// TestRatioLength has ours merge 48 hours and two, of replicas whose chunks begin
// and end anywhere, and Thanos' compaction merge as much of it as it gets done.
//
// Allocations, and how often a sample is read, are always checked. Times are
// compared in pairs if it is asked for:
//
//	go test -tags slicelabels -v -run Ratio ./dedupratio -ratio 21
package dedupratio
