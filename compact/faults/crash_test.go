package faults_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block/blocktest"
)

// A compactor is killed at each of its operations on bucket and directory, before
// and after it. Readers see every sample in that moment, and the next compactor
// brings the bucket to where one comes to that was not killed, whether it finds the
// directory or not.
func TestCrash(t *testing.T) {
	t.Parallel()
	c, o := newCycle(), history(t)
	r := newReader(c.replica...)
	// Nobody is killed: how many operations there are, and what comes of it.
	var (
		want map[point]bool
		end  string
		all  int
	)
	synctest.Test(t, func(t *testing.T) {
		begin()
		want = samplesOf(t, r, o)
		bkt := blocktest.NewBucket(o.bucket(t))
		_, err := c.run(t, bkt, t.TempDir(), 0)
		testutil.Ok(t, err)
		all = len(bkt.Requests())
		r.sees(t, bkt.Unwrap(), want, "after a cycle")
		c.settle(t, bkt.Unwrap(), t.TempDir(), "after a cycle")
		end = state(t, bkt.Unwrap(), c.replica...)
	})
	t.Logf("%d operations; in the end:\n%s", all, end)
	points := 0
	for _, when := range []blocktest.When{blocktest.Before, blocktest.After} {
		for lost, wipe := range wipes {
			// A prime that does not divide how operations repeat.
			stride := 1
			if *cuts != "all" {
				stride = 37
			}
			for n := 1 + len(lost)%3*17 + 7*int(when); n <= all; n += stride {
				points++
				synctest.Test(t, func(t *testing.T) {
					begin()
					what := fmt.Sprintf("cut %s operation %d, directory %s", when, n, lost)
					bkt, dir := blocktest.NewBucket(o.bucket(t)), t.TempDir()
					bkt.Cut(n, when)
					done, err := c.run(t, bkt, dir, 0)
					if !bkt.Dead() {
						testutil.Ok(t, err, what)
					}
					requests := bkt.Requests()
					what = fmt.Sprintf("%s: %s", what, requests[len(requests)-1])
					bkt.Revive()
					r.sees(t, bkt.Unwrap(), want, what)
					wipe(t, dir)
					_, err = c.run(t, bkt, dir, min(done, len(c.rests)))
					testutil.Ok(t, err, what)
					r.sees(t, bkt.Unwrap(), want, what+", then")
					c.settle(t, bkt.Unwrap(), dir, what)
					r.sees(t, bkt.Unwrap(), want, what+", in the end")
					testutil.Equals(t, end, state(t, bkt.Unwrap(), c.replica...), what)
				})
			}
		}
	}
	t.Logf("%d cut points of %d", points, 4*all)
}
