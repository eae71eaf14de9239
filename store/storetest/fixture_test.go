package storetest_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// appender appends to a memstore, and fails at the n-th sample.
type appender struct {
	s       *memstore.Store
	n, fail int
	last    int64
	t       *testing.T
}

var errFull = errors.New("disk full")

func (a *appender) at(ts int64) error {
	testutil.Assert(a.t, ts >= a.last, "time %d after %d", ts, a.last)
	a.last = ts
	if a.n++; a.n == a.fail {
		return errFull
	}
	return nil
}

func (a *appender) Append(_ storage.SeriesRef, lset labels.Labels, ts int64, v float64) (storage.SeriesRef, error) {
	if err := a.at(ts); err != nil {
		return 0, err
	}
	return 0, a.s.Append(lset, ts, v)
}

func (a *appender) AppendHistogram(_ storage.SeriesRef, lset labels.Labels, ts int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	if err := a.at(ts); err != nil {
		return 0, err
	}
	if h != nil {
		return 0, a.s.AppendHistogram(lset, ts, h)
	}
	return 0, a.s.AppendFloatHistogram(lset, ts, fh)
}

// TestFixture: the two forms of the fixture are the same, every time anew.
func TestFixture(t *testing.T) {
	t.Parallel()
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	app := &appender{s: memstore.New(nil), t: t}
	testutil.Ok(t, f.Append(t.Context(), app))
	var appended []*store.Series
	for s, err := range store.All(t.Context(), app.s, &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}, nil) {
		testutil.Ok(t, err)
		appended = append(appended, s)
	}
	again, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	for _, got := range [][]*store.Series{f.Series(), again.Series()} {
		testutil.Equals(t, len(appended), len(got))
		for i, s := range appended {
			testutil.Equals(t, s.Labels.String(), got[i].Labels.String())
			testutil.Equals(t, s.Chunks, got[i].Chunks, "chunks of %s", s.Labels)
		}
	}
	clear(f.Series()[0].Chunks[0].Raw.Bytes)
	clear(f.Downsampled()[0].Series.Chunks[0].Aggregated.Sum.Bytes)
	testutil.Equals(t, again.Series()[0].Chunks, f.Series()[0].Chunks)
	testutil.Equals(t, again.Downsampled()[0].Series.Chunks, f.Downsampled()[0].Series.Chunks)
	for i, s := range f.Sent() {
		testutil.Assert(t, i == 0 || labels.Compare(f.Sent()[i-1].Labels, s.Labels) < 0, "%s out of order", s.Labels)
		testutil.Equals(t, "external", s.Labels.Get("job"))
	}
}

func TestFixtureOptions(t *testing.T) {
	t.Parallel()
	plain, err := storetest.NewFixture(&storetest.FixtureOptions{
		ExternalLabels: labels.FromStrings("cluster", "c"),
		Start:          3_600_000,
		Lacks:          []storetest.Feature{storetest.DownsampledData, storetest.NativeHistograms, storetest.UTF8Names, storetest.NegativeZero},
	})
	testutil.Ok(t, err)
	mint, _ := plain.TimeRange()
	testutil.Equals(t, int64(3_600_000), mint)
	testutil.Equals(t, 0, len(plain.Downsampled()))
	for _, s := range plain.Sent() {
		testutil.Equals(t, "c", s.Labels.Get("cluster"))
		testutil.Assert(t, model(s.Labels), "%s is not as classic as it should be", s.Labels)
	}
	_, err = storetest.NewFixture(&storetest.FixtureOptions{Start: -1, ExternalLabels: labels.FromStrings("r", "1"), Lacks: []storetest.Feature{"taste"}})
	testutil.NotOk(t, err)
	testutil.Equals(t, `make fixture: option Start is negative: -1
external label "r" is one of the fixture's own
no feature is called "taste"`, err.Error())
}

// Labels of series that are overridden must not make them equal.
func TestFixtureExternalLabels(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		external labels.Labels
		ok       bool
	}{
		{labels.FromStrings("cluster", "eu", "replica", "0"), true},
		{labels.FromStrings("job", "j"), true},
		{labels.FromStrings("b", "1"), false},
		{labels.FromStrings("straße", "x"), false},
		{labels.FromStrings("v", "1"), false},
		{labels.FromStrings("__name__", "up"), false},
	} {
		_, err := storetest.NewFixture(&storetest.FixtureOptions{ExternalLabels: tc.external})
		testutil.Equals(t, tc.ok, err == nil, "%s: %v", tc.external, err)
	}
}

// model reports whether a series has a classic name and no histograms.
func model(lset labels.Labels) bool {
	ok := true
	lset.Range(func(l labels.Label) {
		for _, r := range l.Name {
			ok = ok && r < 0x80 && r != ' ' && r != '.'
		}
	})
	name := lset.Get(labels.MetricName)
	return ok && name != "storetest_histogram" && name != "storetest_custom_buckets"
}

func TestFixtureAppendErrors(t *testing.T) {
	t.Parallel()
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	err = f.Append(t.Context(), &appender{s: memstore.New(nil), t: t, fail: 1000})
	testutil.Assert(t, errors.Is(err, errFull), "error is %v", err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	testutil.Equals(t, context.Canceled, f.Append(ctx, &appender{s: memstore.New(nil), t: t}))
}
