package shipper_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb/fileutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// While one shipper works, another one on the same directory does nothing.
func TestBusy(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	id := put(t, dir, spec{n: 1, at: 0})
	working, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpUpload {
			once.Do(func() { close(working) })
			<-goOn
		}
		return nil
	})
	done := make(chan error, 1)
	first := newShipper(t, bkt, dir, shipper.Options{})
	go func() {
		_, err := first.Sync(t.Context())
		done <- err
	}()
	<-working
	second := newShipper(t, bkt.Unwrap(), dir, shipper.Options{})
	res, err := second.Sync(t.Context())
	testutil.Assert(t, errors.Is(err, shipper.ErrBusy), "%v", err)
	testutil.Equals(t, shipper.Result{}, res)
	close(goOn)
	testutil.Ok(t, <-done)
	testutil.Equals(t, []ulid.ULID{id}, visible(t, bkt, dir))
	_, err = second.Sync(t.Context())
	testutil.Ok(t, err)
}

// A Sync that waits for another one of its Shipper ends with its context.
func TestWaits(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	put(t, dir, spec{n: 1, at: 0})
	working, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	bkt.Fail(func(blocktest.Request) error {
		once.Do(func() { close(working) })
		<-goOn
		return nil
	})
	s := newShipper(t, bkt, dir, shipper.Options{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Sync(t.Context())
		done <- err
	}()
	<-working
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Sync(ctx)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	close(goOn)
	testutil.Ok(t, <-done)
}

// Where there are no locks, blocks are sent all the same, with a warning.
func TestNoLocks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		sent bool
	}{
		{syscall.ENOLCK, true}, {syscall.ENOTSUP, true}, {syscall.ENOSYS, true},
		{syscall.EACCES, false}, {syscall.EWOULDBLOCK, false},
	} {
		t.Run(tc.err.Error(), func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), objstore.NewInMemBucket()
			id := put(t, dir, spec{n: 1, at: 0})
			s := newShipper(t, bkt, dir, shipper.Options{})
			s.SetFlock(func(path string) (fileutil.Releaser, bool, error) {
				return nil, false, &os.PathError{Op: "lock", Path: path, Err: tc.err}
			})
			res, err := s.Sync(t.Context())
			if !tc.sent {
				testutil.NotOk(t, err)
				testutil.Equals(t, errors.Is(tc.err, syscall.EWOULDBLOCK), errors.Is(err, shipper.ErrBusy))
				testutil.Equals(t, 0, len(bkt.Objects()))
				return
			}
			testutil.Ok(t, err)
			testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
			testutil.Assert(t, len(res.Warnings) == 1 && errors.Is(res.Warnings[0], shipper.ErrNoLocks) && errors.Is(res.Warnings[0], tc.err), "%v", res.Warnings)
		})
	}
}

// Two shippers with one directory and one bucket, both slow, send every block
// once, as it is, and in order.
func TestTwoShippers(t *testing.T) {
	t.Parallel()
	for kind, newBucket := range buckets {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir, inner := t.TempDir(), newBucket(t)
			const blocks = 12
			var want []ulid.ULID
			for n := range blocks {
				want = append(want, put(t, dir, spec{n: n, at: int64(n%4) * 2}))
			}
			var uploads, sent atomic.Int64
			var all sync.WaitGroup
			for range 2 {
				bkt := blocktest.NewBucket(inner)
				bkt.Delay(func(r blocktest.Request) time.Duration {
					if r.Op == objstore.OpUpload && filepath.Base(r.Name) == block.MetaFile {
						uploads.Add(1)
					}
					return time.Duration(rand.Int64N(int64(time.Millisecond)))
				})
				s := newShipper(t, bkt, dir, shipper.Options{})
				s.SetStep(bkt.Step)
				all.Go(func() {
					for sent.Load() < blocks {
						res, err := s.Sync(t.Context())
						sent.Add(int64(len(res.Uploaded)))
						if err != nil && !errors.Is(err, shipper.ErrBusy) {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			testutil.Equals(t, want, visible(t, inner, dir))
			testutil.Equals(t, int64(blocks), uploads.Load())
			testutil.Equals(t, record(want...), readRecord(t, dir))
		})
	}
}

// Blocks come and go while they are shipped, the bucket fails now and then, the
// shipper dies now and then, and a compactor deletes blocks there. Every block
// that stayed long enough reaches the bucket, whole, and nothing comes back.
func TestRandom(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(30 / raceStride) {
		world := newWorld(t, seed)
		for range 40 {
			world.step(t)
		}
		world.settle(t)
		for what, n := range world.seen {
			seen[what] += n
		}
	}
	for _, what := range []string{"add", "remove", "sync", "failed", "died", "deleted", "wiped"} {
		testutil.Assert(t, seen[what] > 0, "never %s: %v", what, seen)
	}
	t.Logf("what happened: %v", seen)
}

// world is a data directory and a bucket in which things happen.
type world struct {
	rnd     *rand.Rand
	dir     string
	kept    string // blocks that were removed, to compare with
	bkt     *blocktest.Bucket
	s       *shipper.Shipper
	n       int
	local   []ulid.ULID
	deleted map[ulid.ULID]bool
	seen    map[string]int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 7)), dir: t.TempDir(), kept: t.TempDir(),
		bkt: blocktest.NewBucket(objstore.NewInMemBucket()), deleted: map[ulid.ULID]bool{}, seen: map[string]int{},
	}
	w.restart(t)
	return w
}

func (w *world) restart(t *testing.T) {
	w.bkt.Revive()
	w.s = newShipper(t, w.bkt, w.dir, shipper.Options{AllowOutOfOrder: w.rnd.IntN(2) == 0})
	w.s.SetStep(w.bkt.Step)
}

func (w *world) step(t *testing.T) {
	switch w.rnd.IntN(10) {
	case 0, 1, 2:
		w.seen["add"]++
		w.n++
		w.local = append(w.local, put(t, w.dir, spec{n: w.n, at: w.rnd.Int64N(4) * 2}))
	case 3:
		w.remove(t)
	case 4:
		w.seen["failed"]++
		w.bkt.Fail(blocktest.EveryNth(w.rnd.Int64N(6)+2, blocktest.ErrFault))
		w.sync(t)
		w.bkt.Fail(nil)
	case 5:
		w.bkt.Cut(w.rnd.IntN(30)+1, []blocktest.When{blocktest.Before, blocktest.After}[w.rnd.IntN(2)])
		w.sync(t)
		if w.bkt.Dead() {
			w.seen["died"]++
		}
		w.restart(t)
	case 6:
		w.compactor(t)
	case 7:
		if w.rnd.IntN(3) == 0 && len(w.deleted) == 0 { // else blocks do come back, which is said in the documentation
			w.seen["wiped"]++
			_ = os.Remove(filepath.Join(w.dir, shipper.DefaultMetaFileName)) // it may not be there
		}
	default:
		w.seen["sync"]++
		w.sync(t)
	}
	w.check(t)
}

// remove takes a block away, as retention does, perhaps while it is shipped.
func (w *world) remove(t *testing.T) {
	if len(w.local) == 0 {
		return
	}
	w.seen["remove"]++
	i := w.rnd.IntN(len(w.local))
	id := w.local[i]
	w.local = append(w.local[:i:i], w.local[i+1:]...)
	w.keep(t, id)
	gone := func() { // as Prometheus does it
		tmp := filepath.Join(w.dir, id.String()+".tmp-for-deletion")
		testutil.Ok(t, os.Rename(filepath.Join(w.dir, id.String()), tmp))
		testutil.Ok(t, os.RemoveAll(tmp))
	}
	if w.rnd.IntN(2) == 0 {
		gone()
		return
	}
	at, steps := w.rnd.IntN(12), 0
	w.s.SetStep(func(op string) error {
		if steps++; steps == at {
			gone()
		}
		return w.bkt.Step(op)
	})
	w.sync(t)
	w.s.SetStep(w.bkt.Step)
	if steps < at || at == 0 {
		gone()
	}
}

// compactor deletes a block that is in the bucket and in the record.
func (w *world) compactor(t *testing.T) {
	ids := visible(t, w.bkt.Unwrap(), w.everything(t))
	if len(ids) == 0 {
		return
	}
	w.sync(t) // so that it is in the record, if it is here
	if _, err := w.s.Sync(t.Context()); err != nil {
		return
	}
	w.seen["deleted"]++
	id := ids[w.rnd.IntN(len(ids))]
	testutil.Ok(t, block.Delete(t.Context(), w.bkt.Unwrap(), id))
	w.deleted[id] = true
}

// everything returns a directory with all blocks there ever were.
func (w *world) everything(t *testing.T) string {
	for _, id := range w.local {
		w.keep(t, id)
	}
	return w.kept
}

func (w *world) keep(t *testing.T, id ulid.ULID) {
	dst := filepath.Join(w.kept, id.String())
	if _, err := os.Stat(dst); err != nil {
		linkTree(t, filepath.Join(w.dir, id.String()), dst)
	}
}

func (w *world) sync(t *testing.T) { _, _ = w.s.Sync(t.Context()) } // what went wrong is seen in the bucket

func (w *world) check(t *testing.T) {
	for _, id := range visible(t, w.bkt.Unwrap(), w.everything(t)) {
		testutil.Assert(t, !w.deleted[id], "block %s came back", id)
	}
}

// settle is what is after all that.
func (w *world) settle(t *testing.T) {
	_, err := w.s.Sync(t.Context())
	testutil.Ok(t, err)
	w.check(t)
	there := map[ulid.ULID]bool{}
	for _, id := range visible(t, w.bkt.Unwrap(), w.everything(t)) {
		there[id] = true
	}
	for _, id := range w.local {
		testutil.Assert(t, there[id] || w.deleted[id], "block %s is not in the bucket", id)
	}
}
