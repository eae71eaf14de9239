package query_test

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// Size of the benchmarks' data: each store has as many series of twelve chunks,
// six hours of a scrape every 15 s.
const (
	benchSeries = 250
	benchChunks = 12
	benchRange  = benchChunks * 120 * 15_000
)

// memory is a store that sends the same frames again and again, as received.
type memory struct{ frames []*encoded.Frame }

func (m *memory) Series(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	for _, f := range m.frames {
		if err := wire.Send(w, f); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Describe(context.Context) (store.Info, error) {
	return store.Info{SupportsWithoutReplicaLabels: true}, nil
}

// benchStore has half counters, a third gauges, and constants. Stores of one
// cluster have the same series, scraped offset apart.
func benchStore(tb testing.TB, cluster string, offset int64) *memory {
	m := &memory{}
	var f *encoded.Frame
	r := rand.New(rand.NewSource(1)) // values are those of the other replica
	for i := range benchSeries {
		if i%64 == 0 {
			f = encoded.NewFrame(nil)
			m.frames = append(m.frames, f)
		}
		s := &store.Series{Labels: labels.FromStrings("__name__", "http_requests_total", "cluster", cluster, "code", "200", "instance",
			fmt.Sprintf("10.0.0.%03d:9090", i), "job", "kubernetes-pods", "namespace", "team-001", "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05d", i))}
		v := 0.0
		for c := range int64(benchChunks) {
			ss := every(15_000, c*120*15_000+offset, 120, 0, 0)
			for k := range ss {
				ss[k].t += r.Int63n(4)
				switch i % 10 {
				case 0, 1, 2, 3, 4:
					v += float64(r.Intn(50))
				case 5, 6, 7:
					v = math.Round(r.Float64()*1e4) / 100
				}
				ss[k].v = v
			}
			s.Chunks = append(s.Chunks, raw(tb, ss))
		}
		v1, _ := wire.View(nil, s)
		f.Series = append(f.Series, v1)
	}
	return m
}

// benchQuerier is over two clusters of two replicas each.
func benchQuerier(b *testing.B, offset int64) *query.Querier {
	var members []fanout.Member
	for i, cluster := range []string{"eu", "eu", "us", "us"} {
		members = append(members, fanout.Member{Name: fmt.Sprint(i), Store: benchStore(b, cluster, int64(i%2)*offset)})
	}
	f, err := fanout.New(fanout.Static(members...), nil)
	testutil.Ok(b, err)
	return newQuerier(b, f, &query.Options{ReplicaLabels: []string{"replica"}})
}

func reportSamples(b *testing.B) {
	const perOp = 4 * benchSeries * benchChunks * 120
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perOp, "ns/sample")
}

func BenchmarkSelect(b *testing.B) {
	for name, offset := range map[string]int64{"identical": 0, "offset": 7000} {
		for _, fn := range []string{"", "rate"} {
			b.Run(fmt.Sprintf("%s/func=%s", name, fn), func(b *testing.B) {
				q := benchQuerier(b, offset)
				b.ReportAllocs()
				for b.Loop() {
					sq, err := q.Queryable(nil).Querier(0, benchRange)
					testutil.Ok(b, err)
					set := sq.Select(context.Background(), false, &storage.SelectHints{Start: 0, End: benchRange, Func: fn})
					n := 0
					var it chunkenc.Iterator
					for set.Next() {
						n++
						for it = set.At().Iterator(it); it.Next() != chunkenc.ValNone; {
							it.At()
						}
					}
					testutil.Ok(b, set.Err())
					testutil.Equals(b, 0, len(set.Warnings()))
					testutil.Equals(b, 2*benchSeries, n)
					testutil.Ok(b, sq.Close())
				}
				reportSamples(b)
			})
		}
	}
}

func BenchmarkRange(b *testing.B) {
	for _, expr := range []string{"sum by (cluster) (rate(http_requests_total[5m]))", "max(http_requests_total)"} {
		b.Run(expr, func(b *testing.B) {
			q := benchQuerier(b, 7000)
			b.ReportAllocs()
			for b.Loop() {
				res, err := q.Range(context.Background(), expr, time.UnixMilli(300_000), time.UnixMilli(benchRange), time.Minute, nil)
				testutil.Ok(b, err)
				testutil.Assert(b, len(res.Value.(promql.Matrix)) > 0 && len(res.Warnings) == 0)
				res.Close()
			}
			reportSamples(b)
		})
	}
}
