package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
)

// Fixture is the series that a Store under test holds, all of them and nothing
// else. It is the same for everybody who asks for it with the same options, and
// safe for concurrent use.
//
// Every metric is called storetest_ and what it is there for; see [Checks].
type Fixture struct {
	external    labels.Labels
	series      []fixtureSeries
	downsampled []Downsampled
}

// Downsampled is a series at a resolution of downsampled data, its chunks
// aggregated. Its labels are without external labels.
type Downsampled struct {
	Resolution time.Duration
	Series     *store.Series
}

// fixtureSeries is a series as its source holds it: without external labels.
type fixtureSeries struct {
	labels  labels.Labels
	sent    labels.Labels // with external labels; set by named
	samples []sample
	chunks  []store.Chunk
	feature Feature // which a Store needs to hold it; empty for none
}

// FixtureOptions say what a Fixture is like. The zero value, and nil, are good.
type FixtureOptions struct {
	// ExternalLabels are those that the Store adds to every series. The zero
	// value is DefaultExternalLabels. A Prometheus that is started for the
	// fixture may have others.
	ExternalLabels labels.Labels
	// Start is the time of the first sample, in milliseconds; 1700000400000,
	// which is the start of an hour, if 0. Downsampled data is older.
	Start int64
	// Lacks are the features that the Fixture does without.
	Lacks []Feature
}

// DefaultExternalLabels returns external labels that are awkward: A sorts before
// every other label, zone after every other, and job overrides what some series
// have.
func DefaultExternalLabels() labels.Labels {
	return labels.FromStrings("A", "first", "job", "external", "zone", "z1")
}

// The times of the fixture.
const (
	defaultStart = int64(1_700_000_400_000)
	interval     = int64(15_000)
	scrapes      = 130 // of most series, more than a chunk takes
)

// NewFixture makes the fixture that Run loads. opts may be nil.
//
// Cost: a few thousand samples, under 1 MiB.
//
// Errors: if an option is out of range, or an external label overrides one that
// tells the fixture's series apart.
func NewFixture(opts *FixtureOptions) (*Fixture, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("make fixture: %w", err)
	}
	held := slices.DeleteFunc(families(o.Start), func(s fixtureSeries) bool { return slices.Contains(o.Lacks, s.feature) })
	f, err := fixtureOf(o.ExternalLabels, held)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(o.Lacks, DownsampledData) {
		if f.downsampled, err = downsampled(o.Start); err != nil {
			return nil, fmt.Errorf("make fixture: %w", err)
		}
	}
	return f, nil
}

// newLargeFixture makes the fixture of large series, of which one has a label of
// so many bytes and one so many samples.
func newLargeFixture(external labels.Labels, size, samples int) (*Fixture, error) {
	o, err := (&FixtureOptions{ExternalLabels: external}).withDefaults()
	if err != nil {
		return nil, fmt.Errorf("make fixture: %w", err)
	}
	return fixtureOf(o.ExternalLabels, largeFamilies(o.Start, size, samples))
}

func fixtureOf(external labels.Labels, held []fixtureSeries) (*Fixture, error) {
	f := &Fixture{external: external, series: held}
	for i := range f.series {
		s := &f.series[i]
		var err error
		if s.chunks, err = encode(s.samples); err != nil {
			return nil, fmt.Errorf("make fixture: encode %s: %w", s.labels, err)
		}
	}
	slices.SortFunc(f.series, func(a, b fixtureSeries) int { return labels.Compare(a.labels, b.labels) })
	sent := f.Sent()
	for i := range sent[1:] {
		if labels.Equal(sent[i].Labels, sent[i+1].Labels) {
			return nil, fmt.Errorf("make fixture: external labels %s override what tells series apart: there are two %s", external, sent[i].Labels)
		}
	}
	return f, nil
}

func (o *FixtureOptions) withDefaults() (FixtureOptions, error) {
	var out FixtureOptions
	if o != nil {
		out = *o
	}
	out.ExternalLabels = out.ExternalLabels.WithoutEmpty()
	if out.ExternalLabels.IsEmpty() {
		out.ExternalLabels = DefaultExternalLabels()
	}
	if out.Start == 0 {
		out.Start = defaultStart
	}
	var errs []error
	if out.Start < 0 {
		errs = append(errs, fmt.Errorf("option Start is negative: %d", out.Start))
	}
	out.ExternalLabels.Range(func(l labels.Label) {
		if slices.Contains([]string{labels.MetricName, labelValue, labelReplica, labelOrder}, l.Name) {
			errs = append(errs, fmt.Errorf("external label %q is one of the fixture's own", l.Name))
		}
	})
	if slices.Contains(out.Lacks, NativeHistograms) {
		out.Lacks = append(slices.Clip(out.Lacks), CustomBuckets)
	}
	for _, l := range out.Lacks {
		if !slices.Contains(features(), l) {
			errs = append(errs, fmt.Errorf("no feature is called %q", l))
		}
	}
	return out, errors.Join(errs...)
}

// ExternalLabels are what a Store adds to every series.
func (f *Fixture) ExternalLabels() labels.Labels { return f.external }

// TimeRange returns the bounds of the raw data in milliseconds, both inclusive.
func (f *Fixture) TimeRange() (mint, maxt int64) {
	mint, maxt = math.MaxInt64, math.MinInt64
	for _, s := range f.series {
		mint, maxt = min(mint, s.samples[0].t), max(maxt, s.samples[len(s.samples)-1].t)
	}
	return mint, maxt
}

// Series returns the series as a source holds them: without external labels,
// ascending by labels, raw chunks of up to 120 samples. The result is the
// caller's.
func (f *Fixture) Series() []*store.Series {
	out := make([]*store.Series, len(f.series))
	for i, s := range f.series {
		out[i] = &store.Series{Labels: s.labels.Copy(), Chunks: copyChunks(s.chunks)}
	}
	return out
}

// Sent returns the series as a Store has to send them: with external labels, and
// ascending by them. The result is the caller's.
func (f *Fixture) Sent() []*store.Series {
	out := f.Series()
	for _, s := range out {
		s.Labels = f.extend(s.Labels)
	}
	slices.SortFunc(out, func(a, b *store.Series) int { return labels.Compare(a.Labels, b.Labels) })
	return out
}

// extend applies the external labels.
func (f *Fixture) extend(lset labels.Labels) labels.Labels {
	b := labels.NewBuilder(lset)
	f.external.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
	return b.Labels()
}

// Downsampled returns the downsampled data, without external labels. The result
// is the caller's. Stores that hold raw data only name the feature
// DownsampledData among what they lack.
func (f *Fixture) Downsampled() []Downsampled {
	out := slices.Clone(f.downsampled)
	for i := range out {
		s := out[i].Series
		out[i].Series = &store.Series{Labels: s.Labels.Copy(), Chunks: copyChunks(s.Chunks)}
	}
	return out
}

func copyChunks(chunks []store.Chunk) []store.Chunk {
	data := func(d store.ChunkData) store.ChunkData {
		return store.ChunkData{Encoding: d.Encoding, Bytes: slices.Clone(d.Bytes)}
	}
	out := slices.Clone(chunks)
	for i := range out {
		c := &out[i]
		c.Raw = data(c.Raw)
		if a := c.Aggregated; a != nil {
			c.Aggregated = &store.AggregatedChunk{Count: data(a.Count), Sum: data(a.Sum), Min: data(a.Min), Max: data(a.Max), Counter: data(a.Counter)}
		}
	}
	return out
}

// Appender is what samples are appended to: a storage.Appender of Prometheus.
type Appender interface {
	Append(ref storage.SeriesRef, lset labels.Labels, t int64, v float64) (storage.SeriesRef, error)
	AppendHistogram(ref storage.SeriesRef, lset labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error)
}

// Append appends the raw data as samples, without external labels, ascending in
// time over all series, so that a tsdb.DB takes them in one transaction. The
// caller commits.
//
// Errors: the appender's, with the series; and the context's.
func (f *Fixture) Append(ctx context.Context, app Appender) error {
	type next struct {
		s  *fixtureSeries
		at int
	}
	var order []next
	for i := range f.series {
		for at := range f.series[i].samples {
			order = append(order, next{&f.series[i], at})
		}
	}
	slices.SortStableFunc(order, func(a, b next) int { return cmp.Compare(a.s.samples[a.at].t, b.s.samples[b.at].t) })
	for i, n := range order {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := n.s.samples[n.at].appendTo(app, n.s.labels); err != nil {
			return fmt.Errorf("append to %s: %w", n.s.labels, err)
		}
	}
	return nil
}

func (s sample) appendTo(app Appender, lset labels.Labels) (err error) {
	switch s.kind {
	case chunkenc.ValHistogram:
		_, err = app.AppendHistogram(0, lset, s.t, s.h.Copy(), nil)
	case chunkenc.ValFloatHistogram:
		_, err = app.AppendHistogram(0, lset, s.t, nil, s.fh.Copy())
	default:
		_, err = app.Append(0, lset, s.t, s.float())
	}
	return err
}

// named returns the labels, as sent, and samples of the series of a metric.
func (f *Fixture) named(metric string) []fixtureSeries {
	var out []fixtureSeries
	for _, s := range f.series {
		if s.labels.Get(labels.MetricName) == metric {
			s.sent = f.extend(s.labels)
			out = append(out, s)
		}
	}
	return out
}
