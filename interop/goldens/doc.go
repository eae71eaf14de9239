// Command goldens makes the blocks that block/blocktest gives as golden: a raw block
// of ten days that is written here with Prometheus' tsdb, the blocks of 5m and 1h
// that a real Thanos downsamples it to, and a raw block of the two hours after.
//
//	cd interop && go run -tags slicelabels ./goldens -thanos=/path/to/thanos -out=../block/blocktest/testdata/golden
//
// The samples are the same each time; ULIDs and times of upload are not. What is
// in the directory before is removed.
package main
