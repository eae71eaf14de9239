// Package deduptest has replicas of a series to try deduplication on: as text
// that a person can write and check, recorded, and random.
//
// A file of timelines looks like this:
//
//	# The first replica misses two scrapes.
//	timeline gap
//	replica 0s=1 15s=2 60s=5
//	replica 7s..67s/15s=1+1
//	want penalty : 0s=1 15s=2 52s=4 67s=5
//	want penalty counters seek=20s : 52s=4 1m7s=5
//
// and is checked with
//
//	timelines, err := deduptest.Parse(file)
//	for _, tl := range timelines {
//		for _, want := range tl.Wants {
//			err := want.Check(algorithm, tl.Replicas) // nil, or what differs where
//		}
//	}
//
// A sample is TIME=VALUE. A time is a Go duration or a number of milliseconds.
// START..END/STEP=VALUE+INCREMENT stands for the samples of a whole range, both
// ends included. A value is
//
//   - a float as strconv reads it, "stale" for a stale marker, or "bits:" and 16
//     hexadecimal digits for a float that has no other name;
//   - "h" and a number for a native histogram with integer counts that are
//     derived from it, "fh" for one with float counts, "ch" and "cfh" for those
//     with custom buckets, followed by "/reset", "/noreset" or "/gauge" for a
//     counter reset hint other than unknown.
//
// A line that begins with a blank continues the one before. A want line names
// the algorithm, then "counters" if the values are known to be counters, then
// steps to take ("next", "seek=TIME") before going on to the end, and after the
// colon the sample after each step; a step that ends the iterator has none and
// is the last.
//
// ParseDrawing reads the same drawn along a scale of time, as in docs/dedup.md,
// whose drawings a test of this package runs.
//
// The package does not know what an algorithm should return: that is in the
// files, in the tests of package dedup and in those that run the real Thanos.
package deduptest
