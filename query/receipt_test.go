package query_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// receipt shows what an Outcome says of replicas.
func receipt(o *store.Outcome) (out []string) {
	for _, r := range o.Replicas() {
		out = append(out, fmt.Sprintf("%s in %d: %d", r.Labels, r.Series, r.Samples))
	}
	if n := o.Unidentified(); n > 0 {
		out = append(out, fmt.Sprintf("unidentified: %d", n))
	}
	return out
}

// TestReceipt: who is in how many series, and whose samples came out.
func TestReceipt(t *testing.T) {
	t.Parallel()
	a, b := every(10_000, 0, 6, 0, 10), every(10_000, 5_000, 15, 4, 10)
	two := replicas([]store.Chunk{raw(t, a)}, []store.Chunk{raw(t, b)})
	lone := &store.Series{Labels: labels.FromStrings("__name__", "up", "replica", "a", "z", "1"), Chunks: []store.Chunk{raw(t, a)}}
	nobody := &store.Series{Labels: labels.FromStrings("__name__", "up", "y", "1"), Chunks: []store.Chunk{raw(t, a)}}
	lost := &store.Series{Labels: labels.FromStrings("__name__", "up", "y", "1"), Chunks: []store.Chunk{raw(t, a), raw(t, b)}}
	empty := &store.Series{Labels: labels.FromStrings("__name__", "up", "replica", "", "z", "1"), Chunks: []store.Chunk{raw(t, a)}}
	hist := slices.Clone(a)
	for i := range hist {
		hist[i].kind = chunkenc.ValHistogram
	}
	for name, tc := range map[string]struct {
		series []*store.Series
		opts   query.QueryOptions
		want   []string
	}{
		"one stands in for the other": {two, query.QueryOptions{}, []string{`{replica="a"} in 1: 6`, `{replica="b"} in 1: 9`}},
		"several series":              {[]*store.Series{two[0], lone, two[1]}, query.QueryOptions{}, []string{`{replica="a"} in 2: 12`, `{replica="b"} in 1: 9`}},
		"copies are the first one's": {replicas([]store.Chunk{raw(t, a)}, []store.Chunk{raw(t, a)}), query.QueryOptions{},
			[]string{`{replica="a"} in 1: 6`, `{replica="b"} in 1: 0`}},
		"histograms": {replicas([]store.Chunk{raw(t, hist)}, []store.Chunk{raw(t, hist)}), query.QueryOptions{},
			[]string{`{replica="a"} in 1: 6`, `{replica="b"} in 1: 0`}},
		"chunks of one that overlap": {replicas([]store.Chunk{raw(t, a[:4]), raw(t, a[2:])}), query.QueryOptions{}, []string{`{replica="a"} in 1: 6`}},
		"chunks of two that overlap": {replicas([]store.Chunk{raw(t, a[:4]), raw(t, a[2:])}, []store.Chunk{raw(t, b[:8]), raw(t, b[4:])}), query.QueryOptions{},
			[]string{`{replica="a"} in 1: 6`, `{replica="b"} in 1: 9`}},
		"histograms of one that overlap": {replicas([]store.Chunk{raw(t, hist[:4]), raw(t, hist[2:])}), query.QueryOptions{}, []string{`{replica="a"} in 1: 6`}},
		"no replica label":               {[]*store.Series{nobody}, query.QueryOptions{}, []string{`{} in 1: 6`}},
		"labels were lost":               {[]*store.Series{lost}, query.QueryOptions{}, []string{`{} in 1: 15`, "unidentified: 1"}},
		"labels of some were lost":       {[]*store.Series{two[0], lost}, query.QueryOptions{}, []string{`{} in 1: 15`, `{replica="a"} in 1: 6`, "unidentified: 1"}},
		"an empty label is none":         {[]*store.Series{nobody, empty}, query.QueryOptions{}, []string{`{} in 2: 12`}},
		"penalty has tracks":             {two, query.QueryOptions{Algorithm: dedup.Penalty{}}, []string{"unidentified: 1"}},
		"no deduplication":               {two, query.QueryOptions{Dedup: new(false)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			series := slices.Clone(tc.series)
			slices.SortFunc(series, func(a, b *store.Series) int { return labels.Compare(a.Labels, b.Labels) })
			tc.opts.Outcome = &store.Outcome{}
			q := newQuerier(t, plainStore(series...), &query.Options{ReplicaLabels: []string{"replica"}})
			read(t, q, 0, 200_000, nil, &tc.opts)
			testutil.Equals(t, tc.want, receipt(tc.opts.Outcome))
		})
	}
}

// TestReceiptOfQuery: what a query's Outcome says is said to the caller's, too.
func TestReceiptOfQuery(t *testing.T) {
	t.Parallel()
	q := newQuerier(t, replicated(), &query.Options{ReplicaLabels: []string{"replica"}})
	out := &store.Outcome{}
	res, err := q.Range(context.Background(), "requests_total", time.Unix(0, 0), time.Unix(1800, 0), time.Minute, &query.QueryOptions{Outcome: out})
	testutil.Ok(t, err)
	defer res.Close()
	testutil.Equals(t, []string{`{replica="a"} in 1: 100`, `{replica="b"} in 1: 21`}, receipt(res.Outcome))
	testutil.Equals(t, receipt(res.Outcome), receipt(out))
}

// lateEngine closes the queriers that it has opened when the query is closed.
type lateEngine struct{ promql.QueryEngine }

func (e lateEngine) NewInstantQuery(ctx context.Context, qb storage.Queryable, o promql.QueryOpts, expr string, ts time.Time) (promql.Query, error) {
	late := &lateQueryable{Queryable: qb}
	q, err := e.QueryEngine.NewInstantQuery(ctx, late, o, expr, ts)
	return lateQuery{q, late}, err
}

type lateQueryable struct {
	storage.Queryable
	opened []storage.Querier
}

func (q *lateQueryable) Querier(mint, maxt int64) (storage.Querier, error) {
	out, err := q.Queryable.Querier(mint, maxt)
	q.opened = append(q.opened, out)
	return lateQuerier{out}, err
}

type lateQuerier struct{ storage.Querier }

func (lateQuerier) Close() error { return nil }

type lateQuery struct {
	promql.Query
	late *lateQueryable
}

func (q lateQuery) Close() {
	q.Query.Close()
	for _, opened := range q.late.opened {
		_ = opened.Close() // never an error
	}
}

// TestReceiptOfLateEngine: an answer comes with its receipt, even if the engine keeps
// queriers open; and it is not told twice.
func TestReceiptOfLateEngine(t *testing.T) {
	t.Parallel()
	engine := lateEngine{promql.NewEngine(promql.EngineOpts{MaxSamples: 100_000, Timeout: time.Minute})}
	q := newQuerier(t, replicated(), &query.Options{ReplicaLabels: []string{"replica"}, Engine: engine})
	out := &store.Outcome{}
	res, err := q.Instant(context.Background(), "rate(requests_total[5m])", time.Unix(500, 0), &query.QueryOptions{Outcome: out})
	testutil.Ok(t, err)
	want := []string{`{replica="a"} in 1: 20`, `{replica="b"} in 1: 0`}
	testutil.Equals(t, want, receipt(out))
	res.Close()
	testutil.Equals(t, want, receipt(res.Outcome))
}

// TestReceiptInParallel goes through series many times at once, with iterators
// that are used again and ones that are not. Whose a sample is its time tells.
func TestReceiptInParallel(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(1))
	var all []*store.Series
	for pod := range 20 {
		for i := range int64(3) {
			ss := every(15_000, i*4_001+r.Int63n(3)*3, 300, 1, 1)
			for k := range ss {
				ss[k].t = ss[k].t/3*3 + i
			}
			gap := r.Intn(250)
			ss = slices.Delete(ss, gap, gap+r.Intn(40))
			all = append(all, &store.Series{
				Labels: labels.FromStrings("__name__", "up", "pod", fmt.Sprintf("%02d", pod), "replica", fmt.Sprint(i)),
				Chunks: []store.Chunk{raw(t, ss[:120]), raw(t, ss[120:240]), raw(t, ss[240:])},
			})
		}
	}
	out := &store.Outcome{}
	q := newQuerier(t, plainStore(all...), &query.Options{ReplicaLabels: []string{"replica"}})
	sq, err := q.Queryable(&query.QueryOptions{Outcome: out}).Querier(0, 10_000_000)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, nil, equals("__name__", "up"))
	var series []chunkenc.Iterable
	for set.Next() {
		series = append(series, set.At())
	}
	testutil.Ok(t, set.Err())
	var mu sync.Mutex
	var wg sync.WaitGroup
	want := [3]int64{}
	for worker := range 8 {
		wg.Go(func() {
			var it chunkenc.Iterator
			own := [3]int64{}
			for _, s := range series {
				if worker%2 == 0 {
					it = nil
				}
				for it = s.Iterator(it); it.Next() != chunkenc.ValNone; {
					own[it.AtT()%3]++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range own {
				want[i] += own[i]
			}
		})
	}
	wg.Wait()
	testutil.Equals(t, 0, len(out.Replicas()), "told at Close")
	testutil.Ok(t, sq.Close())
	testutil.Ok(t, sq.Close())
	for i, r := range out.Replicas() {
		testutil.Equals(t, fmt.Sprint(i), r.Labels.Get("replica"))
		testutil.Equals(t, want[i], r.Samples)
		testutil.Equals(t, int64(20), r.Series)
		testutil.Assert(t, i == 2 || r.Samples > 0)
	}
	testutil.Equals(t, 3, len(out.Replicas()))
}

// TestReceiptOfOverlaps: chunks of histograms that overlap, whose samples all come
// out, are counted once each, however they are read.
func TestReceiptOfOverlaps(t *testing.T) {
	t.Parallel()
	kinds := func(ss []sample) []sample {
		for i := range ss {
			ss[i].kind = chunkenc.ValHistogram
		}
		return ss
	}
	a := []store.Chunk{raw(t, kinds(every(10_000, 0, 20, 1, 1))), raw(t, kinds(every(10_000, 5_000, 20, 1, 1)))}
	b := []store.Chunk{raw(t, kinds(every(10_000, 300_000, 20, 1, 1))), raw(t, kinds(every(10_000, 305_000, 20, 1, 1)))}
	for name, tc := range map[string]struct {
		series []*store.Series
		want   []string
	}{
		"one":          {replicas(a), []string{`{replica="a"} in 1: 40`}},
		"two, in turn": {replicas(a, b), []string{`{replica="a"} in 1: 40`, `{replica="b"} in 1: 40`}},
	} {
		for _, seek := range []bool{false, true} {
			out := &store.Outcome{}
			q := newQuerier(t, plainStore(tc.series...), &query.Options{ReplicaLabels: []string{"replica"}})
			sq, err := q.Queryable(&query.QueryOptions{Outcome: out}).Querier(0, 1_000_000)
			testutil.Ok(t, err)
			set := sq.Select(t.Context(), true, nil, equals("__name__", "up"))
			testutil.Assert(t, set.Next())
			it := set.At().Iterator(nil)
			if !seek {
				for it.Next() != chunkenc.ValNone {
				}
			}
			for at := int64(0); seek && it.Seek(at) != chunkenc.ValNone; at = it.AtT() + 1 {
				testutil.Assert(t, it.Seek(at) != chunkenc.ValNone) // where it is
			}
			testutil.Ok(t, sq.Close())
			testutil.Equals(t, tc.want, receipt(out), "%s, seeking %t", name, seek)
		}
	}
}
