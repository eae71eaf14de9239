package fanout_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

const benchSeries = 4000 // of each pair of members

// benchAnswer is one member's answer: series of a shape that is common in
// Kubernetes, each with one chunk of 600 bytes. Members of different replicas
// have different chunks.
func benchAnswer(pair, pairs, replica, chunksPerSeries int) []*store.Series {
	out := make([]*store.Series, benchSeries)
	for i := range out {
		n := i*pairs + pair
		lset := labels.FromStrings(
			"__name__", fmt.Sprintf("http_requests_%02d_total", n/2000),
			"cluster", "prod-eu-west-1", "container", "api-server",
			"instance", fmt.Sprintf("10.0.%03d.%03d:9090", n>>8, n&255),
			"job", "kubernetes-pods", "le", fmt.Sprint(i%10),
			"namespace", fmt.Sprintf("team-%03d", (n/10)%50),
			"pod", fmt.Sprintf("api-server-7c9f6b7d5-%05x", n),
		)
		s := &store.Series{Labels: lset}
		for c := range chunksPerSeries {
			data := make([]byte, 600)
			for j := range data {
				data[j] = byte(j*7 + n + c + 31*replica)
			}
			from := int64(c)*1_800_000 + int64(replica)*7_000
			s.Chunks = append(s.Chunks, store.Chunk{
				MinTime: from, MaxTime: from + 1_785_000,
				Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: data},
			})
		}
		out[i] = s
	}
	return out
}

func benchFrames(ss []*store.Series) []*encoded.Frame {
	var out []*encoded.Frame
	for i := 0; i < len(ss); i += 64 {
		f := encoded.NewFrame(nil)
		for _, s := range ss[i:min(i+64, len(ss))] {
			v, _ := wire.View(nil, s)
			f.Series = append(f.Series, v)
			f.Size += v.Size()
		}
		out = append(out, f)
	}
	return out
}

func replays(frames []*encoded.Frame) store.Store {
	return store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		fw := w.(encoded.Writer)
		for _, f := range frames {
			if err := fw.SendFrame(f); err != nil {
				return err
			}
		}
		return nil
	})
}

// sendsOwned sends the series themselves: the fan-out only reads them.
func sendsOwned(ss []*store.Series) store.Store {
	return store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, s := range ss {
			if err := w.Send(s); err != nil {
				return err
			}
		}
		return nil
	})
}

// counter counts what it is sent.
type counter struct{ series, chunks int }

func (c *counter) Send(s *store.Series) error { panic("plain series") }
func (c *counter) Warn(err error) error       { return err }
func (c *counter) SendFrame(f *encoded.Frame) error {
	c.series += len(f.Series)
	for i := range f.Series {
		c.chunks += len(f.Series[i].Chunks)
	}
	return nil
}

// BenchmarkSeries merges pairs of replicas. One operation is one series of one
// member.
func BenchmarkSeries(b *testing.B) {
	for _, members := range []int{4, 16} {
		for _, identical := range []bool{true, false} {
			for _, plain := range []bool{false, true} {
				kind, via := "offset", "frames"
				if identical {
					kind = "identical"
				}
				if plain {
					via = "plain"
				}
				b.Run(fmt.Sprintf("members=%d/replicas=%s/%s", members, kind, via), func(b *testing.B) {
					var stores []store.Store
					for i := range members {
						replica := i % 2
						if identical {
							replica = 0
						}
						ss := benchAnswer(i/2, members/2, replica, 1)
						if plain {
							stores = append(stores, sendsOwned(ss))
						} else {
							stores = append(stores, replays(benchFrames(ss)))
						}
					}
					f := newFanout(b, nil, named(stores...)...)
					req := &store.SeriesRequest{MinTime: 0, MaxTime: 1 << 40}
					b.ReportAllocs()
					n := 0
					for b.Loop() {
						c := &counter{}
						testutil.Ok(b, f.Series(context.Background(), req, c))
						testutil.Equals(b, benchSeries*members/2, c.series)
						n++
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*benchSeries*members), "ns/series")
				})
			}
		}
	}
}

// BenchmarkFirstSync is what it takes until all members of a new fan-out are known,
// each with external labels of its own.
func BenchmarkFirstSync(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			stores := make([]store.Store, n)
			for i := range stores {
				stores[i] = withInfo(sends(), infoOf(fmt.Sprint(i)))
			}
			members := named(stores...)
			b.ReportAllocs()
			for b.Loop() {
				f := newFanout(b, nil, members...)
				testutil.Ok(b, f.Sync(b.Context()))
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/member")
		})
	}
}
