package tsdbstore_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

var up = labels.FromStrings("__name__", "up")

// recorder keeps what it is sent, and fails when told to.
type recorder struct {
	series   []*store.Series
	warnings []string
	sendErr  error
	warnErr  error
	onSend   func()
}

func (w *recorder) Send(s *store.Series) error {
	w.series = append(w.series, s)
	if w.onSend != nil {
		w.onSend()
	}
	return w.sendErr
}

func (w *recorder) Warn(err error) error {
	w.warnings = append(w.warnings, err.Error())
	return w.warnErr
}

func notes(errs ...error) annotations.Annotations {
	var a annotations.Annotations
	for _, err := range errs {
		a.Add(err)
	}
	return a
}

func TestSeriesErrors(t *testing.T) {
	t.Parallel()
	boom, enough := errors.New("boom"), errors.New("enough")
	good := fakeSeries{lset: up, metas: []chunks.Meta{floats(t, 10)}}
	doubt := notes(errors.New("a doubt"))
	for name, tc := range map[string]struct {
		db       *fakeDB
		w        *recorder
		strategy store.PartialResponseStrategy
		want     error
		text     string
	}{
		"no querier":       {db: &fakeDB{openErr: boom}, want: boom},
		"select fails":     {db: &fakeDB{setErr: boom}, want: boom},
		"iterator fails":   {db: &fakeDB{series: []fakeSeries{{lset: up, err: boom}}}, want: boom, text: `{__name__="up"}`},
		"close fails":      {db: &fakeDB{series: []fakeSeries{good}, closeErr: boom}, want: boom},
		"send fails":       {db: &fakeDB{series: []fakeSeries{good}}, w: &recorder{sendErr: enough}, want: enough},
		"warn fails":       {db: &fakeDB{warnings: doubt}, w: &recorder{warnErr: enough}, want: enough},
		"warning to abort": {db: &fakeDB{warnings: doubt}, strategy: store.Abort, text: "a doubt"},
		"unloaded chunk":   {db: &fakeDB{series: []fakeSeries{{lset: up, metas: []chunks.Meta{{MaxTime: 5}}}}}, text: `{__name__="up"}`},
		"unknown samples": {
			db:   &fakeDB{series: []fakeSeries{{lset: up, metas: []chunks.Meta{{MaxTime: 5, Chunk: newer{values: []any{1.0, nil}}}}}}},
			want: store.ErrEncoding, text: `{__name__="up"}`,
		},
		"unreadable samples": {
			db:   &fakeDB{series: []fakeSeries{{lset: up, metas: []chunks.Meta{{MaxTime: 5, Chunk: newer{values: []any{1.0}, err: boom}}}}}},
			want: boom, text: `{__name__="up"}`,
		},
		"unreadable open chunk": {
			db:   &fakeDB{series: []fakeSeries{{lset: up, metas: []chunks.Meta{truncated(t)}}}},
			text: `{__name__="up"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.w == nil {
				tc.w = &recorder{}
			}
			err := tsdbstore.New(tc.db, nil).Series(context.Background(), &store.SeriesRequest{MaxTime: 100, Strategy: tc.strategy}, tc.w)
			testutil.NotOk(t, err)
			testutil.Assert(t, tc.want == nil || errors.Is(err, tc.want), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), tc.text), "%v", err)
			if tc.w.sendErr != nil || tc.w.warnErr != nil {
				testutil.Equals(t, enough, err, "not wrapped")
			}
			testutil.Equals(t, 0, tc.db.open)
		})
	}
}

// truncated makes a chunk whose end is not known and cannot be read.
func truncated(t *testing.T) chunks.Meta {
	m := floats(t, 10, 20, 31)
	b := m.Chunk.Bytes()
	c, err := chunkenc.FromData(chunkenc.EncXOR, slices.Clone(b[:len(b)-3]))
	testutil.Ok(t, err)
	return chunks.Meta{MinTime: 10, MaxTime: math.MaxInt64, Chunk: c}
}

func TestEncodingError(t *testing.T) {
	t.Parallel()
	db := &fakeDB{series: []fakeSeries{{lset: up, metas: []chunks.Meta{{MaxTime: 5, Chunk: newer{values: []any{nil}}}}}}}
	err := tsdbstore.New(db, nil).Series(context.Background(), &store.SeriesRequest{MaxTime: 100}, &recorder{})
	var e *store.EncodingError
	testutil.Assert(t, errors.As(err, &e), "%v", err)
	testutil.Equals(t, newerEncoding, e.Encoding)
	testutil.Equals(t, up.String(), e.Series.String())
}

func TestSeriesCanceled(t *testing.T) {
	t.Parallel()
	db := &fakeDB{}
	for range 1000 {
		db.series = append(db.series, fakeSeries{lset: up, metas: []chunks.Meta{floats(t, 10)}})
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &recorder{onSend: cancel} // while the first frame is sent
	err := tsdbstore.New(db, nil).Series(ctx, &store.SeriesRequest{MaxTime: 100}, w)
	testutil.Equals(t, context.Canceled, err)
	testutil.Assert(t, len(w.series) < len(db.series), "%d series after the call was canceled", len(w.series))
	testutil.Equals(t, 0, db.open)

	err = tsdbstore.New(db, nil).Series(ctx, &store.SeriesRequest{MinTime: 1}, w)
	testutil.Equals(t, context.Canceled, err)
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	db := &fakeDB{warnings: notes(errors.New("b"), errors.New("a"))}
	w := &recorder{}
	testutil.Ok(t, tsdbstore.New(db, nil).Series(context.Background(), &store.SeriesRequest{}, w))
	testutil.Equals(t, []string{"a", "b"}, w.warnings)

	// What is said of an expression does not abort.
	db.warnings = notes(annotations.PromQLWarning, annotations.PromQLInfo)
	w = &recorder{}
	testutil.Ok(t, tsdbstore.New(db, nil).Series(context.Background(), &store.SeriesRequest{Strategy: store.Abort}, w))
	testutil.Equals(t, 2, len(w.warnings))
}

func TestLabelErrorsAndWarnings(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	ctx := context.Background()
	ask := func(db *fakeDB, strategy store.PartialResponseStrategy, out *store.Outcome) []error {
		s := tsdbstore.New(db, nil)
		_, err1 := s.LabelNames(ctx, &store.LabelNamesRequest{Strategy: strategy, Outcome: out})
		_, err2 := s.LabelValues(ctx, &store.LabelValuesRequest{Label: "a", Strategy: strategy, Outcome: out})
		return []error{err1, err2}
	}
	for name, tc := range map[string]struct {
		db       *fakeDB
		strategy store.PartialResponseStrategy
		want     error
	}{
		"no querier":       {&fakeDB{openErr: boom}, store.Warn, boom},
		"lookup fails":     {&fakeDB{labelErr: boom}, store.Warn, boom},
		"close fails":      {&fakeDB{closeErr: boom}, store.Warn, boom},
		"warning to abort": {&fakeDB{warnings: notes(boom)}, store.Abort, boom},
	} {
		for _, err := range ask(tc.db, tc.strategy, nil) {
			testutil.Assert(t, errors.Is(err, tc.want), "%s: %v", name, err)
		}
		testutil.Equals(t, 0, tc.db.open)
	}
	var out store.Outcome
	for _, err := range ask(&fakeDB{warnings: notes(boom)}, store.Warn, &out) {
		testutil.Ok(t, err)
	}
	testutil.Equals(t, []error{boom, boom}, out.Warnings())

	_, err := tsdbstore.New(&fakeDB{startErr: boom}, nil).Describe(ctx)
	testutil.Assert(t, errors.Is(err, boom), "%v", err)
}

// TestNoStartTime has a database that says nothing of its time.
func TestNoStartTime(t *testing.T) {
	t.Parallel()
	db := struct{ storage.ChunkQueryable }{&fakeDB{}}
	info, err := tsdbstore.New(db, nil).Describe(context.Background())
	testutil.Ok(t, err)
	testutil.Equals(t, [2]int64{math.MinInt64, math.MaxInt64}, [2]int64{info.MinTime, info.MaxTime})
}

func TestHintsAndMatchers(t *testing.T) {
	t.Parallel()
	db := &fakeDB{}
	s := tsdbstore.New(db, nil)
	ms := []*labels.Matcher{matcher(labels.MatchEqual, "a", "1"), matcher(labels.MatchEqual, "b", "2")}
	req := &store.SeriesRequest{MinTime: 1, MaxTime: 9, Limit: 5, Matchers: slices.Clone(ms), Hints: &store.QueryHints{
		Step: time.Second, Range: time.Minute, Func: "rate", Grouping: []string{"a"}, By: true,
	}}
	testutil.Ok(t, s.Series(context.Background(), req, &recorder{}))
	testutil.Equals(t, &storage.SelectHints{
		Start: 1, End: 9, DisableTrimming: true, Step: 1000, Range: 60_000, Func: "rate", Grouping: []string{"a"}, By: true,
	}, db.hints)
	testutil.Assert(t, slices.Equal(ms, req.Matchers), "the request's matchers changed")

	req.Hints.Func = "series"
	testutil.Ok(t, s.Series(context.Background(), req, &recorder{}))
	testutil.Equals(t, &storage.SelectHints{Start: 1, End: 9, DisableTrimming: true}, db.hints)

	names := &store.LabelNamesRequest{MaxTime: 9, Matchers: slices.Clone(ms)}
	_, err := s.LabelNames(context.Background(), names)
	testutil.Ok(t, err)
	testutil.Assert(t, slices.Equal(ms, names.Matchers), "the request's matchers changed")
}

// TestReencoded sends chunks that are in a newer encoding or still open.
func TestReencoded(t *testing.T) {
	t.Parallel()
	open := floats(t, 100, 200)
	open.MaxTime = math.MaxInt64
	h := tsdbutil.GenerateTestHistogram
	values := []any{1.0, 2.0, h(1), h(5), h(2), tsdbutil.GenerateTestFloatHistogram(3), 4.0, tsdbutil.GenerateTestGaugeHistogram(3)}
	db := &fakeDB{series: []fakeSeries{{lset: up, metas: []chunks.Meta{
		{MinTime: 0, MaxTime: 50, Chunk: newer{values: values}}, {Chunk: newer{}}, open,
	}}}}
	s := tsdbstore.New(db, nil)

	got := fromStore(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64})[up.String()]
	var want samples
	want = want.add(t, newer{values: values}.Iterator(nil), 0, math.MaxInt64)
	want = append(want, floatSample(100, 100), floatSample(200, 200))
	testutil.Equals(t, want, got)

	var times [][2]int64
	for series, err := range store.All(context.Background(), s, &store.SeriesRequest{MinTime: 1, MaxTime: 150}, nil) {
		testutil.Ok(t, err)
		for _, c := range series.Chunks {
			times = append(times, [2]int64{c.MinTime, c.MaxTime})
		}
	}
	testutil.Equals(t, [][2]int64{{0, 1}, {2, 3}, {4, 4}, {5, 5}, {6, 6}, {7, 7}, {100, 200}}, times)

	testutil.Equals(t, 0, len(fromStore(t, s, &store.SeriesRequest{MinTime: 201, MaxTime: math.MaxInt64})))
	testutil.Equals(t, 0, len(fromStore(t, s, &store.SeriesRequest{MinTime: 8, MaxTime: 99})))
}
