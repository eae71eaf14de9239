package promstore_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/thanoskit/thanoskit/store"
)

const (
	scrape  = 15_000 // ms
	scrapes = 280
)

// floats adds series with one float sample per scrape.
func (f *fake) floats(t testing.TB, n int, lsets ...labels.Labels) {
	t.Helper()
	for _, lset := range lsets {
		f.append(t, n, func(app storage.Appender, i int, ts int64) error {
			_, err := app.Append(0, lset, ts, float64(i*i%97))
			return err
		})
	}
}

// append adds a series of n samples.
func (f *fake) append(t testing.TB, n int, add func(app storage.Appender, i int, ts int64) error) {
	t.Helper()
	app := f.db.Appender(context.Background())
	for i := range n {
		testutil.Ok(t, add(app, i, int64(i+1)*scrape))
	}
	testutil.Ok(t, app.Commit())
}

// kinds adds one series of every kind of samples, the first third of it in a
// block.
func (f *fake) kinds(t testing.TB) {
	t.Helper()
	integer := func(h *histogram.Histogram) (*histogram.Histogram, *histogram.FloatHistogram) { return h, nil }
	float := func(h *histogram.FloatHistogram) (*histogram.Histogram, *histogram.FloatHistogram) { return nil, h }
	for name, sample := range map[string]func(i int) (*histogram.Histogram, *histogram.FloatHistogram){
		"counter": func(i int) (*histogram.Histogram, *histogram.FloatHistogram) {
			return integer(tsdbutil.GenerateTestHistogram(int64(i % 130))) // with resets
		},
		"layouts": func(i int) (*histogram.Histogram, *histogram.FloatHistogram) {
			h := tsdbutil.GenerateTestHistogram(int64(i))
			if i%50 >= 25 { // more buckets, so that chunks are encoded again
				h.PositiveSpans = []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 3}}
				h.PositiveBuckets = append(h.PositiveBuckets, 1)
				h.Count += uint64(i) + 2
			}
			return integer(h)
		},
		"gauge": func(i int) (*histogram.Histogram, *histogram.FloatHistogram) {
			return integer(tsdbutil.GenerateTestGaugeHistogram(int64(i * 7 % 31)))
		},
		"float": func(i int) (*histogram.Histogram, *histogram.FloatHistogram) {
			return float(tsdbutil.GenerateTestFloatHistogram(int64(i % 130)))
		},
		"float_gauge": func(i int) (*histogram.Histogram, *histogram.FloatHistogram) {
			return float(tsdbutil.GenerateTestGaugeFloatHistogram(int64(i * 7 % 31)))
		},
		"stale": func(i int) (*histogram.Histogram, *histogram.FloatHistogram) {
			if i%40 == 39 {
				return integer(&histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)})
			}
			return integer(tsdbutil.GenerateTestHistogram(int64(i)))
		},
		"both": func(i int) (*histogram.Histogram, *histogram.FloatHistogram) {
			switch i / 10 % 3 {
			case 0:
				return integer(tsdbutil.GenerateTestHistogram(int64(i)))
			case 1:
				return float(tsdbutil.GenerateTestFloatHistogram(int64(i)))
			}
			return nil, nil // a float
		},
		"values": func(int) (*histogram.Histogram, *histogram.FloatHistogram) { return nil, nil },
	} {
		lset := labels.FromStrings("__name__", "kind", "kind", name)
		f.append(t, scrapes, func(app storage.Appender, i int, ts int64) error {
			if h, fh := sample(i); h != nil || fh != nil {
				_, err := app.AppendHistogram(0, lset, ts, h, fh)
				return err
			}
			v := []float64{0, 1.5, -7, math.Inf(1), math.NaN(), math.Float64frombits(value.StaleNaN), 1e300}[i%7]
			_, err := app.Append(0, lset, ts, v)
			return err
		})
	}
	f.cutBlock(t, scrapes/3*scrape)
}

// customBuckets adds series of native histograms with custom buckets.
func (f *fake) customBuckets(t testing.TB) {
	t.Helper()
	for _, name := range []string{"integer", "float"} {
		lset := labels.FromStrings("__name__", "custom", "kind", name)
		f.append(t, 150, func(app storage.Appender, i int, ts int64) (err error) {
			if name == "integer" {
				_, err = app.AppendHistogram(0, lset, ts, tsdbutil.GenerateTestCustomBucketsHistogram(int64(i)), nil)
			} else {
				_, err = app.AppendHistogram(0, lset, ts, nil, tsdbutil.GenerateTestCustomBucketsFloatHistogram(int64(i)))
			}
			return err
		})
	}
}

// cutBlock moves what is not after maxt from the head to a block.
func (f *fake) cutBlock(t testing.TB, maxt int64) {
	t.Helper()
	testutil.Ok(t, f.db.CompactHead(tsdb.NewRangeHead(f.db.Head(), f.db.Head().MinTime(), maxt)))
}

// held returns what the TSDB holds as text: the samples of each series.
func (f *fake) held(t testing.TB, mint, maxt int64, ms ...*labels.Matcher) map[string][]string {
	t.Helper()
	q, err := f.db.Querier(mint, maxt)
	testutil.Ok(t, err)
	defer q.Close()
	set := q.Select(context.Background(), true, nil, ms...)
	out := map[string][]string{}
	for set.Next() {
		it := set.At().Iterator(nil)
		out[set.At().Labels().String()] = appendSamples(t, nil, it, mint, maxt)
	}
	testutil.Ok(t, set.Err())
	return out
}

// sent returns what a Store sends as text: the samples of each series.
func sent(t testing.TB, series []*store.Series, mint, maxt int64) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, s := range series {
		var samples []string
		for _, c := range s.Chunks {
			chk, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			n := 0
			for it := chk.Iterator(nil); it.Next() != chunkenc.ValNone; n++ {
				testutil.Assert(t, c.MinTime <= it.AtT() && it.AtT() <= c.MaxTime, "sample at %d in a chunk from %d to %d", it.AtT(), c.MinTime, c.MaxTime)
			}
			testutil.Equals(t, chk.NumSamples(), n)
			samples = appendSamples(t, samples, chk.Iterator(nil), mint, maxt)
		}
		out[s.Labels.String()] = samples
	}
	return out
}

func appendSamples(t testing.TB, dst []string, it chunkenc.Iterator, mint, maxt int64) []string {
	t.Helper()
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if ts := it.AtT(); ts < mint || ts > maxt {
			continue
		}
		switch vt {
		case chunkenc.ValFloat:
			ts, v := it.At()
			dst = append(dst, fmt.Sprintf("%d %x", ts, math.Float64bits(v)))
		case chunkenc.ValHistogram:
			ts, h := it.AtHistogram(nil)
			gauge := h.CounterResetHint == histogram.GaugeType
			dst = append(dst, fmt.Sprintf("%d int %x %t %s", ts, math.Float64bits(h.Sum), gauge, h.Copy().Compact(0)))
		case chunkenc.ValFloatHistogram:
			ts, h := it.AtFloatHistogram(nil)
			gauge := h.CounterResetHint == histogram.GaugeType
			dst = append(dst, fmt.Sprintf("%d float %x %t %s", ts, math.Float64bits(h.Sum), gauge, h.Copy().Compact(0)))
		}
	}
	testutil.Ok(t, it.Err())
	return dst
}
