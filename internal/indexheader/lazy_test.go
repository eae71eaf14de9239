package indexheader_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// future is after everything that was used.
func future() time.Time { return time.Now().Add(time.Hour) }

func TestLazyIsBuiltOnce(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(100))
	bkt, meta := put(t, idx)
	dir := t.TempDir()
	pool := indexheader.NewPool(bkt, dir, nil)
	l := pool.Block(meta)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			h, err := l.Acquire(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			_ = h.Name(0)
			l.Release()
		})
	}
	wg.Wait()
	testutil.Equals(t, 1, bkt.Stats().Requests)
	testutil.Equals(t, 1, pool.Open())
	testutil.Ok(t, l.Close())
	testutil.Equals(t, 0, pool.Open())

	// A new process finds the file.
	bkt.Reset()
	l = indexheader.NewPool(bkt, dir, nil).Block(noSize(meta))
	testutil.Ok(t, l.Prepare(t.Context()))
	h, err := l.Acquire(t.Context())
	testutil.Ok(t, err)
	compare(t, h, idx)
	l.Release()
	testutil.Ok(t, l.Close())
	testutil.Equals(t, 0, bkt.Stats().Requests)

	testutil.Ok(t, l.Remove())
	left, err := os.ReadDir(dir)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(left))
	testutil.Ok(t, l.Remove())
}

// TestLazyRebuilds damages the local file in every way: it is never trusted.
func TestLazyRebuilds(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(30))
	bkt, meta := put(t, idx)
	dir := t.TempDir()
	first := indexheader.NewPool(bkt, dir, nil).Block(meta)
	testutil.Ok(t, first.Prepare(t.Context()))
	sound, err := os.ReadFile(first.Path())
	testutil.Ok(t, err)
	damaged := func(t *testing.T, b []byte) {
		t.Helper()
		testutil.Ok(t, os.WriteFile(first.Path(), b, 0o600))
		bkt.Reset()
		l := indexheader.NewPool(bkt, dir, nil).Block(meta)
		h, err := l.Acquire(t.Context())
		testutil.Ok(t, err)
		compare(t, h, idx)
		l.Release()
		testutil.Ok(t, l.Close())
		testutil.Equals(t, 1, bkt.Stats().Requests)
	}
	step := max(len(sound)/64, 1)
	for n := 0; n < len(sound); n += step {
		damaged(t, sound[:n])
		flipped := append([]byte(nil), sound...)
		flipped[n] ^= 1
		damaged(t, flipped)
	}
	damaged(t, append(append([]byte(nil), sound...), 0))

	// The sound file of another block, and of another index of this block.
	other, otherMeta := put(t, writeIndex(t, lsets(31)))
	testutil.Ok(t, indexheader.Build(t.Context(), other, otherMeta, first.Path(), nil))
	b, err := os.ReadFile(first.Path())
	testutil.Ok(t, err)
	damaged(t, b)
	testutil.Ok(t, os.WriteFile(first.Path(), b, 0o600))
	bkt.Reset()
	testutil.Ok(t, indexheader.NewPool(bkt, dir, nil).Block(meta).Prepare(t.Context()))
	testutil.Equals(t, 1, bkt.Stats().Requests)
}

// TestLazyOfAnotherBlock has in place of a block's file that of another one, whose
// index has as many bytes.
func TestLazyOfAnotherBlock(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(30))
	bkt, meta := put(t, idx)
	other := *meta
	other.ULID = ulid.ULID{1}
	testutil.Ok(t, bkt.Upload(t.Context(), block.ObjectName(other.ULID, block.IndexFile), bytes.NewReader(idx)))
	dir := t.TempDir()
	l := indexheader.NewPool(bkt, dir, nil).Block(meta)
	testutil.Ok(t, l.Prepare(t.Context()))
	for name, use := range map[string]func() error{
		"prepare": func() error { return l.Prepare(t.Context()) },
		"acquire": func() error {
			h, err := l.Acquire(t.Context())
			if err == nil {
				compare(t, h, idx)
				l.Release()
			}
			return err
		},
	} {
		testutil.Ok(t, l.Close())
		testutil.Ok(t, indexheader.Build(t.Context(), bkt, &other, l.Path(), nil))
		bkt.Reset()
		testutil.Ok(t, use())
		testutil.Equals(t, 1, bkt.Stats().Requests, name)
	}
	testutil.Ok(t, l.Close())
}

func TestLazyNotReadable(t *testing.T) {
	t.Parallel()
	bkt, meta := put(t, writeIndex(t, lsets(3)))
	l := indexheader.NewPool(bkt, t.TempDir(), nil).Block(meta)
	testutil.Ok(t, os.MkdirAll(l.Path(), 0o777)) // A directory in its place.
	_, err := l.Acquire(t.Context())
	testutil.NotOk(t, err)
	testutil.Assert(t, !errors.Is(err, block.ErrCorrupt), "%v", err)
}

func TestLazyIdle(t *testing.T) {
	t.Parallel()
	bkt, meta := put(t, writeIndex(t, lsets(100)))
	pool := indexheader.NewPool(bkt, t.TempDir(), nil)
	l := pool.Block(meta)
	h, err := l.Acquire(t.Context())
	testutil.Ok(t, err)
	n, err := pool.CloseIdle(future())
	testutil.Ok(t, err)
	testutil.Equals(t, 0, n) // It is in use.
	_ = h.Name(0)
	l.Release()
	n, err = pool.CloseIdle(time.Now().Add(-time.Hour))
	testutil.Ok(t, err)
	testutil.Equals(t, 0, n) // It was used since.
	n, err = pool.CloseIdle(future())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, n)
	testutil.Equals(t, 0, pool.Open())
	_, err = l.Acquire(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, l.Close()) // In use: when the last use ends.
	testutil.Equals(t, 1, pool.Open())
	l.Release()
	testutil.Equals(t, 0, pool.Open())
	testutil.Equals(t, 1, bkt.Stats().Requests)
}

// TestLazyConcurrently closes headers as fast as it can under those who read
// them. Use after unmapping would be a fault that ends the process.
func TestLazyConcurrently(t *testing.T) {
	t.Parallel()
	bkt, meta := put(t, writeIndex(t, lsets(200)))
	pool := indexheader.NewPool(bkt, t.TempDir(), nil)
	l := pool.Block(meta)
	stop := make(chan struct{})
	var closers, readers sync.WaitGroup
	var closed atomic.Int64
	closers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, err := pool.CloseIdle(future())
			if err != nil {
				t.Error(err)
			}
			closed.Add(int64(n))
			runtime.Gosched()
		}
	})
	for range 2 {
		readers.Go(func() {
			for i := 0; i < 300 || closed.Load() < 10; i++ {
				h, err := l.Acquire(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				v, _ := h.Values("instance")
				for i := range v.Len() {
					if len(v.At(i)) != len("host-00000") {
						t.Errorf("value %q", v.At(i))
					}
				}
				l.Release()
				runtime.Gosched()
			}
		})
	}
	readers.Wait()
	close(stop)
	closers.Wait()
	testutil.Ok(t, l.Close())
}

// TestLazyCanceled waits for somebody else's building no longer than its context.
func TestLazyCanceled(t *testing.T) {
	t.Parallel()
	bkt, meta := put(t, writeIndex(t, lsets(3)))
	building, goOn := make(chan struct{}), make(chan struct{})
	bkt.Fail(func(blocktest.Request) error {
		close(building)
		<-goOn
		return nil
	})
	l := indexheader.NewPool(bkt, t.TempDir(), nil).Block(meta)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Prepare(context.Background()); err != nil {
			t.Error(err)
		}
	})
	<-building
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Acquire(ctx)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	testutil.Assert(t, errors.Is(l.Prepare(ctx), context.Canceled))
	close(goOn)
	wg.Wait()
}

// TestLazyMemory holds blocks that are not open to what they may take.
func TestLazyMemory(t *testing.T) {
	const blocks = 2000
	idx := writeIndex(t, lsets(10))
	bkt, meta := put(t, idx)
	pool := indexheader.NewPool(bkt, t.TempDir(), nil)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	lazies := make([]*indexheader.Lazy, blocks)
	for i := range lazies {
		m := *meta
		m.ULID = ulid.MustNew(uint64(i), nil)
		lazies[i] = pool.Block(&m)
	}
	each := (heap() - before) / blocks
	testutil.Assert(t, each < 4<<10, "%d bytes for each block", each)
	runtime.KeepAlive(lazies)
}
