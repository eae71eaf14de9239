package buckets

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// span is a range of time with a block for each part of it.
type span struct {
	start  time.Time
	blocks int
	each   time.Duration
}

func (s span) end() time.Time { return s.start.Add(time.Duration(s.blocks) * s.each) }

// writeBlocks writes a block for each part of a span into dir, as Prometheus does:
// counters that are reset, gauges with a gap and stale markers, native histograms.
// A sample's value follows from its time, so that spans go on from one another.
func writeBlocks(t testing.TB, dir string, s span) {
	t.Helper()
	for i := range s.blocks {
		from := s.start.Add(time.Duration(i) * s.each)
		w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, s.each.Milliseconds())
		testutil.Ok(t, err)
		app := w.Appender(t.Context())
		for at := from; at.Before(from.Add(s.each)); at = at.Add(time.Minute) {
			appendAt(t, app, at)
		}
		testutil.Ok(t, app.Commit())
		_, err = w.Flush(t.Context())
		testutil.Ok(t, err)
		testutil.Ok(t, w.Close())
	}
}

func appendAt(t testing.TB, app storage.Appender, at time.Time) {
	t.Helper()
	n := int(at.Unix() / 60)
	float := func(name, inst string, v float64) {
		_, err := app.Append(0, labels.FromStrings(labels.MetricName, name, "instance", inst), at.UnixMilli(), v)
		testutil.Ok(t, err)
	}
	for i, inst := range []string{"i0", "i1", "i2"} {
		float("requests_total", inst, float64(n%(1000+100*i)*(i+1)))
		float("temperature", inst, 20+float64(i)+5*math.Sin(float64(n)/170))
	}
	if n%300 > 40 { // A gap, at whose beginning the series is stale.
		float("gaps", "i0", float64(n%7))
	} else if n%300 == 0 {
		float("gaps", "i0", math.Float64frombits(value.StaleNaN))
	}
	if n%5 == 0 {
		v := n / 5 % 500
		for _, fh := range []bool{false, true} {
			h := &histogram.Histogram{
				Schema: 1, ZeroThreshold: 0.001, ZeroCount: uint64(v),
				Count: uint64(7 * v), Sum: float64(3 * v),
				PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}, {Offset: 2, Length: 1}},
				PositiveBuckets: []int64{int64(v), int64(v), int64(v)},
			}
			lset := labels.FromStrings(labels.MetricName, "latency_seconds", "instance", "i0")
			var err error
			if fh {
				_, err = app.AppendHistogram(0, labels.FromStrings(labels.MetricName, "latency_float", "instance", "i0"), at.UnixMilli(), nil, h.ToFloat(nil))
			} else {
				_, err = app.AppendHistogram(0, lset, at.UnixMilli(), h, nil)
			}
			testutil.Ok(t, err)
		}
	}
}
