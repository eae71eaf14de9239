package tsdbstore_test

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
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

const (
	step = int64(60_000)
	hour = int64(3_600_000)
)

// openDB opens an empty TSDB that takes samples up to a day late.
func openDB(t testing.TB) *tsdb.DB {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	opts.OutOfOrderTimeWindow = 24 * hour
	db, err := tsdb.Open(t.TempDir(), nil, nil, opts, nil)
	testutil.Ok(t, err)
	db.DisableCompactions() // only where a test asks for it
	t.Cleanup(func() { testutil.Ok(t, db.Close()) })
	return db
}

// appendTo appends one sample, a float64 or a histogram of either kind.
func appendTo(t testing.TB, app storage.Appender, lset labels.Labels, ts int64, v any) {
	t.Helper()
	var err error
	switch v := v.(type) {
	case float64:
		_, err = app.Append(0, lset, ts, v)
	case *histogram.Histogram:
		_, err = app.AppendHistogram(0, lset, ts, v, nil)
	case *histogram.FloatHistogram:
		_, err = app.AppendHistogram(0, lset, ts, nil, v)
	default:
		err = fmt.Errorf("sample is a %T", v)
	}
	testutil.Ok(t, err)
}

// kinds are series of every kind of sample, the value at the i-th step.
var kinds = map[string]func(i int64) any{
	"float":   func(i int64) any { return float64(i) / 3 },
	"counter": func(i int64) any { return float64(i % 500) },
	"stale": func(i int64) any {
		if i%7 == 0 {
			return math.Float64frombits(value.StaleNaN)
		}
		return float64(i)
	},
	"histogram":       func(i int64) any { return tsdbutil.GenerateTestHistogram(i % 300) },
	"float_histogram": func(i int64) any { return tsdbutil.GenerateTestFloatHistogram(i % 300) },
	"gauge_histogram": func(i int64) any { return tsdbutil.GenerateTestGaugeHistogram(i * 7 % 100) },
	"gauge_float":     func(i int64) any { return tsdbutil.GenerateTestGaugeFloatHistogram(i * 7 % 100) },
	"custom_buckets":  func(i int64) any { return tsdbutil.GenerateTestCustomBucketsHistogram(i) },
	"mixed": func(i int64) any {
		switch i / 50 % 3 {
		case 0:
			return float64(i)
		case 1:
			return tsdbutil.GenerateTestHistogram(i)
		}
		return tsdbutil.GenerateTestFloatHistogram(i)
	},
}

// fill appends samples of all kinds at the given steps, two series of each.
func fill(t testing.TB, db *tsdb.DB, from, to int64) {
	t.Helper()
	app := db.Appender(context.Background())
	for kind, at := range kinds {
		for _, instance := range []string{"a", "b"} {
			lset := labels.FromStrings("__name__", kind, "instance", instance, "zone", "z")
			for i := from; i < to; i++ {
				appendTo(t, app, lset, i*step, at(i))
			}
		}
	}
	testutil.Ok(t, app.Commit())
}

// fillLate appends floats between the steps, from the last to the first.
func fillLate(t testing.TB, db *tsdb.DB, from, to int64) {
	t.Helper()
	app := db.Appender(context.Background())
	for i := to - 1; i >= from; i-- {
		for _, kind := range []string{"float", "counter"} {
			appendTo(t, app, labels.FromStrings("__name__", kind, "instance", "a", "zone", "z"), i*step+step/2, float64(-i))
		}
	}
	testutil.Ok(t, app.Commit())
}

// samples is the samples of a series in text form, in order.
type samples []string

// fromDB reads the samples of all series that match, by series.
func fromDB(t testing.TB, db storage.Queryable, mint, maxt int64, ms ...*labels.Matcher) map[string]samples {
	t.Helper()
	q, err := db.Querier(mint, maxt)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, q.Close()) }()
	out := map[string]samples{}
	set := q.Select(context.Background(), true, nil, ms...)
	for set.Next() {
		var s samples
		s = s.add(t, set.At().Iterator(nil), mint, maxt)
		if len(s) > 0 {
			out[set.At().Labels().String()] = s
		}
	}
	testutil.Ok(t, set.Err())
	return out
}

// add appends what the iterator has in the range.
func (s samples) add(t testing.TB, it chunkenc.Iterator, mint, maxt int64) samples {
	t.Helper()
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if ts := it.AtT(); ts < mint || ts > maxt {
			continue
		}
		s = append(s, sampleAt(it, vt))
	}
	testutil.Ok(t, it.Err())
	return s
}

// sampleAt shows the sample that it stands on, without the counter reset hint:
// it is a matter of where chunks are cut.
func sampleAt(it chunkenc.Iterator, vt chunkenc.ValueType) string {
	switch vt {
	case chunkenc.ValHistogram:
		ts, h := it.AtHistogram(nil)
		h = h.Copy()
		if h.CounterResetHint != histogram.GaugeType {
			h.CounterResetHint = histogram.UnknownCounterReset
		}
		return fmt.Sprintf("%d int %v %v %d", ts, h, h.CustomValues, h.CounterResetHint)
	case chunkenc.ValFloatHistogram:
		ts, h := it.AtFloatHistogram(nil)
		h = h.Copy()
		if h.CounterResetHint != histogram.GaugeType {
			h.CounterResetHint = histogram.UnknownCounterReset
		}
		return fmt.Sprintf("%d float %v %v %d", ts, h, h.CustomValues, h.CounterResetHint)
	default:
		return floatSample(it.At())
	}
}

func floatSample(ts int64, v float64) string { return fmt.Sprintf("%d %x", ts, math.Float64bits(v)) }

// fromStore reads the samples of all series from a Store. It checks the order
// of series and that chunks overlap the range, do not overlap each other and
// keep within their times.
func fromStore(t testing.TB, s store.Store, req *store.SeriesRequest) map[string]samples {
	t.Helper()
	out := map[string]samples{}
	var last *store.Series
	for series, err := range store.All(context.Background(), s, req, nil) {
		testutil.Ok(t, err)
		key := series.Labels.String()
		if last == nil || labels.Compare(last.Labels, series.Labels) != 0 {
			testutil.Assert(t, last == nil || labels.Compare(last.Labels, series.Labels) < 0, "%s follows %s", series.Labels, last)
			last = &store.Series{Labels: series.Labels}
		}
		testutil.Assert(t, len(series.Chunks) > 0, "%s has no chunks", key)
		for _, c := range series.Chunks {
			testutil.Assert(t, c.MinTime <= req.MaxTime && c.MaxTime >= req.MinTime, "%s has a chunk from %d to %d", key, c.MinTime, c.MaxTime)
			if n := len(last.Chunks); n > 0 {
				testutil.Assert(t, last.Chunks[n-1].MaxTime < c.MinTime, "%s has overlapping chunks", key)
			}
			last.Chunks = append(last.Chunks, c)
			checkTimes(t, c)
			dec, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			out[key] = out[key].add(t, dec.Iterator(nil), req.MinTime, req.MaxTime)
		}
		if len(out[key]) == 0 {
			delete(out, key)
		}
	}
	return out
}

// checkTimes checks that a chunk begins and ends with its times.
func checkTimes(t testing.TB, c store.Chunk) {
	t.Helper()
	dec, err := c.Raw.Chunk()
	testutil.Ok(t, err)
	it := dec.Iterator(nil)
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for it.Next() != chunkenc.ValNone {
		first, last = min(first, it.AtT()), max(last, it.AtT())
	}
	testutil.Ok(t, it.Err())
	testutil.Equals(t, first, c.MinTime)
	testutil.Equals(t, last, c.MaxTime)
}

func matcher(t labels.MatchType, name, value string) *labels.Matcher {
	return labels.MustNewMatcher(t, name, value)
}

var everySeries = matcher(labels.MatchRegexp, "__name__", ".*")

// TestLimitedLabelsAreThePrefix appends series in falling order: a database that
// is given the limit stops at the values that it met first.
func TestLimitedLabelsAreThePrefix(t *testing.T) {
	db := openDB(t)
	app := db.Appender(t.Context())
	for i := range 50 {
		_, err := app.Append(0, labels.FromStrings("__name__", "up", "pod", fmt.Sprintf("%02d", 49-i)), 1000, 1)
		testutil.Ok(t, err)
	}
	testutil.Ok(t, app.Commit())
	s := tsdbstore.New(db, nil)
	values, err := s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "pod", MaxTime: 2000, Limit: 3})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"00", "01", "02"}, values)
	names, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 2000, Limit: 1})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__"}, names)
}
