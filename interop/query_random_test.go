package interop

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/atomic"

	"github.com/thanos-io/thanos/pkg/component"
	thanosquery "github.com/thanos-io/thanos/pkg/query"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"
	storetestutil "github.com/thanos-io/thanos/pkg/store/storepb/testutil"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// queryCase is one series as several stores have it, and how it is asked for.
type queryCase struct {
	stores     [][]storepb.AggrChunk
	fn         string
	algorithm  string // empty: no deduplication
	mint, maxt int64
}

// randomQueryCase draws a case in which we and Thanos mean to give the same. What
// we mean to do otherwise is left out: overlapping raw chunks without
// deduplication, of which we return all samples; counters that have raw chunks
// only, which we do not raise; resets; and aggregated chunks that are the same,
// which Thanos' proxy takes for different ones.
func randomQueryCase(rng *rand.Rand) queryCase {
	c := queryCase{
		fn:        []string{"", "avg_over_time", "min", "max_over_time", "count", "sum_over_time", "rate", "increase", "delta"}[rng.IntN(9)],
		algorithm: []string{"", "penalty", "penalty", "chain"}[rng.IntN(4)],
	}
	counter := c.fn == "rate" || c.fn == "increase"
	for range 1 + rng.IntN(3) {
		var chunks []storepb.AggrChunk
		t := 1000 + rng.Int64N(200)
		v := 0.0
		for i := range 1 + rng.IntN(6) {
			n := 1 + rng.IntN(12)
			ts, vs := make([]int64, n), make([]float64, n)
			for k := range ts {
				switch {
				case counter && rng.IntN(8) == 0:
					v = float64(rng.IntN(5))
				case counter:
					v += float64(rng.IntN(30))
				case rng.IntN(30) == 0:
					v = math.NaN()
				default:
					v = float64(rng.IntN(1000))
				}
				ts[k], vs[k] = t, v
				t += 1 + rng.Int64N(40)
			}
			aggregated := rng.IntN(2) == 0 || c.algorithm == "" || counter && i == 0
			chunks = append(chunks, queryChunk(rng, ts, vs, aggregated, c.algorithm == "" || counter))
			if rng.IntN(4) == 0 {
				t += rng.Int64N(300)
			}
		}
		c.stores = append(c.stores, chunks)
	}
	hasAggregates := func(c storepb.AggrChunk) bool { return c.Raw == nil }
	if rng.IntN(3) == 0 && !slices.ContainsFunc(c.stores[0], hasAggregates) { // a replica that is the same
		c.stores = append(c.stores, c.stores[0])
	}
	c.mint = 900 + rng.Int64N(1500)
	c.maxt = c.mint + rng.Int64N(2500)
	return c
}

// queryChunk makes a raw chunk, or an aggregated one in which each sample stands
// for a window.
func queryChunk(rng *rand.Rand, ts []int64, vs []float64, aggregated, mixed bool) storepb.AggrChunk {
	encode := func(f func(i int) float64, more ...float64) *storepb.Chunk {
		x := chunkenc.NewXORChunk()
		app, err := x.Appender()
		if err != nil {
			panic(err)
		}
		for i, t := range ts {
			app.Append(t, f(i))
		}
		for _, v := range more {
			app.Append(ts[len(ts)-1], v)
		}
		return &storepb.Chunk{Data: x.Bytes()}
	}
	out := storepb.AggrChunk{MinTime: ts[0], MaxTime: ts[len(ts)-1]}
	if !aggregated {
		out.Raw = encode(func(i int) float64 { return vs[i] })
		return out
	}
	counts := make([]float64, len(ts))
	for i := range counts {
		counts[i] = float64(1 + rng.IntN(20))
	}
	out.Count = encode(func(i int) float64 { return counts[i] })
	out.Sum = encode(func(i int) float64 { return vs[i] * counts[i] })
	out.Min = encode(func(i int) float64 { return vs[i] - 1 })
	out.Max = encode(func(i int) float64 { return vs[i] + 1 })
	out.Counter = encode(func(i int) float64 { return vs[i] }, vs[len(vs)-1]-float64(rng.IntN(3)))
	if mixed && rng.IntN(4) == 0 {
		out.Raw = encode(func(i int) float64 { return vs[i] })
	}
	return out
}

// queryables are the case's stores behind Thanos' querier and behind ours.
func (c queryCase) queryables(t testing.TB) (thanos, ours storage.Queryable) {
	t.Helper()
	var clients []thanosstore.Client
	var members []fanout.Member
	lset := labels.FromStrings("__name__", "up")
	for i, chunks := range c.stores {
		s := &storepb.Series{Labels: labelpb.ZLabelsFromPromLabels(lset), Chunks: chunks}
		clients = append(clients, storetestutil.TestClient{
			StoreClient: storepb.ServerAsClient(&queryPeer{batches: []*storepb.SeriesResponse{storepb.NewSeriesResponse(s)}}, atomic.Bool{}),
			Name:        fmt.Sprint(i), MaxTime: math.MaxInt64, WithoutReplicaLabelsEnabled: true,
		})
		plain := seriesOfThanos(s)
		members = append(members, fanout.Member{Name: fmt.Sprint(i), Store: store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			return w.Send(&store.Series{Labels: plain.Labels, Chunks: plain.Chunks})
		})})
	}
	proxy := thanosstore.NewProxyStore(nil, nil, func() []thanosstore.Client { return clients }, component.Query, labels.EmptyLabels(), 0, thanosstore.EagerRetrieval)
	create := thanosquery.NewQueryableCreator(nil, nil, proxy, 4, time.Minute, c.algorithm, 1)
	thanos = create(c.algorithm != "", []string{"replica"}, nil, 0, true, false, nil, thanosquery.NoopSeriesStatsReporter)

	f, err := fanout.New(fanout.Static(members...), nil)
	testutil.Ok(t, err)
	opts := &query.Options{}
	if c.algorithm != "" {
		opts.ReplicaLabels = []string{"replica"}
		opts.Algorithm, err = dedup.Parse(c.algorithm)
		testutil.Ok(t, err)
	}
	q, err := query.New(f, opts)
	testutil.Ok(t, err)
	return thanos, q.Queryable(nil)
}

// samples selects and reads all.
func (c queryCase) samples(t testing.TB, qb storage.Queryable) (out []string) {
	t.Helper()
	q, err := qb.Querier(c.mint, c.maxt)
	testutil.Ok(t, err)
	set := q.Select(context.Background(), false, &storage.SelectHints{Start: c.mint, End: c.maxt, Func: c.fn}, labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"))
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			ts, v := it.At()
			if ts <= c.maxt { // Thanos' goes on for a sample after a seek
				out = append(out, fmt.Sprintf("%d:%x", ts, math.Float64bits(v)))
			}
		}
		testutil.Ok(t, it.Err())
	}
	testutil.Ok(t, set.Err())
	testutil.Equals(t, 0, len(set.Warnings()))
	testutil.Ok(t, q.Close())
	return out
}

// TestQueryRandom compares what a select gives, sample by sample, over raw and
// downsampled chunks that overlap in all ways.
func TestQueryRandom(t *testing.T) {
	some := 0
	for seed := range uint64(4000) {
		c := randomQueryCase(rand.New(rand.NewPCG(seed, 7)))
		thanos, ours := c.queryables(t)
		want, got := c.samples(t, thanos), c.samples(t, ours)
		if !slices.Equal(want, got) {
			t.Fatalf("seed %d: %q, %q, from %d to %d, %d stores:\nthanos %v\nours   %v", seed, c.fn, c.algorithm, c.mint, c.maxt, len(c.stores), want, got)
		}
		some += len(want)
	}
	testutil.Assert(t, some > 10_000, "only %d samples were compared", some)
}
