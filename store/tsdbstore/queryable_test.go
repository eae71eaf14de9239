package tsdbstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

// sampleDB is a storage.Queryable of fixed series.
type sampleDB struct {
	series   []storage.Series
	warnings annotations.Annotations
	openErr  error
	setErr   error
	hints    *storage.SelectHints // of the last call
	read     int                  // samples that iterators moved to
}

func (db *sampleDB) Querier(int64, int64) (storage.Querier, error) {
	if db.openErr != nil {
		return nil, db.openErr
	}
	return &sampleQuerier{db: db}, nil
}

type sampleQuerier struct {
	db *sampleDB
	i  int
}

func (q *sampleQuerier) Select(_ context.Context, _ bool, hints *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	q.db.hints = hints
	return q
}

func (q *sampleQuerier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return []string{"a", "b"}, q.db.warnings, nil
}

func (q *sampleQuerier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return []string{"1", "2"}, q.db.warnings, nil
}
func (*sampleQuerier) Close() error                        { return nil }
func (q *sampleQuerier) Next() bool                        { q.i++; return q.i <= len(q.db.series) }
func (q *sampleQuerier) At() storage.Series                { return counted{q.db.series[q.i-1], q.db} }
func (q *sampleQuerier) Err() error                        { return q.db.setErr }
func (q *sampleQuerier) Warnings() annotations.Annotations { return q.db.warnings }

// counted counts the samples that are read of a series.
type counted struct {
	storage.Series
	db *sampleDB
}

func (c counted) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	if i, ok := it.(*countedIterator); ok {
		it = i.Iterator
	}
	return &countedIterator{c.Series.Iterator(it), c.db}
}

type countedIterator struct {
	chunkenc.Iterator
	db *sampleDB
}

func (c *countedIterator) Next() chunkenc.ValueType {
	c.db.read++
	return c.Iterator.Next()
}

func (c *countedIterator) Seek(t int64) chunkenc.ValueType {
	c.db.read++
	return c.Iterator.Seek(t)
}

// sample is a sample for storage.NewListSeries.
type sample struct {
	t  int64
	f  float64
	h  *histogram.Histogram
	fh *histogram.FloatHistogram
}

func (s sample) T() int64                      { return s.t }
func (s sample) F() float64                    { return s.f }
func (s sample) H() *histogram.Histogram       { return s.h }
func (s sample) FH() *histogram.FloatHistogram { return s.fh }
func (s sample) Copy() chunks.Sample           { return s }
func (s sample) ST() int64                     { return 0 }

func (s sample) Type() chunkenc.ValueType {
	switch {
	case s.h != nil:
		return chunkenc.ValHistogram
	case s.fh != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

func list(lset labels.Labels, n int, at func(i int64) sample) storage.Series {
	samples := make([]chunks.Sample, n)
	for i := range samples {
		samples[i] = at(int64(i))
	}
	return storage.NewListSeries(lset, samples)
}

// TestQueryableChunks looks at the chunks that are made of samples.
func TestQueryableChunks(t *testing.T) {
	t.Parallel()
	name := func(n string) labels.Labels { return labels.FromStrings("__name__", n) }
	db := &sampleDB{series: []storage.Series{
		list(name("counter"), 250, func(i int64) sample {
			return sample{t: i, h: tsdbutil.GenerateTestHistogram(i % 100)} // with resets at 100 and 200
		}),
		list(name("empty"), 0, nil),
		list(name("floats"), 250, func(i int64) sample { return sample{t: i, f: float64(i)} }),
		list(name("gauge"), 150, func(i int64) sample { return sample{t: i, h: tsdbutil.GenerateTestGaugeHistogram(i % 7)} }),
		list(name("late"), 5, func(i int64) sample { return sample{t: 1000 + i} }),
		list(name("mixed"), 9, func(i int64) sample {
			switch i / 3 {
			case 0:
				return sample{t: i}
			case 1:
				return sample{t: i, fh: tsdbutil.GenerateTestFloatHistogram(i)}
			}
			return sample{t: i, h: tsdbutil.GenerateTestCustomBucketsHistogram(i)}
		}),
	}}
	var got []string
	for series, err := range store.All(t.Context(), tsdbstore.NewQueryable(db, nil), &store.SeriesRequest{MinTime: 1, MaxTime: 999}, nil) {
		testutil.Ok(t, err)
		for _, c := range series.Chunks {
			text := fmt.Sprintf("%s %d-%d %s", series.Labels.Get("__name__"), c.MinTime, c.MaxTime, c.Raw.Encoding)
			if c.Raw.Encoding != chunkenc.EncXOR {
				text += fmt.Sprintf(" %x", c.Raw.Bytes[2]) // the counter reset header
			}
			got = append(got, text)
		}
	}
	testutil.Equals(t, []string{
		"counter 1-99 histogram 0", "counter 100-199 histogram 80", "counter 200-249 histogram 80",
		"floats 1-120 XOR", "floats 121-240 XOR", "floats 241-249 XOR",
		"gauge 1-120 histogram c0", "gauge 121-149 histogram c0",
		"mixed 1-2 XOR", "mixed 3-5 floathistogram 0", "mixed 6-8 histogram 0",
	}, got)
	testutil.Assert(t, !db.hints.DisableTrimming)
}

// TestQueryableLabelsOnly: one sample of each series tells whether it has data.
func TestQueryableLabelsOnly(t *testing.T) {
	t.Parallel()
	db := &sampleDB{}
	for i := range 100 {
		db.series = append(db.series, list(labels.FromStrings("id", fmt.Sprintf("%03d", i)), 1000, func(j int64) sample { return sample{t: int64(i) + 1000*j} }))
	}
	n := 0
	for series, err := range store.All(t.Context(), tsdbstore.NewQueryable(db, nil), &store.SeriesRequest{MinTime: 1000, MaxTime: 1049, SkipChunks: true}, nil) {
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(series.Chunks))
		n++
	}
	testutil.Equals(t, 50, n)
	testutil.Equals(t, 100, db.read)
}

// TestExactLabels: a TSDB answers from its index, and differs from what its
// chunks say only in what was deleted.
func TestExactLabels(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	fill(t, db, 0, 400)
	testutil.Ok(t, db.Compact(t.Context()))
	fillLate(t, db, 300, 399)
	ended := labels.FromStrings("ended", "1")
	app := db.Appender(t.Context())
	appendTo(t, app, ended, 400*step, 1.0)
	testutil.Ok(t, app.Commit())
	index, exact := tsdbstore.New(db, nil), tsdbstore.New(db, &tsdbstore.Options{ExactLabels: true})
	list := func(s store.Store, req store.SeriesRequest) (out []string) {
		req.SkipChunks = true
		for series, err := range store.All(t.Context(), s, &req, nil) {
			testutil.Ok(t, err)
			out = append(out, series.Labels.String())
		}
		return out
	}
	for _, req := range []store.SeriesRequest{
		{MinTime: math.MinInt64, MaxTime: math.MaxInt64}, {MinTime: 100 * step, MaxTime: 110 * step}, {MinTime: -10, MaxTime: -1},
		{MaxTime: 400 * step, Limit: 3}, {MinTime: 500 * step, MaxTime: 600 * step}, {MinTime: 400*step - 1, MaxTime: 400 * step},
		{MaxTime: 400 * step, Matchers: []*labels.Matcher{matcher(labels.MatchRegexp, "__name__", "mixed|stale")}},
	} {
		testutil.Equals(t, list(exact, req), list(index, req), req.String())
	}
	testutil.Ok(t, db.Delete(t.Context(), 380*step, math.MaxInt64, everySeries))
	gap := store.SeriesRequest{MinTime: 390 * step, MaxTime: 399 * step}
	testutil.Equals(t, 0, len(list(exact, gap)))
	testutil.Assert(t, len(list(index, gap)) > 0)
}

func TestQueryableErrors(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	a, b := labels.FromStrings("a", "1"), labels.FromStrings("b", "1")
	one := func(i int64) sample { return sample{t: i} }
	for _, tc := range []struct {
		name string
		db   sampleDB
		opts *tsdbstore.Options
		skip bool
		want error
		text string
	}{
		{name: "open", db: sampleDB{openErr: boom}, want: boom},
		{name: "set", db: sampleDB{setErr: boom}, want: boom},
		{name: "order", db: sampleDB{series: []storage.Series{list(b, 1, one), list(a, 1, one)}}, want: store.ErrUnsorted, text: `{a="1"} after {b="1"}`},
		{name: "order of labels", db: sampleDB{series: []storage.Series{list(b, 1, one), list(a, 1, one)}}, skip: true, want: store.ErrUnsorted},
		{name: "unsorted", db: sampleDB{series: []storage.Series{list(b, 1, one), list(a, 1, one)}}, opts: &tsdbstore.Options{Unsorted: true}},
		{name: "samples", db: sampleDB{series: []storage.Series{list(a, 3, func(i int64) sample { return sample{t: i / 2} })}}, want: store.ErrMalformed, text: `{a="1"}`},
		{name: "parts", db: sampleDB{series: []storage.Series{list(a, 1, one), list(a, 1, one), list(b, 1, one)}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := store.Store(tsdbstore.NewQueryable(&tc.db, tc.opts))
			if tc.opts != nil && tc.opts.Unsorted {
				s = store.Wrap(s, store.WithSorting())
			}
			err := s.Series(t.Context(), &store.SeriesRequest{MaxTime: 100, SkipChunks: tc.skip}, &recorder{})
			testutil.Assert(t, errors.Is(err, tc.want) && (err == nil) == (tc.want == nil), "%v", err)
			testutil.Assert(t, err == nil || strings.Contains(err.Error(), tc.text), "%v", err)
		})
	}
}

// both is a database of which the index fails.
type both struct {
	fakeDB
	sampleDB
}

func TestIndexErrors(t *testing.T) {
	t.Parallel()
	boom, enough := errors.New("boom"), errors.New("enough")
	series := []storage.Series{list(labels.FromStrings("a", "1"), 1, func(i int64) sample { return sample{t: i} })}
	for _, tc := range []struct {
		name string
		db   sampleDB
		w    recorder
		want error
	}{
		{name: "open", db: sampleDB{openErr: boom}, want: boom},
		{name: "set", db: sampleDB{setErr: boom}, want: boom},
		{name: "send", db: sampleDB{series: series}, w: recorder{sendErr: enough}, want: enough},
		{name: "warn", db: sampleDB{warnings: notes(boom)}, w: recorder{warnErr: enough}, want: enough},
	} {
		err := tsdbstore.New(&both{sampleDB: tc.db}, nil).Series(t.Context(), &store.SeriesRequest{SkipChunks: true}, &tc.w)
		testutil.Assert(t, errors.Is(err, tc.want), "%s: %v", tc.name, err)
	}
}

func TestQueryableLabelQueries(t *testing.T) {
	t.Parallel()
	db := &sampleDB{warnings: notes(errors.New("a doubt"))}
	s := tsdbstore.NewQueryable(db, &tsdbstore.Options{Component: "receive"})
	var out store.Outcome
	names, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{Outcome: &out})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b"}, names)
	values, err := s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "a", Limit: 1, Outcome: &out})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"1"}, values)
	testutil.Equals(t, 2, len(out.Warnings()))
	w := &recorder{}
	for _, skip := range []bool{false, true} {
		testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{SkipChunks: skip}, w))
	}
	info, err := s.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, "receive", info.Component)
	testutil.Equals(t, int64(math.MinInt64), info.MinTime)
}
