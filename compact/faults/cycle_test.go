package faults_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// history is what the bucket has at the beginning of a cycle, in which there is
// everything to do that a compactor does: horizontal and vertical compaction, each
// resolution in one pass and on its own, garbage, blocks to be deleted, an upload
// that nobody goes on with.
func history(t testing.TB) objects {
	t.Helper()
	o := fixture(
		t,
		// Fourteen days that become one block of each resolution.
		spec{n: 1, labels: "a", from: 0, hours: 7 * 24, level: 4},
		spec{n: 2, labels: "a", from: 7 * 24, hours: 7 * 24, level: 4},
		// Two days that are downsampled on their own.
		spec{n: 3, labels: "a", from: 14 * 24, hours: 48, level: 4},
		// Two replicas of eight hours, and what follows.
		spec{n: 4, labels: "b", replica: "0", from: 0, hours: 8, level: 3},
		spec{n: 5, labels: "b", replica: "1", from: 0, hours: 8, level: 3},
		spec{n: 6, labels: "b", replica: "0", from: 8, hours: 8, level: 3},
		// A block that has been replaced, which nobody has noted.
		spec{n: 7, labels: "c", from: 0, hours: 2},
		spec{n: 8, labels: "c", from: 0, hours: 8, level: 3, sources: []int{7, 9}},
	)
	// One that was marked long ago, and what is left of an upload.
	maps.Copy(o, fixture(t, spec{n: 10, labels: "d", from: 0, hours: 2}))
	mark := block.Mark{Kind: block.DeletionMark, Block: newID(10), Time: time.Date(1999, 12, 29, 0, 0, 0, 0, time.UTC)}
	b, err := mark.Encode()
	testutil.Ok(t, err)
	o[block.ObjectName(newID(10), block.DeletionMarkFile)] = b
	o[block.ObjectName(newID(11), "chunks/000001")] = []byte("half of")
	return o
}

// cycle is how the world of a compactor goes on: it runs again and again, for
// longer than blocks stay that are marked for deletion.
type cycle struct {
	opts    compact.Options
	replica []string
	rests   []time.Duration // between runs
}

func newCycle() *cycle {
	return &cycle{
		opts:    compact.Options{ReplicaLabels: []string{"replica"}, DeleteDelay: 48 * time.Hour},
		replica: []string{"replica"},
		rests:   []time.Duration{49 * time.Hour, time.Hour},
	}
}

// begin waits until what is left of an upload is old. It is the first of a bubble.
func begin() { <-time.After(50 * time.Hour) }

// run is one life of a compactor, from run number done on. It returns how many runs
// were done, and the error of the one that was not.
func (c *cycle) run(t testing.TB, bkt *blocktest.Bucket, dir string, done int) (int, error) {
	t.Helper()
	ctx := step.With(t.Context(), bkt.Step)
	comp, err := compact.New(bkt, dir, &c.opts)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, comp.Close()) }()
	for ; ; done++ {
		if _, err := comp.RunOnce(ctx); err != nil {
			return done, err
		}
		if bkt.Dead() {
			return done, blocktest.ErrDead
		}
		noneWithin(t, bkt.Unwrap(), c.replica...)
		if done == len(c.rests) {
			return done, nil
		}
		<-time.After(c.rests[done])
	}
}

// settle runs a compactor until nothing is left to do.
func (c *cycle) settle(t testing.TB, bkt objstore.Bucket, dir, what string) {
	t.Helper()
	comp, err := compact.New(bkt, dir, &c.opts)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, comp.Close()) }()
	for range 3 {
		r, err := comp.RunOnce(t.Context())
		testutil.Ok(t, err, what)
		testutil.Equals(t, 0, len(r.Failed), what)
		noneWithin(t, bkt, c.replica...)
		<-time.After(49 * time.Hour)
	}
	v := fetch(t, bkt, nil)
	for id := range v.Metas {
		testutil.Assert(t, !v.Marked(id, block.DeletionMark), "%s: block %s is marked, and not deleted\n%s", what, id, list(t, bkt))
	}
	for id, err := range v.Partial {
		// Files have the time of the machine's clock, at which it is not old.
		testutil.Assert(t, bkt.Provider() == objstore.FILESYSTEM && errors.Is(err, block.ErrPartial), "%s: block %s is left\n%s", what, id, list(t, bkt))
	}
	left, err := os.ReadDir(filepath.Join(dir, "jobs"))
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(left), "directories of jobs, %s", what)
}

// wipe is what is lost with a process.
var wipes = map[string]func(t testing.TB, dir string){
	"kept":  func(testing.TB, string) {},
	"wiped": func(t testing.TB, dir string) { testutil.Ok(t, os.RemoveAll(dir)) },
}

// samplesOf returns all samples of raw blocks.
func samplesOf(t testing.TB, r *reader, o objects) map[point]bool {
	t.Helper()
	return r.raw(t, o.bucket(t))
}
