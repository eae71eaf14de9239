package faults_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// scenario is a cycle in which a compactor is killed.
type scenario struct {
	*cycle
	objects objects
	// bucket makes the bucket; nil is one in memory.
	bucket func(t testing.TB, o objects) objstore.Bucket
	whens  []blocktest.When
	// sees fails unless readers see all that they have to, at any moment.
	sees func(t testing.TB, bkt objstore.Bucket, when string)
	// stride says at which of the operations that change nothing in the bucket a
	// process is cut off that is not in a test of all.
	stride int
	// least is how many operations there are at least.
	least int
}

func inMemory(t testing.TB, o objects) objstore.Bucket { return o.bucket(t) }

// inFiles has objects that can be torn.
func inFiles(t testing.TB, o objects) objstore.Bucket {
	t.Helper()
	bkt, err := filesystem.NewBucket(t.TempDir())
	testutil.Ok(t, err)
	o.upload(t, bkt)
	return bkt
}

// A compactor is killed at each of its operations on bucket and directory, before
// and after it. Readers see every sample in that moment, and the next compactor
// brings the bucket to where one comes to that was not killed, whether it finds the
// directory or not.
func TestCrash(t *testing.T) {
	t.Parallel()
	o := history(t)
	c := newCycle()
	r := newReader(c.replica...)
	want := map[point]bool{}
	synctest.Test(t, func(t *testing.T) {
		begin()
		want = samplesOf(t, r, o)
	})
	(&scenario{
		cycle: c, objects: o, bucket: inMemory, whens: []blocktest.When{blocktest.Before, blocktest.After}, stride: 71, least: 150,
		sees: func(t testing.TB, bkt objstore.Bucket, when string) {
			t.Helper()
			r.sees(t, bkt, want, when)
		},
	}).crash(t)
}

// In the end of their time, blocks are downsampled first, however short they are:
// whenever the compactor is killed, there always is one resolution that has what
// was in them.
func TestCrashRetention(t *testing.T) {
	t.Parallel()
	o := fixture(
		t,
		spec{n: 1, labels: "a", from: 0, hours: 48, level: 4},
		spec{n: 2, labels: "a", from: 48, hours: 8, level: 3},
		spec{n: 3, labels: "dead", from: 0, hours: 6, level: 3},
		spec{n: 4, labels: "bad", from: 0, hours: 8, level: 3},
		spec{n: 5, labels: "5m", from: 0, hours: 48, level: 4},
	)
	flip(o, block.ObjectName(newID(4), "chunks/000001"), -20)
	c := newCycle()
	c.opts.Retention = compact.Retention{Raw: 7 * 24 * time.Hour, FiveMinutes: 14 * 24 * time.Hour}
	r := newReader(c.replica...)
	(&scenario{
		cycle: c, objects: o, bucket: inMemory, whens: []blocktest.When{blocktest.Before, blocktest.After}, stride: 71, least: 100,
		sees: func(t testing.TB, bkt objstore.Bucket, when string) {
			t.Helper()
			for _, n := range []int{1, 2, 3, 4, 5} {
				if !slices.ContainsFunc(r.visible(t, bkt), func(m *block.Meta) bool { return slices.Contains(m.Compaction.Sources, newID(n)) }) {
					t.Fatalf("%s: nothing is to be seen of block %s\n%s", when, newID(n), list(t, bkt))
				}
			}
		},
	}).crash(t)
}

// In a bucket that is a filesystem, a process that dies leaves half an object.
func TestCrashTorn(t *testing.T) {
	t.Parallel()
	o := groups(t, "a")
	c := newCycle()
	r := newReader(c.replica...)
	want := map[point]bool{}
	synctest.Test(t, func(t *testing.T) {
		begin()
		want = samplesOf(t, r, o)
	})
	(&scenario{
		cycle: c, objects: o, bucket: inFiles, whens: []blocktest.When{blocktest.Torn}, stride: 17, least: 60,
		sees: func(t testing.TB, bkt objstore.Bucket, when string) {
			t.Helper()
			r.sees(t, bkt, want, when)
		},
	}).crash(t)
}

// visible returns the blocks that readers see.
func (r *reader) visible(t testing.TB, bkt objstore.Bucket) []*block.Meta {
	t.Helper()
	var out []*block.Meta
	for _, m := range r.view(t, bkt).Metas {
		out = append(out, m)
	}
	return out
}

func (s *scenario) crash(t *testing.T) {
	t.Helper()
	// Nobody is killed: how many operations there are, and what comes of it.
	var (
		end      string
		requests []blocktest.Request
	)
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(s.bucket(t, s.objects))
		s.sees(t, bkt, "in the beginning")
		_, err := s.run(t, bkt, t.TempDir(), 0)
		testutil.Ok(t, err)
		requests = bkt.Requests()
		s.sees(t, bkt.Unwrap(), "after a cycle")
		s.settle(t, bkt.Unwrap(), t.TempDir(), "after a cycle")
		s.sees(t, bkt.Unwrap(), "in the end")
		end = state(t, bkt.Unwrap(), s.replica...)
	})
	t.Logf("%d operations; in the end:\n%s", len(requests), end)
	testutil.Assert(t, len(requests) >= s.least, "%d operations", len(requests))
	points := 0
	for _, when := range s.whens {
		for i, lost := range []string{"kept", "wiped"} {
			for n, r := range requests {
				// An eighth of what changes the bucket, and some of the rest.
				changes := r.Op == objstore.OpUpload || r.Op == objstore.OpDelete
				if *cuts != "all" && (changes && (n+i+int(when))%8 > 0 || !changes && (n+17*i+7*int(when))%s.stride > 0) {
					continue
				}
				points++
				synctest.Test(t, func(t *testing.T) { s.kill(t, n+1, when, lost, end) })
			}
		}
	}
	t.Logf("%d cut points of %d", points, 2*len(s.whens)*len(requests))
}

// kill has a compactor die at its n-th operation.
func (s *scenario) kill(t *testing.T, n int, when blocktest.When, lost, end string) {
	t.Helper()
	begin()
	bkt, dir := blocktest.NewBucket(s.bucket(t, s.objects)), t.TempDir()
	bkt.Cut(n, when)
	done, err := s.run(t, bkt, dir, 0)
	requests := bkt.Requests()
	what := fmt.Sprintf("cut %s operation %d, directory %s: %s", when, n, lost, requests[len(requests)-1])
	if !bkt.Dead() {
		testutil.Ok(t, err, what)
	}
	bkt.Revive()
	s.sees(t, bkt.Unwrap(), what)
	wipes[lost](t, dir)
	_, err = s.run(t, bkt, dir, done)
	testutil.Ok(t, err, what)
	s.sees(t, bkt.Unwrap(), what+", then")
	s.settle(t, bkt.Unwrap(), dir, what)
	s.sees(t, bkt.Unwrap(), what+", in the end")
	testutil.Equals(t, end, state(t, bkt.Unwrap(), s.replica...), what)
}
