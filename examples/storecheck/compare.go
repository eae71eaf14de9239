package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// compareFixture asks for all series, and compares them with the raw data of the
// fixture. There is one result for each metric, of the fixture or not.
func compareFixture(ctx context.Context, s store.Store, f *storetest.Fixture) []storetest.Result {
	mint, maxt := f.TimeRange()
	req := &store.SeriesRequest{MinTime: mint, MaxTime: maxt, Matchers: []*labels.Matcher{{Type: labels.MatchNotEqual, Name: labels.MetricName}}}
	var sent []*store.Series
	for series, err := range store.All(ctx, s, req, nil) {
		if err != nil {
			return []storetest.Result{{Check: "fixture", Status: storetest.Failed, Reason: err.Error()}}
		}
		sent = append(sent, series)
	}
	want, wantErrs := contentOf(f.Sent(), mint, maxt)
	got, gotErrs := contentOf(sent, mint, maxt)
	metrics := maps.Clone(want)
	maps.Copy(metrics, got)
	var out []storetest.Result
	for _, metric := range slices.Sorted(maps.Keys(metrics)) {
		r := storetest.Result{Check: "fixture/" + metric}
		if err := cmp.Or(wantErrs[metric], gotErrs[metric], diffMetric(want[metric], got[metric])); err != nil {
			r.Status, r.Reason = storetest.Failed, err.Error()
		}
		out = append(out, r)
	}
	return out
}

// metricContent are the samples of a metric's series by their labels as text,
// ascending in time.
type metricContent map[string][]point

// point is a sample.
type point struct {
	t    int64
	kind chunkenc.ValueType
	bits uint64                    // of a float
	hist *histogram.FloatHistogram // of a histogram of either kind
}

// contentOf returns what series hold from mint to maxt by metric, and for each
// metric the first chunk that cannot be decoded.
func contentOf(series []*store.Series, mint, maxt int64) (content map[string]metricContent, errs map[string]error) {
	content, errs = map[string]metricContent{}, map[string]error{}
	for _, s := range series {
		metric, key := s.Labels.Get(labels.MetricName), s.Labels.String()
		if content[metric] == nil {
			content[metric] = metricContent{}
		}
		points := content[metric][key]
		for _, c := range s.Chunks {
			var err error
			if points, err = appendPoints(points, c.Raw, mint, maxt); err != nil && errs[metric] == nil {
				errs[metric] = fmt.Errorf("series %s: chunk [%d, %d]: %w", key, c.MinTime, c.MaxTime, err)
			}
		}
		content[metric][key] = points
	}
	for _, m := range content {
		for key, points := range m {
			slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.t, b.t) })
			m[key] = slices.CompactFunc(points, point.equal) // a store may have samples twice
		}
	}
	return content, errs
}

// appendPoints appends the samples of a chunk from mint to maxt.
func appendPoints(dst []point, d store.ChunkData, mint, maxt int64) ([]point, error) {
	c, err := d.Chunk()
	if err != nil {
		return dst, err
	}
	it := c.Iterator(nil)
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		p := point{t: it.AtT(), kind: kind}
		switch {
		case p.t < mint || p.t > maxt:
			continue
		case kind == chunkenc.ValFloat:
			_, v := it.At()
			p.bits = math.Float64bits(v)
		default:
			_, h := it.AtFloatHistogram(nil)
			p.hist = h.Compact(0) // which lays equal buckets out alike
		}
		dst = append(dst, p)
	}
	return dst, it.Err()
}

func (p point) equal(q point) bool {
	if p.t != q.t || p.kind != q.kind || p.bits != q.bits {
		return false
	}
	gauge := func(h *histogram.FloatHistogram) bool { return h.CounterResetHint == histogram.GaugeType }
	return p.hist == nil || p.hist.Equals(q.hist) && gauge(p.hist) == gauge(q.hist)
}

// String shows the value and its kind.
func (p point) String() string {
	if p.hist != nil {
		return fmt.Sprintf("%s %s", p.kind, p.hist)
	}
	return fmt.Sprintf("%g (%#x)", math.Float64frombits(p.bits), p.bits)
}

// diffMetric says how the series of a metric differ from the fixture's.
func diffMetric(want, got metricContent) error {
	all := maps.Clone(want)
	if all == nil {
		all = metricContent{}
	}
	maps.Copy(all, got)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		w, wanted := want[key]
		g, sent := got[key]
		switch {
		case !sent:
			return fmt.Errorf("series %s is missing", key)
		case !wanted:
			return fmt.Errorf("series %s was sent, which is not in the fixture", key)
		}
		for i := range max(len(w), len(g)) {
			switch {
			case i >= len(g) || i < len(w) && w[i].t < g[i].t:
				return fmt.Errorf("series %s: the sample at %d is missing: %s", key, w[i].t, w[i])
			case i >= len(w) || g[i].t < w[i].t:
				return fmt.Errorf("series %s: %s at %d is not in the fixture", key, g[i], g[i].t)
			case !w[i].equal(g[i]):
				return fmt.Errorf("series %s: the sample at %d is %s, want %s", key, g[i].t, g[i], w[i])
			}
		}
	}
	return nil
}
