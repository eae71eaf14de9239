package interop

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
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
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// The querier benchmark: two clusters of two replicas each, six hours of a scrape
// every 15 s.
const (
	querySeries = 250
	queryChunks = 12
	queryStep   = 15_000
	queryRange  = queryChunks * 120 * queryStep
)

// querySeriesOf makes the series of one replica of a cluster. The second replica
// scrapes the same values offset later, and if it is later at all, misses a chunk
// now and then. Counters are reset if resets is set.
func querySeriesOf(cluster string, offset int64, countersOnly, resets bool) []*storepb.Series {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]*storepb.Series, querySeries)
	for i := range out {
		out[i] = &storepb.Series{Labels: labelpb.ZLabelsFromPromLabels(labels.FromStrings(
			"__name__", "http_requests_total", "cluster", cluster, "container", "api-server", "instance", fmt.Sprintf("10.0.0.%03d:9090", i),
			"job", "kubernetes-pods", "namespace", "team-001", "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05x", i),
		))}
		kind := i % 10
		if countersOnly {
			kind = 0
		}
		v := 0.0
		for c := range queryChunks {
			x := chunkenc.NewXORChunk()
			app, err := x.Appender()
			if err != nil {
				panic(err)
			}
			mint, maxt := int64(math.MaxInt64), int64(0)
			for k := range 120 {
				t := int64(c*120+k)*queryStep + offset + rng.Int64N(5)
				switch {
				case kind < 5 && resets && rng.IntN(3000) == 0:
					v = 0
				case kind < 5:
					v += float64(rng.IntN(200))
				case kind < 8:
					v = math.Round(rng.Float64()*1e4) / 100
				}
				app.Append(t, v)
				mint, maxt = min(mint, t), t
			}
			if offset > 0 && i%3 == 0 && c%5 == 2 {
				continue
			}
			out[i].Chunks = append(out[i].Chunks, storepb.AggrChunk{MinTime: mint, MaxTime: maxt, Raw: &storepb.Chunk{Data: x.Bytes()}})
		}
	}
	return out
}

// queryPeer is a StoreServer that answers with the same batches again and again.
type queryPeer struct {
	storepb.StoreServer
	batches []*storepb.SeriesResponse
}

func (p *queryPeer) Series(_ *storepb.SeriesRequest, srv storepb.Store_SeriesServer) error {
	for _, b := range p.batches {
		if err := srv.Send(b); err != nil {
			return err
		}
	}
	return nil
}

// queryMember is the same as a Store.
type queryMember struct{ frames []*encoded.Frame }

func (m *queryMember) Series(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	for _, f := range m.frames {
		if err := wire.Send(w, f); err != nil {
			return err
		}
	}
	return nil
}

func (m *queryMember) Describe(context.Context) (store.Info, error) {
	return store.Info{MaxTime: math.MaxInt64, SupportsWithoutReplicaLabels: true}, nil
}

// queryables are Thanos' querier over its proxy, and ours over our fan-out, with
// the same data. Counters are reset only if there are two different replicas:
// those of one replica Thanos raises over their resets too, which alters rates,
// while ours are what Prometheus has.
func queryables(t testing.TB, offset int64, countersOnly bool, algorithm string) (thanos, ours storage.Queryable) {
	t.Helper()
	var clients []thanosstore.Client
	var members []fanout.Member
	for i, cluster := range []string{"eu", "eu", "us", "us"} {
		peer, member := &queryPeer{}, &queryMember{}
		series := querySeriesOf(cluster, int64(i%2)*offset, countersOnly, offset > 0)
		for len(series) > 0 {
			n := min(ratioBatch, len(series))
			peer.batches = append(peer.batches, storepb.NewBatchResponse(series[:n]))
			f := encoded.NewFrame(nil)
			for _, s := range series[:n] {
				v, _ := wire.View(nil, seriesOfThanos(s))
				f.Series = append(f.Series, v)
			}
			member.frames, series = append(member.frames, f), series[n:]
		}
		clients = append(clients, storetestutil.TestClient{
			StoreClient: storepb.ServerAsClient(peer, atomic.Bool{}), Name: fmt.Sprint(i), MaxTime: math.MaxInt64,
			WithoutReplicaLabelsEnabled: true,
		})
		members = append(members, fanout.Member{Name: fmt.Sprint(i), Store: member})
	}
	proxy := thanosstore.NewProxyStore(nil, nil, func() []thanosstore.Client { return clients }, component.Query, labels.EmptyLabels(), 0, thanosstore.EagerRetrieval)
	create := thanosquery.NewQueryableCreator(nil, nil, proxy, 4, time.Minute, algorithm, ratioBatch)
	thanos = create(true, []string{"replica"}, nil, 0, true, false, nil, thanosquery.NoopSeriesStatsReporter)

	f, err := fanout.New(fanout.Static(members...), nil)
	testutil.Ok(t, err)
	alg, err := dedup.Parse(algorithm)
	testutil.Ok(t, err)
	q, err := query.New(f, &query.Options{ReplicaLabels: []string{"replica"}, Algorithm: alg})
	testutil.Ok(t, err)
	return thanos, q.Queryable(nil)
}

// querySelect selects everything and goes through all samples.
func querySelect(t testing.TB, qb storage.Queryable, fn string, series func(labels.Labels), sample func(int64, float64)) {
	q, err := qb.Querier(0, queryRange)
	testutil.Ok(t, err)
	set := q.Select(context.Background(), false, &storage.SelectHints{Start: 0, End: queryRange, Func: fn},
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "http_requests_total"))
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		series(s.Labels())
		for it = s.Iterator(it); it.Next() != chunkenc.ValNone; {
			sample(it.At())
		}
		testutil.Ok(t, it.Err())
	}
	testutil.Ok(t, set.Err())
	testutil.Equals(t, 0, len(set.Warnings()))
	testutil.Ok(t, q.Close())
}

// querySamples is all that a select gives.
type querySamples struct {
	labels []string
	counts []int
	ts     []int64
	vs     []uint64
}

func selectAll(t testing.TB, qb storage.Queryable, fn string) querySamples {
	var out querySamples
	querySelect(t, qb, fn, func(l labels.Labels) {
		out.labels, out.counts = append(out.labels, l.String()), append(out.counts, len(out.ts))
	}, func(ts int64, v float64) { out.ts, out.vs = append(out.ts, ts), append(out.vs, math.Float64bits(v)) })
	return out
}

// TestRatioQuerySelect selects and iterates over two clusters of two replicas
// each, through Thanos' querier and proxy and through ours.
func TestRatioQuerySelect(t *testing.T) {
	for _, algorithm := range []string{"penalty", "chain"} {
		for _, tc := range []struct {
			replicas string
			offset   int64
			fn       string
		}{
			{"identical", 0, ""},
			{"offset", 7000, ""},
			{"identical", 0, "rate"},
			{"offset", 7000, "rate"},
		} {
			if algorithm == "chain" && tc.fn == "rate" {
				// Thanos chains counters that it raised from each chunk's start on.
				continue
			}
			t.Run(fmt.Sprintf("%s/%s/func=%s", algorithm, tc.replicas, tc.fn), func(t *testing.T) {
				thanos, ours := queryables(t, tc.offset, tc.fn == "rate", algorithm)
				want, got := selectAll(t, thanos, tc.fn), selectAll(t, ours, tc.fn)
				testutil.Equals(t, 2*querySeries, len(want.labels))
				testutil.Equals(t, want.labels, got.labels)
				testutil.Equals(t, want.counts, got.counts)
				for i := range want.ts {
					if want.ts[i] != got.ts[i] || want.vs[i] != got.vs[i] {
						t.Fatalf("sample %d: thanos has %d %x, we %d %x", i, want.ts[i], want.vs[i], got.ts[i], got.vs[i])
					}
				}
				drain := func(qb storage.Queryable) func() {
					return func() {
						n := 0
						querySelect(t, qb, tc.fn, func(labels.Labels) { n++ }, func(int64, float64) {})
						testutil.Equals(t, 2*querySeries, n)
					}
				}
				// Per sample that the stores sent.
				pair.Work{Thanos: drain(thanos), Ours: drain(ours), Items: 4 * querySeries * queryChunks * 120}.Compare(t, *ratioPairs)
			})
		}
	}
}

// TestRatioQueryRange evaluates with the same engine over both.
func TestRatioQueryRange(t *testing.T) {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: math.MaxInt32, Timeout: time.Minute, LookbackDelta: 5 * time.Minute})
	for _, expr := range []string{
		"sum by (cluster) (rate(http_requests_total[5m]))",
		"max by (cluster) (http_requests_total)",
		"increase(http_requests_total[1h])",
	} {
		for _, offset := range []int64{0, 7000} {
			t.Run(fmt.Sprintf("%s/offset=%d", expr, offset), func(t *testing.T) {
				thanos, ours := queryables(t, offset, true, "penalty")
				run := func(qb storage.Queryable) string {
					qry, err := engine.NewRangeQuery(context.Background(), qb, nil, expr, time.UnixMilli(3_600_000), time.UnixMilli(queryRange), time.Minute)
					testutil.Ok(t, err)
					defer qry.Close()
					res := qry.Exec(context.Background())
					testutil.Ok(t, res.Err)
					return res.String()
				}
				want := run(thanos)
				testutil.Assert(t, len(want) > 1000)
				testutil.Assert(t, want == run(ours), "answers differ")
				pair.Work{
					Thanos: func() { run(thanos) }, Ours: func() { run(ours) },
					Items: 4 * querySeries * queryChunks * 120,
				}.Compare(t, *ratioPairs)
			})
		}
	}
}
