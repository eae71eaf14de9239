package storetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// twins returns the broken Stores, by what they get wrong.
func twins() []twin {
	return slices.Concat(basicTwins(), orderTwins(), infoTwins(), dataTwins(), matcherTwins(), boundsTwins(), labelTwins(),
		replicaTwins(), shardTwins(), aggregateTwins(), callTwins(), wireTwins())
}

func basicTwins() []twin {
	return []twin{
		{check: checkInfo, wrong: "Info fails", make: described(func(*Fixture, *store.Info) error { return errors.New("not ready") })},
		{check: checkSeries, wrong: "fails on large answers", make: answersOr(func(req *store.SeriesRequest, ss []*store.Series) error {
			if plain(req) && len(ss) > 40 {
				return errors.New("out of memory")
			}
			return nil
		})},
		{check: "warnings", wrong: "warns of nothing", make: func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
			return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				if err := w.Warn(errors.New("this may be slow")); err != nil {
					return err
				}
				return s.Series(ctx, req, w)
			}}
		}},
		{check: "chunk-encodings", unsent: true, wrong: "sends the encoding of its database", make: each(metricFloats, func(req *store.SeriesRequest, s *store.Series) *store.Series {
			if !req.SkipChunks {
				c := s.Chunks[0]
				c.Raw.Encoding = 99
				s.Chunks = append(s.Chunks, c)
			}
			return s
		})},
		{check: "chunk-data", wrong: "cuts chunks off", make: each(metricFloats, func(req *store.SeriesRequest, s *store.Series) *store.Series {
			if !req.SkipChunks {
				c := s.Chunks[0]
				c.Raw.Bytes = c.Raw.Bytes[:10]
				s.Chunks = append(s.Chunks, c)
			}
			return s
		})},
		{check: "chunk-data", wrong: "sends empty chunks", make: each(metricFloats, func(req *store.SeriesRequest, s *store.Series) *store.Series {
			if !req.SkipChunks {
				s.Chunks = append(s.Chunks, store.Chunk{Raw: store.ChunkData{Encoding: chunkenc.EncXOR}})
			}
			return s
		})},
		{check: "chunk-times", wrong: "takes maximum times for exclusive", make: each(metricLong, func(_ *store.SeriesRequest, s *store.Series) *store.Series {
			for i := range s.Chunks {
				s.Chunks[i].MaxTime--
			}
			return s
		})},
		{check: "large-messages", wrong: "refuses large labels", make: answersOr(func(_ *store.SeriesRequest, ss []*store.Series) error {
			if slices.ContainsFunc(ss, func(s *store.Series) bool { return labelBytes(s.Labels) > large }) {
				return &store.LimitError{Limit: "bytes", Max: large}
			}
			return nil
		})},
	}
}

// described makes a twin that announces something else.
func described(alter func(f *Fixture, i *store.Info) error) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(_ *testing.T, s store.Store, f *Fixture, _ <-chan struct{}) store.Store {
		return &broken{Store: s, describe: func(ctx context.Context) (store.Info, error) {
			info, err := store.Describe(ctx, s)
			if err != nil {
				return info, err
			}
			return info, alter(f, &info)
		}}
	}
}

// answersOr makes a twin that fails on some answers.
func answersOr(fail func(req *store.SeriesRequest, ss []*store.Series) error) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
		return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			ss, err := readAll(ctx, s, req)
			if err == nil {
				err = fail(req, ss)
			}
			if err != nil {
				return err
			}
			return send(w, ss)
		}}
	}
}

// family makes a twin that alters the series of a metric, which follow each
// other, as a whole.
func family(metric string, alter func(req *store.SeriesRequest, f *Fixture, ss []*store.Series)) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return answers(func(req *store.SeriesRequest, f *Fixture, ss []*store.Series) []*store.Series {
		if from := index(ss, metric); from >= 0 {
			to := from
			for to < len(ss) && ss[to].Labels.Get(labels.MetricName) == metric {
				to++
			}
			alter(req, f, ss[from:to])
		}
		return ss
	})
}

func orderTwins() []twin {
	originally := func(f *Fixture, lset labels.Labels) labels.Labels {
		for _, s := range f.series {
			if labels.Equal(f.extend(s.labels), lset) {
				return s.labels
			}
		}
		return lset
	}
	byOriginal := func(req *store.SeriesRequest, f *Fixture, ss []*store.Series) {
		if plain(req) {
			slices.SortFunc(ss, func(a, b *store.Series) int { return labels.Compare(originally(f, a.Labels), originally(f, b.Labels)) })
		}
	}
	return []twin{
		{check: "order", unsent: true, wrong: "does not sort", make: family(metricFloats, func(req *store.SeriesRequest, _ *Fixture, ss []*store.Series) {
			if plain(req) {
				slices.Reverse(ss)
			}
		})},
		{check: "order-split-series", unsent: true, wrong: "goes on with a series later", make: answers(func(req *store.SeriesRequest, _ *Fixture, ss []*store.Series) []*store.Series {
			i := index(ss, metricLong)
			if i < 0 || i+1 == len(ss) || !plain(req) {
				return ss
			}
			rest := *ss[i]
			ss[i].Chunks, rest.Chunks = ss[i].Chunks[:2], ss[i].Chunks[2:]
			return slices.Insert(ss, i+2, &rest)
		})},
		{check: "order-label-names", unsent: true, wrong: "appends external labels", make: each(metricFloats, func(_ *store.SeriesRequest, s *store.Series) *store.Series {
			sb := labels.NewScratchBuilder(0)
			s.Labels.Range(func(l labels.Label) {
				if l.Name != "A" {
					sb.Add(l.Name, l.Value)
				}
			})
			sb.Add("A", s.Labels.Get("A"))
			s.Labels = sb.Labels()
			return s
		})},
		{check: "order-external-labels", unsent: true, wrong: "applies external labels after sorting", make: family(metricAfter, byOriginal)},
		{check: "order-overridden-labels", unsent: true, wrong: "overrides labels after sorting", make: family(metricOverride, byOriginal)},
		{check: "order-utf8", unsent: true, wrong: "compares UTF-16", make: family(metricUTF8Labels, func(req *store.SeriesRequest, _ *Fixture, ss []*store.Series) {
			if plain(req) {
				slices.SortStableFunc(ss, func(a, b *store.Series) int {
					astral := func(s *store.Series) int { return strings.Count(s.Labels.Get("straße"), "\U0001F600") }
					return astral(b) - astral(a)
				})
			}
		})},
	}
}

func infoTwins() []twin {
	return []twin{
		{check: "info-labels", wrong: "announces labels that it has not", make: described(func(_ *Fixture, i *store.Info) error {
			i.LabelSets = []labels.Labels{labels.FromStrings("cluster", "elsewhere")}
			return nil
		})},
		{check: "info-time-range", wrong: "announces the time until its last flush", make: described(func(_ *Fixture, i *store.Info) error {
			i.MaxTime -= 60_000
			return nil
		})},
		{check: "info-time-range", wrong: "announces the time since it started", make: described(func(f *Fixture, i *store.Info) error {
			i.MinTime, _ = f.TimeRange()
			i.MinTime++
			return nil
		})},
		{check: checkCapabilities, wrong: "announces sharding and does not know it", make: requests(func(r *store.SeriesRequest) { r.Shard = nil })},
		{check: checkCapabilities, wrong: "announces the removal of replica labels and does not know it", make: requests(func(r *store.SeriesRequest) { r.WithoutReplicaLabels = nil })},
	}
}

// relabelled makes a twin that holds series of a metric under other labels, and
// announces only some external labels if it is told to.
func relabelled(metric string, announced []string, alter func(lset labels.Labels, b *labels.Builder)) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(t *testing.T, s store.Store, f *Fixture, stop <-chan struct{}) store.Store {
		m := s.(*memstore.Store)
		is := equal(labels.MetricName, metric)
		ss, err := readAll(t.Context(), m, &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64, Matchers: []*labels.Matcher{is}})
		if err != nil {
			t.Fatal(err)
		}
		m.Delete(is)
		for _, x := range ss {
			b := labels.NewBuilder(x.Labels)
			alter(x.Labels, b)
			if x.Labels = b.Labels(); x.Labels.Has(labels.MetricName) {
				if err := m.AddSeries(x); err != nil {
					t.Fatal(err)
				}
			}
		}
		if announced == nil {
			return s
		}
		return described(func(f *Fixture, i *store.Info) error {
			i.LabelSets = []labels.Labels{labels.NewBuilder(f.external).Keep(announced...).Labels()}
			return nil
		})(t, s, f, stop)
	}
}

// resampled makes a twin that alters the samples of a metric. One that becomes
// of another kind is encoded as such.
func resampled(metric string, alter func(s sample) sample) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(t *testing.T, s store.Store, f *Fixture, stop <-chan struct{}) store.Store {
		return each(metric, func(_ *store.SeriesRequest, s *store.Series) *store.Series {
			var out []store.Chunk
			for _, c := range s.Chunks {
				samples, err := decodeWhole(c.Raw)
				if err != nil {
					t.Error(err)
				}
				for i := range samples {
					samples[i] = alter(samples[i])
				}
				chunks, err := encode(samples)
				if err != nil {
					t.Error(err)
				}
				out = append(out, chunks...)
			}
			s.Chunks = out
			return s
		})(t, s, f, stop)
	}
}

// decodeWhole decodes samples with their histograms.
func decodeWhole(d store.ChunkData) ([]sample, error) {
	c, err := d.Chunk()
	if err != nil {
		return nil, err
	}
	var out []sample
	it := c.Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		switch vt {
		case chunkenc.ValFloat:
			out = append(out, floatSample(it.At()))
		case chunkenc.ValHistogram:
			out = append(out, histogramSample(it.AtHistogram(nil)))
		default:
			out = append(out, floatHistogramSample(it.AtFloatHistogram(nil)))
		}
	}
	return out, it.Err()
}

func dataTwins() []twin {
	drop := func(_ labels.Labels, b *labels.Builder) { b.Reset(labels.EmptyLabels()) }
	return []twin{
		{check: "nothing-else", wrong: "has series of its own", make: func(t *testing.T, s store.Store, f *Fixture, _ <-chan struct{}) store.Store {
			mint, _ := f.TimeRange()
			if err := s.(*memstore.Store).Append(f.extend(labels.FromStrings(labels.MetricName, "internal_rows")), mint, 1); err != nil {
				t.Fatal(err)
			}
			return s
		}},
		{check: "floats", wrong: "turns NaN into 0", make: resampled(metricFloats, func(s sample) sample {
			if math.IsNaN(s.float()) {
				return floatSample(s.t, 0)
			}
			return s
		})},
		{check: "floats", wrong: "stores 32 bits", make: resampled(metricFloats, func(s sample) sample { return floatSample(s.t, float64(float32(s.float()))) })},
		{check: "negative-zero", wrong: "leaves out what equals 0", make: resampled(metricNegativeZero, func(s sample) sample { return floatSample(s.t, 0) })},
		{check: "stale-markers", wrong: "turns stale markers into NaN", make: resampled(metricStale, func(s sample) sample {
			if value.IsStaleNaN(s.float()) {
				return floatSample(s.t, math.NaN())
			}
			return s
		})},
		{check: "long-series", wrong: "sends so many chunks", make: func(t *testing.T, s store.Store, f *Fixture, stop <-chan struct{}) store.Store {
			mint, _ := f.TimeRange()
			return each(metricLong, func(_ *store.SeriesRequest, s *store.Series) *store.Series {
				s.Chunks = slices.DeleteFunc(s.Chunks, func(c store.Chunk) bool { return c.MinTime > mint+4*store.SamplesPerChunk*interval/6 })
				return s
			})(t, s, f, stop)
		}},
		{check: "short-series", wrong: "needs two samples", make: relabelled(metricSingle, nil, func(lset labels.Labels, b *labels.Builder) {
			if lset.Get(labelOrder) == "3" {
				drop(lset, b)
			}
		})},
		{check: "histograms-integer", wrong: "knows no integers", make: resampled(metricHistogram, func(s sample) sample { return floatHistogramSample(s.t, s.h.ToFloat(nil)) })},
		{check: "histograms-float", wrong: "forgets the zero bucket", make: resampled(metricFloatHistogram, func(s sample) sample {
			fh := s.fh.Copy()
			fh.ZeroCount = 0
			return floatHistogramSample(s.t, fh)
		})},
		{check: "histograms-gauge", wrong: "takes gauges for counters", make: resampled(metricGaugeHistogram, func(s sample) sample {
			h := s.h.Copy()
			h.CounterResetHint = histogram.UnknownCounterReset
			return histogramSample(s.t, h)
		})},
		{check: "histograms-custom-buckets", wrong: "has bounds of its own", make: resampled(metricCustomBuckets, func(s sample) sample {
			h := s.h.Copy()
			h.CustomValues = []float64{1, 2, 3, 4}
			return histogramSample(s.t, h)
		})},
		{check: "histograms-mixed", wrong: "has floats only where there was one", make: resampled(metricMixed, func(s sample) sample {
			switch s.kind {
			case chunkenc.ValHistogram:
				return floatSample(s.t, s.h.Sum)
			case chunkenc.ValFloatHistogram:
				return floatSample(s.t, s.fh.Sum)
			}
			return s
		})},
		{check: "utf8-metric-names", wrong: "drops metrics whose names it does not like", make: relabelled(metricUTF8, nil, drop)},
		{check: "utf8-label-names", wrong: "mangles label names", make: relabelled(metricUTF8Labels, nil, func(lset labels.Labels, b *labels.Builder) {
			if v := lset.Get("straße"); v != "" {
				b.Del("straße").Set("stra_e", v)
			}
		})},
		{check: "label-values-odd", wrong: "trims values", make: relabelled(metricLabels, nil, func(lset labels.Labels, b *labels.Builder) {
			b.Set(labelValue, strings.ReplaceAll(lset.Get(labelValue), "\n", " "))
		})},
		{check: "external-labels", wrong: "forgets one", make: relabelled(metricAfter, []string{"A", "job"}, func(_ labels.Labels, b *labels.Builder) { b.Del("zone") })},
		{check: "external-labels-override", wrong: "keeps labels of its own", make: relabelled(metricOverride, []string{"A", "zone"}, func(lset labels.Labels, b *labels.Builder) {
			if lset.Get(labelOrder) == "1" {
				b.Set("job", "z")
			}
		})},
	}
}
