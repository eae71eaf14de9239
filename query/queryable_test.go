package query_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// manySeries are replicas a and b of n series, interleaved in time if offset.
func manySeries(tb testing.TB, n int, offset int64) (out []*store.Series) {
	for i := range n {
		for r, replica := range []string{"a", "b"} {
			var chunks []store.Chunk
			for c := range int64(3) {
				chunks = append(chunks, raw(tb, every(10_000, c*600_000+int64(r)*offset, 60, float64(i)+float64(c)*60, 1)))
			}
			out = append(out, &store.Series{
				Labels: labels.FromStrings("__name__", "up", "pod", fmt.Sprintf("pod-%04d", i), "replica", replica), Chunks: chunks,
			})
		}
	}
	return out
}

// TestFramesLiveUntilClose: chunks are read from frames, whose memory is poisoned
// when they are released; results are not.
func TestFramesLiveUntilClose(t *testing.T) {
	t.Parallel()
	for _, perFrame := range []int{1, 3, 100} {
		s := &frameStore{series: manySeries(t, 20, 3000), perFrame: perFrame}
		q := newQuerier(t, s, &query.Options{ReplicaLabels: []string{"replica"}})

		sq, err := q.Queryable(nil).Querier(0, 1_800_000)
		testutil.Ok(t, err)
		set := sq.Select(context.Background(), true, nil)
		var all []storage.Series
		for set.Next() {
			all = append(all, set.At())
		}
		testutil.Ok(t, set.Err())
		testutil.Equals(t, 20, len(all))
		testutil.Equals(t, s.sent.Load(), s.frames.Load(), "frames are kept")
		for range 2 {
			for i, series := range all {
				ss := 0
				it := series.Iterator(nil)
				for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
					if ss == 0 {
						testutil.Equals(t, sample{0, float64(i), vt}, at(it, vt))
					}
					ss++
				}
				testutil.Ok(t, it.Err())
				testutil.Equals(t, 180, ss)
			}
		}
		testutil.Ok(t, sq.Close())
		testutil.Ok(t, sq.Close())
		testutil.Equals(t, int64(0), s.frames.Load())
		for i, series := range all {
			testutil.Equals(t, fmt.Sprintf(`{__name__="up", pod="pod-%04d"}`, i), series.Labels().String())
		}

		res, err := q.Instant(context.Background(), "up", time.Unix(1000, 0), nil)
		testutil.Ok(t, err)
		testutil.Equals(t, int64(0), s.frames.Load(), "a result needs no frames")
		v := res.Value.(promql.Vector)
		testutil.Equals(t, 20, len(v))
		for i := range v {
			testutil.Equals(t, fmt.Sprintf(`{__name__="up", pod="pod-%04d"} => %d @[1000000]`, i, i+100), v[i].String())
		}
		lsets, _, err := q.Series(context.Background(), 0, 1, nil, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, int64(0), s.frames.Load())
		testutil.Equals(t, `{__name__="up", pod="pod-0019"}`, lsets[19].String())
	}
}

func TestFramesOfFailedSelect(t *testing.T) {
	t.Parallel()
	s := &frameStore{series: manySeries(t, 20, 0), perFrame: 3}
	q := newQuerier(t, store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		if err := s.Series(ctx, req, w); err != nil {
			return err
		}
		return errDown
	}), nil)
	sq, err := q.Queryable(nil).Querier(0, 1_800_000)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, nil)
	testutil.Assert(t, !set.Next())
	testutil.Assert(t, errors.Is(set.Err(), errDown))
	testutil.Equals(t, int64(0), s.frames.Load(), "released before Close")
	testutil.Ok(t, sq.Close())
}

func TestClosedQuerier(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 1)
	q := newQuerier(t, untilDone(started, context.Context.Err), nil)
	sq, err := q.Queryable(nil).Querier(0, 1)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, nil)
	<-started
	testutil.Ok(t, sq.Close()) // ends the select, and has waited for it
	testutil.Assert(t, !set.Next())
	testutil.Assert(t, errors.Is(set.Err(), query.ErrCanceled), "%v", set.Err())

	set = sq.Select(context.Background(), true, nil)
	testutil.Assert(t, !set.Next())
	testutil.Assert(t, errors.Is(set.Err(), query.ErrClosed), "%v", set.Err())
}

// TestConcurrentSelects: as many at once as the options say, all together in the
// end.
func TestConcurrentSelects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		one := make(chan struct{})
		q := newQuerier(t, store.Func(func(ctx context.Context, _ *store.SeriesRequest, _ store.SeriesWriter) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			select {
			case <-one:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}), &query.Options{MaxConcurrentSelects: 3})
		done := make(chan error)
		go func() {
			_, err := q.Instant(context.Background(), "a + b + c + d + e + f + g", time.Unix(60, 0), nil)
			done <- err
		}()
		for left := 7; left > 0; left-- {
			synctest.Wait()
			testutil.Equals(t, int64(min(left, 3)), running.Load())
			one <- struct{}{}
		}
		testutil.Ok(t, <-done)
		testutil.Equals(t, int64(3), most.Load())

		// Those that wait for their turn end with the query, too.
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			_, err := q.Instant(ctx, "a + b + c + d + e", time.Unix(60, 0), nil)
			done <- err
		}()
		synctest.Wait()
		cancel()
		testutil.Assert(t, errors.Is(<-done, query.ErrCanceled))
	})
}

// TestConcurrentQueries shares a Querier, and the series of one select, between
// goroutines.
func TestConcurrentQueries(t *testing.T) {
	t.Parallel()
	s := &frameStore{series: manySeries(t, 10, 3000), perFrame: 4}
	q := newQuerier(t, s, &query.Options{ReplicaLabels: []string{"replica"}})
	want := fmt.Sprint(read(t, q, 0, 1_800_000, nil, nil))

	sq, err := q.Queryable(nil).Querier(0, 1_800_000)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, nil)
	var all []storage.Series
	for set.Next() {
		all = append(all, set.At())
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if got := fmt.Sprint(read(t, q, 0, 1_800_000, nil, nil)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
		wg.Go(func() {
			var it chunkenc.Iterator
			for _, series := range all {
				n := 0
				for it = series.Iterator(it); it.Next() != chunkenc.ValNone; n++ {
				}
				if n != 180 {
					t.Errorf("%d samples", n)
				}
			}
		})
		wg.Go(func() {
			opts := &query.QueryOptions{Dedup: new(i%2 == 0)}
			res, err := q.Range(context.Background(), "sum(rate(up[1m])) + count(up)", time.Unix(0, 0), time.Unix(1800, 0), time.Minute, opts)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Close()
			if len(res.Value.(promql.Matrix)) != 1 {
				t.Errorf("got %s", res.Value)
			}
		})
		wg.Go(func() {
			set := sq.Select(context.Background(), true, nil)
			for set.Next() {
			}
			if set.Err() != nil {
				t.Error(set.Err())
			}
		})
	}
	wg.Wait()
	testutil.Ok(t, sq.Close())
	testutil.Equals(t, int64(0), s.frames.Load())
}

// TestIteratorsAreReused: one iterator goes through series of one and of two
// tracks alike without allocating.
func TestIteratorsAreReused(t *testing.T) {
	var all []*store.Series
	for i, s := range manySeries(t, 20, 3000) {
		if i%4 != 3 { // every other series has one replica only
			all = append(all, s)
		}
	}
	q := newQuerier(t, plainStore(all...), &query.Options{ReplicaLabels: []string{"replica"}})
	sq, err := q.Queryable(nil).Querier(0, 1_800_000)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, nil)
	var ss []storage.Series
	for set.Next() {
		ss = append(ss, set.At())
	}
	testutil.Equals(t, 20, len(ss))
	var it chunkenc.Iterator
	samples := 0
	allocs := testing.AllocsPerRun(10, func() {
		for _, s := range ss {
			for it = s.Iterator(it); it.Next() != chunkenc.ValNone; samples++ {
			}
		}
	})
	testutil.Equals(t, 11*20*180, samples)
	testutil.Assert(t, allocs == 0, "%v allocations for 20 series", allocs)
	testutil.Ok(t, sq.Close())
}

// TestIteratorsOfLoneReplicasAreReused: where series of one replica come between
// others, raw or downsampled, one iterator still goes through all without memory.
func TestIteratorsOfLoneReplicasAreReused(t *testing.T) {
	labelled := func(kind, replica string, chunk store.Chunk) *store.Series {
		return &store.Series{Labels: labels.FromStrings("__name__", "up", "kind", kind, "replica", replica), Chunks: []store.Chunk{chunk}}
	}
	counts := every(10_000, 0, 40, 0, 1)
	s := plainStore(
		labelled("1", "a", raw(t, counts)),
		labelled("2", "a", raw(t, counts)), labelled("2", "b", raw(t, counts[1:])),
		labelled("3: downsampled", "a", counterChunk(t, counts, 39)),
		labelled("4: downsampled", "a", counterChunk(t, counts, 39)), labelled("4: downsampled", "b", counterChunk(t, counts[2:], 39)),
	)
	q := newQuerier(t, s, &query.Options{ReplicaLabels: []string{"replica"}, MaxResolution: 5 * time.Minute})
	sq, err := q.Queryable(nil).Querier(0, 1_000_000)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, &storage.SelectHints{End: 1_000_000, Func: "increase"})
	var ss []storage.Series
	for set.Next() {
		ss = append(ss, set.At())
	}
	testutil.Ok(t, set.Err())
	testutil.Equals(t, 4, len(ss))
	for _, lone := range []storage.Series{ss[0], ss[2]} {
		for _, other := range ss {
			var it chunkenc.Iterator
			allocs := testing.AllocsPerRun(20, func() {
				for _, s := range []storage.Series{lone, other} {
					for it = s.Iterator(it); it.Next() != chunkenc.ValNone; {
					}
				}
			})
			testutil.Assert(t, allocs == 0, "%s and %s: %v allocations", lone.Labels(), other.Labels(), allocs)
		}
	}
	testutil.Ok(t, sq.Close())
}

// TestMixedAnswer: a store may send plain series and frames in one answer, and a
// series in several parts of either.
func TestMixedAnswer(t *testing.T) {
	t.Parallel()
	parts := []store.Chunk{raw(t, floats(1, 1, 2, 2)), raw(t, floats(3, 3)), raw(t, floats(4, 4, 5, 5)), raw(t, floats(6, 6))}
	q := newQuerier(t, store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		frame := func(ss ...*store.Series) error {
			return (&frameStore{series: ss, perFrame: 10}).Series(ctx, req, w)
		}
		return errors.Join(
			w.Send(series("a", parts[0])), frame(series("a", parts[1]), series("b", parts[0])), w.Send(series("b", parts[1])),
			frame(series("b", parts[2])), frame(series("b", parts[3]), series("c")), w.Send(series("d")), frame(series("e", parts[1])),
		)
	}), nil)
	got := read(t, q, 0, 10, nil, nil)
	testutil.Equals(t, map[string][]sample{
		`{__name__="a"}`: floats(1, 1, 2, 2, 3, 3),
		`{__name__="b"}`: floats(1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6),
		`{__name__="c"}`: {}, `{__name__="d"}`: {},
		`{__name__="e"}`: floats(3, 3),
	}, got)
}
