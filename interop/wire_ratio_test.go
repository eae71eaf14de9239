package interop

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
)

// kubeSeries makes n sorted series as a Kubernetes cluster has them, of one
// chunk with 120 samples.
func kubeSeries(n int) []*storepb.Series {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]*storepb.Series, n)
	for i := range out {
		lset := labels.FromStrings(
			"__name__", "http_requests_total", "cluster", "prod-eu-west-1", "container", "api-server",
			"instance", fmt.Sprintf("10.0.%03d.%03d:9090", i/250, i%250), "job", "kubernetes-pods", "le", fmt.Sprint(i%10),
			"namespace", fmt.Sprintf("team-%03d", i/10%50), "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05x", i),
		)
		const mint, step = int64(1_700_000_000_000), int64(15_000)
		x := chunkenc.NewXORChunk()
		app, err := x.Appender()
		if err != nil {
			panic(err)
		}
		v := 0.0
		for k := range int64(120) {
			v += float64(rng.IntN(200))
			app.Append(mint+k*step+rng.Int64N(5), v)
		}
		out[i] = &storepb.Series{
			Labels: labelpb.ZLabelsFromPromLabels(lset),
			Chunks: []storepb.AggrChunk{{MinTime: mint, MaxTime: mint + 119*step, Raw: &storepb.Chunk{Data: x.Bytes()}}},
		}
	}
	return out
}

const (
	ratioSeries = 4096
	ratioBatch  = 64
)

// kubeResponses are kubeSeries in batches, with the bytes of each.
func kubeResponses(t testing.TB) (msgs []*storepb.SeriesResponse, frames [][]byte) {
	t.Helper()
	series := kubeSeries(ratioSeries)
	for i := 0; i < len(series); i += ratioBatch {
		m := storepb.NewBatchResponse(series[i : i+ratioBatch])
		b, err := m.Marshal()
		testutil.Ok(t, err)
		msgs, frames = append(msgs, m), append(frames, b)
	}
	return msgs, frames
}

func TestRatioDecodeResponses(t *testing.T) {
	msgs, frames := kubeResponses(t)
	f := encoded.NewFrame(nil)
	var d wire.Decoder
	for i, b := range frames {
		resp, err := d.Response(b, f)
		testutil.Ok(t, err)
		want, err := answerOf(msgs[i])
		testutil.Ok(t, err)
		requireEqual(t, want, ourAnswer(resp, f))
	}
	// One pass takes ours less time than a garbage collection that Thanos' turn
	// has left behind.
	const passes = 32
	thanos, ours, r := pair.Work{
		Items: passes * ratioSeries,
		Thanos: func() {
			for range passes {
				for _, b := range frames {
					var m storepb.SeriesResponse
					if err := m.Unmarshal(b); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
		Ours: func() {
			for range passes {
				for _, b := range frames {
					if _, err := d.Response(b, f); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
	}.Compare(t, *ratioPairs)
	testutil.Equals(t, pair.Cost{}, ours)
	testutil.Assert(t, thanos.Allocs > ratioSeries)
	if r.N > 0 {
		testutil.Assert(t, r.Lower >= 4, "lower quartile %.2f", r.Lower)
	}
}

func TestRatioEncodeResponses(t *testing.T) {
	msgs, frames := kubeResponses(t)
	t.Run("as it came", func(t *testing.T) { // a fan-out sends on what it received
		ratioEncode(t, msgs, frames, func(i int) []encoded.Series {
			f := encoded.NewFrame(nil)
			var d wire.Decoder
			_, err := d.Response(frames[i], f)
			testutil.Ok(t, err)
			return f.Series
		})
	})
	t.Run("from fields", func(t *testing.T) { // a Store made it
		ratioEncode(t, msgs, frames, func(i int) (out []encoded.Series) {
			a, err := answerOf(msgs[i])
			testutil.Ok(t, err)
			for _, s := range a.Series {
				v, _ := wire.View(nil, s)
				out = append(out, v)
			}
			return out
		})
	})
}

func ratioEncode(t *testing.T, msgs []*storepb.SeriesResponse, frames [][]byte, viewsOf func(int) []encoded.Series) {
	views := make([][]encoded.Series, len(msgs))
	for i := range msgs {
		views[i] = viewsOf(i)
	}
	var e wire.Encoder
	buf := make([]byte, 0, 1<<20)
	encode := func(run []encoded.Series) []byte {
		e.Reset(buf)
		for i := range run {
			if err := e.Add(&run[i]); err != nil {
				t.Fatal(err)
			}
		}
		return e.Response()
	}
	for i, run := range views {
		testutil.Equals(t, string(frames[i]), string(encode(run)))
	}
	_, ours, r := pair.Work{
		Items: ratioSeries,
		Thanos: func() {
			for _, m := range msgs {
				if _, err := m.Marshal(); err != nil {
					t.Fatal(err)
				}
			}
		},
		Ours: func() {
			for _, run := range views {
				encode(run)
			}
		},
	}.Compare(t, *ratioPairs)
	testutil.Equals(t, pair.Cost{}, ours)
	if r.N > 0 {
		testutil.Assert(t, r.Lower >= 1, "lower quartile %.2f", r.Lower)
	}
}
