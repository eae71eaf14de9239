package bucketstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// testObject is a file of random bytes in a bucket.
func testObject(t testing.TB, size int) (*blocktest.Bucket, object, []byte) {
	t.Helper()
	data := make([]byte, size)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	o := object{block: testID, file: "chunks/000001", name: testID.String() + "/chunks/000001", kind: kindChunks}
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	testutil.Ok(t, bkt.Upload(context.Background(), o.name, bytes.NewReader(data)))
	bkt.Reset()
	return bkt, o, data
}

// collect returns a use that checks what it gets, in order.
func collect(t testing.TB, data []byte, parts []part) (func(int, []byte) error, *int) {
	next := 0
	return func(i int, b []byte) error {
		if i != next {
			t.Errorf("part %d after %d", i, next-1)
		}
		next++
		p := parts[i]
		if want := data[min(p.off, int64(len(data))):min(p.end(), int64(len(data)))]; !bytes.Equal(want, b) {
			t.Errorf("part %d: %d bytes at %d differ", i, p.size, p.off)
		}
		return nil
	}, &next
}

func TestJoin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		parts []part
		want  string
	}{
		{"none", nil, ""},
		{"one", []part{{5, 10}}, "[5,15)0-1"},
		{"touching", []part{{0, 10}, {10, 10}}, "[0,20)0-2"},
		{"overlapping", []part{{0, 10}, {5, 2}, {6, 10}}, "[0,16)0-3"},
		{"same", []part{{0, 10}, {0, 10}}, "[0,10)0-2"},
		{"at the cost", []part{{0, 10}, {110, 10}}, "[0,120)0-2"},
		{"above the cost", []part{{0, 10}, {111, 10}}, "[0,10)0-1 [111,121)1-2"},
		{"too large together", []part{{0, 600}, {600, 600}}, "[0,600)0-1 [600,1200)1-2"},
		{"too large alone", []part{{0, 5000}, {5000, 1}}, "[0,5000)0-1 [5000,5001)1-2"},
		{"empty", []part{{3, 0}}, "[3,3)0-1"},
		{"as many as run", []part{{0, 1}, {201, 1}, {402, 1}}, "[0,1)0-1 [201,202)1-2 [402,403)2-3"},
		{"one too many", []part{{0, 1}, {201, 1}, {352, 1}, {553, 1}}, "[0,1)0-1 [201,353)1-3 [553,554)3-4"},
		{"too many alike", []part{{0, 1}, {202, 1}, {404, 1}, {606, 1}}, "[0,203)0-2 [404,405)2-3 [606,607)3-4"},
		{"too many, too far", []part{{0, 1}, {401, 1}, {802, 1}, {1203, 1}, {1404, 1}}, "[0,1)0-1 [401,402)1-2 [802,803)2-3 [1203,1405)3-5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRanger(nil, rangeOptions{requestCost: 100, waitCost: 300, maxRange: 1000, perCall: 3})
			var got []string
			for _, j := range r.join(tc.parts) {
				got = append(got, fmt.Sprintf("[%d,%d)%d-%d", j.off, j.end(), j.first, j.last))
			}
			testutil.Equals(t, tc.want, strings.Join(got, " "))
		})
	}
}

// TestFetch reads random parts with random options, and gets exactly these.
func TestFetch(t *testing.T) {
	t.Parallel()
	bkt, o, data := testObject(t, 100_000)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		r := newRanger(bkt, rangeOptions{
			requestCost: 1 + rnd.Int64N(5000), maxRange: 1 + rnd.Int64N(20_000), perCall: 1 + rnd.IntN(20), concurrency: 1 + rnd.IntN(3),
			waitCost: 1 + rnd.Int64N(5000), window: 1 + rnd.Int64N(50_000),
		})
		var parts []part
		for off := rnd.Int64N(5000); ; off += rnd.Int64N(5000) {
			size := min(rnd.Int64N(6000), int64(len(data))-off)
			if size < 0 {
				break
			}
			parts = append(parts, part{off, size})
		}
		use, n := collect(t, data, parts)
		st := new(callStats)
		bkt.Reset()
		testutil.Ok(t, r.fetch(t.Context(), o, parts, st, use))
		testutil.Equals(t, len(parts), *n)
		testutil.Equals(t, int64(bkt.Stats().Requests), st.kinds[kindChunks].requests.Load())
		testutil.Equals(t, bkt.Stats().Gets().Read, st.kinds[kindChunks].fetchedBytes.Load())
		testutil.Equals(t, 0, bkt.OpenBodies())
	}
}

// TestFetchAtEnd has parts that end after an object whose size is not known.
func TestFetchAtEnd(t *testing.T) {
	t.Parallel()
	bkt, o, data := testObject(t, 1000)
	parts := []part{{0, 10}, {990, 50}, {995, 1000}}
	for _, cost := range []int64{1, 1 << 20} {
		r := newRanger(bkt, rangeOptions{requestCost: cost, maxRange: 300})
		o.short = true
		use, n := collect(t, data, parts)
		testutil.Ok(t, r.fetch(t.Context(), o, parts, nil, use))
		testutil.Equals(t, 3, *n)
		o.short = false
		err := r.fetch(t.Context(), o, parts, nil, func(int, []byte) error { return nil })
		var corrupt *block.CorruptError
		testutil.Assert(t, errors.As(err, &corrupt), "%v", err)
		testutil.Equals(t, o.file, corrupt.File)
		testutil.Assert(t, errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
	}
	testutil.Equals(t, 0, bkt.OpenBodies())
}

// TestFetchNothing has parts without bytes: no bucket has such ranges.
func TestFetchNothing(t *testing.T) {
	t.Parallel()
	bkt, o, data := testObject(t, 1000)
	r := newRanger(bkt, rangeOptions{requestCost: 1})
	for _, parts := range [][]part{nil, {{5, 0}}, {{5, 0}, {900, 0}}} {
		use, n := collect(t, data, parts)
		testutil.Ok(t, r.fetch(t.Context(), o, parts, nil, use))
		testutil.Equals(t, len(parts), *n)
	}
	testutil.Equals(t, 0, bkt.Stats().Requests)
}

func TestFetchFaults(t *testing.T) {
	t.Parallel()
	parts := []part{{0, 100}, {1000, 100}, {2000, 100}, {3000, 100}}
	once := func(err error) func(blocktest.Request) error {
		var n atomic.Int64
		return func(blocktest.Request) error {
			if n.Add(1) == 2 {
				return err
			}
			return nil
		}
	}
	for _, tc := range []struct {
		name    string
		set     func(*blocktest.Bucket)
		want    error
		retries int64
	}{
		{"hidden", func(b *blocktest.Bucket) { b.Hide(func(string) bool { return true }) }, block.ErrNotFound, 0},
		{"denied", func(b *blocktest.Bucket) { b.Fail(blocktest.Deny(func(blocktest.Request) bool { return true })) }, ErrAccessDenied, 0},
		{"fault", func(b *blocktest.Bucket) { b.Fail(once(blocktest.ErrFault)) }, blocktest.ErrFault, 0},
		{"reset", func(b *blocktest.Bucket) { b.Fail(once(syscall.ECONNRESET)) }, nil, 1},
		{"timeout", func(b *blocktest.Bucket) { b.Fail(once(&net.OpError{Err: timeout{}})) }, nil, 1},
		{"truncated always", func(b *blocktest.Bucket) { b.Body(blocktest.Truncated(10)) }, block.ErrCorrupt, -1},
		{"broken always", func(b *blocktest.Bucket) { b.Body(blocktest.Broken(10, io.ErrUnexpectedEOF)) }, io.ErrUnexpectedEOF, -1},
		{"broken once", func(b *blocktest.Bucket) {
			var n atomic.Int64
			broken := blocktest.Broken(10, io.ErrUnexpectedEOF)
			b.Body(func(r blocktest.Request, body io.Reader) io.Reader {
				if n.Add(1) == 1 {
					return broken(r, body)
				}
				return body
			})
		}, nil, 1},
	} {
		for _, perCall := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s/%d", tc.name, perCall), func(t *testing.T) {
				t.Parallel()
				bkt, o, data := testObject(t, 4000)
				tc.set(bkt)
				r := newRanger(bkt, rangeOptions{requestCost: 1, waitCost: 1, perCall: perCall})
				st := new(callStats)
				use, n := collect(t, data, parts)
				err := r.fetch(t.Context(), o, parts, st, use)
				testutil.Equals(t, 0, bkt.OpenBodies())
				if tc.retries >= 0 {
					testutil.Equals(t, tc.retries, st.retries.Load())
				}
				if tc.want == nil {
					testutil.Ok(t, err)
					testutil.Equals(t, len(parts), *n)
					return
				}
				testutil.Assert(t, errors.Is(err, tc.want), "%v", err)
				testutil.Assert(t, strings.Contains(err.Error(), "chunks/000001"), "%v", err)
			})
		}
	}
}

type timeout struct{}

func (timeout) Error() string { return "timed out" }
func (timeout) Timeout() bool { return true }

// TestFetchCanceled ends when the context does, wherever it waits.
func TestFetchCanceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bkt, o, _ := testObject(t, 100_000)
		bkt.Delay(blocktest.Latency(time.Minute))
		for _, n := range []int{1, 10} {
			r := newRanger(bkt, rangeOptions{requestCost: 1, concurrency: 2, hedge: hedgeOptions{delay: time.Millisecond}})
			var parts []part
			for i := range n {
				parts = append(parts, part{int64(1000 * i), 10})
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			err := r.fetch(ctx, o, parts, nil, func(int, []byte) error { return nil })
			cancel()
			testutil.Assert(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
			testutil.Equals(t, time.Second, time.Since(start))
			testutil.Equals(t, 0, bkt.OpenBodies())
		}
	})
}

// TestFetchOneTrip reads many ranges in the time of few.
func TestFetchOneTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bkt, o, data := testObject(t, 100_000)
		bkt.Delay(blocktest.Latency(20 * time.Millisecond))
		r := newRanger(bkt, rangeOptions{requestCost: 1, maxRange: 1000})
		var parts []part
		for i := range 30 {
			parts = append(parts, part{int64(3000 * i), 10})
		}
		use, _ := collect(t, data, parts)
		testutil.Ok(t, r.fetch(t.Context(), o, parts, nil, use))
		testutil.Equals(t, 1, bkt.Stats().Trips)
		testutil.Equals(t, 30, bkt.Stats().Concurrent)
		// One large part is split.
		bkt.Reset()
		parts = []part{{100, 20_000}}
		use, _ = collect(t, data, parts)
		testutil.Ok(t, r.fetch(t.Context(), o, parts, nil, use))
		testutil.Equals(t, 20, bkt.Stats().Requests)
		testutil.Equals(t, 1, bkt.Stats().Trips)
	})
}

// TestFetchMemory has no more ranges on their way than it may, while use is slow.
func TestFetchMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bkt, o, _ := testObject(t, 100_000)
		r := newRanger(bkt, rangeOptions{requestCost: 1, waitCost: 1, window: 30})
		var parts []part
		for i := range 30 {
			parts = append(parts, part{int64(3000 * i), 10})
		}
		testutil.Ok(t, r.fetch(t.Context(), o, parts, nil, func(i int, _ []byte) error {
			synctest.Wait() // Until all that may be read is.
			if n := bkt.Stats().Requests; n != min(i+3, len(parts)) {
				t.Errorf("%d requests at part %d", n, i)
			}
			return nil
		}))
	})
}

// TestFetchWaitingMemory has no memory in use for requests that wait for others to
// end. It is not parallel, as it measures what is allocated.
func TestFetchWaitingMemory(t *testing.T) {
	const size = 2 << 20
	for _, maxRange := range []int64{size, size / 4} {
		synctest.Test(t, func(t *testing.T) {
			bkt, o, data := testObject(t, size)
			r := newRanger(bkt, rangeOptions{concurrency: 1, maxRange: maxRange})
			r.slots <- struct{}{} // Somebody else's request.
			parts := []part{{0, size}}
			use, n := collect(t, data, parts)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var wg sync.WaitGroup
			wg.Go(func() { testutil.Ok(t, r.fetch(t.Context(), o, parts, nil, use)) })
			synctest.Wait()
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > size/2 {
				t.Errorf("waits with %d bytes", took)
			}
			testutil.Equals(t, 0, bkt.Stats().Requests)
			<-r.slots
			wg.Wait()
			testutil.Equals(t, 1, *n)
			testutil.Equals(t, int(size/maxRange), bkt.Stats().Requests)
			testutil.Equals(t, 0, len(r.slots))
		})
	}
}

func TestHedge(t *testing.T) {
	t.Parallel()
	slowFirst := func() func(blocktest.Request) time.Duration {
		var n atomic.Int64
		return func(blocktest.Request) time.Duration {
			if n.Add(1) == 1 {
				return time.Minute
			}
			return 10 * time.Millisecond
		}
	}
	parts := []part{{0, 100}}
	t.Run("second wins", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			bkt, o, data := testObject(t, 4000)
			bkt.Delay(slowFirst())
			r := newRanger(bkt, rangeOptions{hedge: hedgeOptions{delay: 100 * time.Millisecond}})
			st := new(callStats)
			use, n := collect(t, data, parts)
			start := time.Now()
			testutil.Ok(t, r.fetch(t.Context(), o, parts, st, use))
			testutil.Equals(t, 110*time.Millisecond, time.Since(start)) // The first was cancelled.
			testutil.Equals(t, 1, *n)
			testutil.Equals(t, int64(1), st.hedges.Load())
			testutil.Equals(t, 2, bkt.Stats().Requests)
			testutil.Equals(t, 0, bkt.OpenBodies())
		})
	})
	t.Run("first wins", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			bkt, o, data := testObject(t, 4000)
			bkt.Delay(blocktest.Latency(150 * time.Millisecond))
			r := newRanger(bkt, rangeOptions{hedge: hedgeOptions{delay: 100 * time.Millisecond}})
			use, _ := collect(t, data, parts)
			start := time.Now()
			testutil.Ok(t, r.fetch(t.Context(), o, parts, nil, use))
			testutil.Equals(t, 150*time.Millisecond, time.Since(start))
			testutil.Equals(t, 2, bkt.Stats().Requests)
		})
	})
	t.Run("first fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			bkt, o, _ := testObject(t, 4000)
			bkt.Delay(blocktest.Latency(150 * time.Millisecond))
			bkt.Fail(blocktest.EveryNth(1, blocktest.ErrFault))
			r := newRanger(bkt, rangeOptions{hedge: hedgeOptions{delay: 100 * time.Millisecond}})
			err := r.fetch(t.Context(), o, parts, nil, func(int, []byte) error { return nil })
			testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
		})
	})
	t.Run("no slot", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			bkt, o, data := testObject(t, 4000)
			bkt.Delay(blocktest.Latency(150 * time.Millisecond))
			r := newRanger(bkt, rangeOptions{requestCost: 1, concurrency: 1, hedge: hedgeOptions{delay: 100 * time.Millisecond}})
			parts := []part{{0, 100}, {2000, 100}}
			use, _ := collect(t, data, parts)
			testutil.Ok(t, r.fetch(t.Context(), o, parts, nil, use))
			testutil.Equals(t, 2, bkt.Stats().Requests)
		})
	})
	t.Run("few", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			bkt, o, _ := testObject(t, 4000)
			bkt.Delay(blocktest.Latency(150 * time.Millisecond))
			r := newRanger(bkt, rangeOptions{hedge: hedgeOptions{delay: 100 * time.Millisecond, share: 20}})
			r.hedges.slow = time.Millisecond
			st := new(callStats)
			for range 200 {
				testutil.Ok(t, r.fetch(t.Context(), o, parts, st, func(int, []byte) error { return nil }))
			}
			n := st.hedges.Load()
			testutil.Assert(t, n >= 1 && n <= 5, "%d of 200", n)
			testutil.Equals(t, 0, len(r.slots)) // Those that were not to be sent have given theirs back.
		})
	})
}

// TestHedgeDelay comes to rest where one request in 20 takes longer.
func TestHedgeDelay(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	h := newHedger(hedgeOptions{delay: time.Millisecond})
	for range 20_000 {
		h.end(1000, time.Duration(rnd.Int64N(int64(100*time.Millisecond))))
	}
	d := h.begin(1000)
	testutil.Assert(t, d > 85*time.Millisecond && d < 105*time.Millisecond, "%v", d)
	testutil.Assert(t, h.begin(10<<20) > 10*d, "larger requests take longer")
	testutil.Equals(t, time.Minute, newHedger(hedgeOptions{delay: time.Minute}).begin(1))
}

func TestFetchCached(t *testing.T) {
	t.Parallel()
	bkt, o, data := testObject(t, 10_000)
	cache, err := NewMemoryCache(10<<20, nil)
	testutil.Ok(t, err)
	sealed, err := newSealedCache(cache, prometheus.NewRegistry())
	testutil.Ok(t, err)
	r := newRanger(bkt, rangeOptions{requestCost: 1 << 20})
	meta := &block.Meta{ULID: testID}
	c := chunkRanges{r, sealed, meta}
	parts := []part{{0, 100}, {5000, 300}, {9990, 100}} // The size is not known.
	for i := range 3 {
		seen := map[int]bool{}
		testutil.Ok(t, c.fetch(t.Context(), o.name, parts, nil, func(i int, b []byte) error {
			seen[i] = true
			p := parts[i]
			testutil.Assert(t, bytes.Equal(data[p.off:min(p.end(), 10_000)], b), "part %d", i)
			return nil
		}))
		testutil.Equals(t, 3, len(seen))
		testutil.Equals(t, 1, bkt.Stats().Requests, "round %d", i)
	}
	// Known by now: what ends too early is not taken for what was asked.
	meta.Thanos.Files = []block.File{{RelPath: o.file, SizeBytes: 20_000}}
	err = c.fetch(t.Context(), o.name, parts, nil, func(int, []byte) error { return nil })
	testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)
}

// TestFetchCachedPieces has ranges that overlap: what they have in common is read
// once.
func TestFetchCachedPieces(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	bkt, o, data := testObject(t, size)
	cache, err := NewMemoryCache(32<<20, nil)
	testutil.Ok(t, err)
	sealed, err := newSealedCache(cache, prometheus.NewRegistry())
	testutil.Ok(t, err)
	r := newRanger(bkt, rangeOptions{})
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var parts []part
		for off := rnd.Int64N(100_000); off < size; off += rnd.Int64N(400_000) {
			parts = append(parts, part{off, min(1+rnd.Int64N(300_000), size-off)})
		}
		seen := 0
		testutil.Ok(t, r.fetchCached(t.Context(), sealed, o, parts, nil, func(i int, b []byte) error {
			seen++
			if p := parts[i]; !bytes.Equal(data[p.off:p.end()], b) {
				t.Errorf("part %v differs", p)
			}
			return nil
		}))
		testutil.Equals(t, len(parts), seen)
	}
	parts := []part{{100, size - 200}}
	ok := func(int, []byte) error { return nil }
	testutil.Ok(t, r.fetchCached(t.Context(), sealed, o, parts, nil, ok))
	bkt.Reset()
	testutil.Ok(t, r.fetchCached(t.Context(), sealed, o, parts, nil, ok))
	testutil.Ok(t, r.fetchCached(t.Context(), sealed, o, []part{{pieceSize, 3 * pieceSize}}, nil, ok))
	testutil.Equals(t, 0, bkt.Stats().Requests)
}

func TestCut(t *testing.T) {
	t.Parallel()
	parts := []part{{5, 10}, {pieceSize - 1, pieceSize}, {pieceSize - 1, 2 * pieceSize}, {0, 2 * pieceSize}}
	c := cut(parts, false)
	testutil.Equals(t, []int{0, 1, 2, 5, 7}, c.first)
	for i, p := range parts {
		at := p.off
		for _, piece := range c.pieces[c.first[i]:c.first[i+1]] {
			testutil.Equals(t, at, piece.off)
			testutil.Assert(t, piece.size > 0 && piece.size <= pieceSize)
			at = piece.end()
		}
		testutil.Equals(t, p.end(), at)
	}
	testutil.Equals(t, parts, cut(parts, true).pieces)
}

func TestBufferPool(t *testing.T) {
	t.Parallel()
	var p bufferPool
	for _, n := range []int64{0, 1, 4095, 4096, 4097, 1 << 24, 1<<24 + 1} {
		b := p.get(n)
		testutil.Equals(t, int(n), len(*b))
		p.put(b)
	}
	odd := make([]byte, 5000)
	p.put(&odd) // Not one of its own.
	none := []byte(nil)
	p.put(&none)
	testutil.Assert(t, cap(*p.get(5000)) == 8192)
}
