package wire_test

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// kubeSeries makes n sorted series as a Kubernetes cluster has them, each with
// chunks of 120 samples.
func kubeSeries(n, chunks int) []*store.Series {
	r := rand.New(rand.NewSource(1))
	out := make([]*store.Series, n)
	for i := range out {
		s := &store.Series{Labels: labels.FromStrings(
			"__name__", "http_requests_total", "cluster", "prod-eu-west-1", "container", "api-server",
			"instance", fmt.Sprintf("10.0.%d.%d:9090", i/250, i%250), "job", "kubernetes-pods", "le", fmt.Sprint(i%10),
			"namespace", fmt.Sprintf("team-%03d", i/10%50), "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05x", i),
		)}
		for c := range chunks {
			mint := 1_700_000_000_000 + int64(c)*120*15_000
			x := chunkenc.NewXORChunk()
			app, err := x.Appender()
			if err != nil {
				panic(err)
			}
			v := 0.0
			for k := range int64(120) {
				v += float64(r.Intn(200))
				app.Append(mint+k*15_000+int64(r.Intn(5)), v)
			}
			ch, err := store.RawChunk(mint, mint+119*15_000, x)
			if err != nil {
				panic(err)
			}
			s.Chunks = append(s.Chunks, ch)
		}
		out[i] = s
	}
	return out
}

// responses encodes series in batches.
func responses(t testing.TB, series []*store.Series, batch int) [][]byte {
	t.Helper()
	var e wire.Encoder
	var out [][]byte
	for i, s := range series {
		v, _ := wire.View(nil, s)
		testutil.Ok(t, e.Add(&v))
		if e.Series() == batch || i == len(series)-1 {
			out = append(out, e.Response())
			e.Reset(nil)
		}
	}
	return out
}

func BenchmarkDecodeResponse(b *testing.B) {
	const n = 2048
	for _, c := range []struct {
		name          string
		chunks, batch int
	}{{"batch=64", 1, 64}, {"batch=1", 1, 1}, {"batch=64/chunks=24", 24, 64}, {"batch=64/labels", 0, 64}} {
		b.Run(c.name, func(b *testing.B) {
			frames := responses(b, kubeSeries(n, c.chunks), c.batch)
			f := encoded.NewFrame(nil)
			var d wire.Decoder
			b.ReportAllocs()
			for b.Loop() {
				for _, r := range frames {
					if _, err := d.Response(r, f); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "series/s")
		})
	}
}

func BenchmarkEncodeResponse(b *testing.B) {
	const n, batch = 2048, 64
	series := kubeSeries(n, 1)
	b.Run("fields", func(b *testing.B) {
		views := make([]encoded.Series, n)
		for i, s := range series {
			views[i], _ = wire.View(nil, s)
		}
		benchmarkEncode(b, views, batch)
	})
	b.Run("wire", func(b *testing.B) {
		f := encoded.NewFrame(nil)
		var d wire.Decoder
		_, err := d.Response(responses(b, series, n)[0], f)
		testutil.Ok(b, err)
		benchmarkEncode(b, f.Series, batch)
	})
	b.Run("memcpy", func(b *testing.B) { // the same bytes, for comparison
		frames := responses(b, series, batch)
		buf := make([]byte, 0, 1<<20)
		b.ReportAllocs()
		for b.Loop() {
			for _, f := range frames {
				buf = append(buf[:0], f...)
			}
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "series/s")
	})
}

func benchmarkEncode(b *testing.B, views []encoded.Series, batch int) {
	var e wire.Encoder
	buf := make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		e.Reset(buf)
		for i := range views {
			if err := e.Add(&views[i]); err != nil {
				b.Fatal(err)
			}
			if e.Series() == batch {
				e.Response()
				e.Reset(e.Buffer())
			}
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(views))/b.Elapsed().Seconds(), "series/s")
}
