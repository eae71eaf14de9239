package promqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/internal/rechunk"
	"github.com/thanoskit/thanoskit/store"
)

// What a frame holds before it is sent.
const (
	maxFrameSeries = 256
	maxFrameBytes  = 64 << 10
)

// samples asks for samples window by window, and sends what has come.
func (s *Store) samples(ctx context.Context, req *store.SeriesRequest, mint, maxt int64, out *sender) error {
	if s.opts.MaxTime == 0 {
		maxt = min(maxt, time.Now().Add(ahead).UnixMilli())
	}
	if mint > maxt {
		return nil
	}
	window := s.opts.Window.Milliseconds()
	// Unsigned, the length of any range fits.
	if (uint64(maxt)-uint64(mint))/uint64(window) >= uint64(s.opts.MaxWindows) {
		return &store.LimitError{Limit: "windows", Max: s.opts.MaxWindows}
	}
	g := &gatherer{series: map[string]*gathered{}, maxSamples: s.opts.MaxSamples}
	selector := promapi.Selector(selective(req.Matchers))
	var warned []string
	for from := mint; ; from += window {
		to := maxt
		if uint64(maxt)-uint64(from) >= uint64(window) {
			to = from + window - 1
		}
		warnings, err := s.window(ctx, g, selector, from, to, caller{req.Strategy, req.Tenant})
		if err != nil {
			return err
		}
		for _, w := range warnings {
			if slices.Contains(warned, w) { // by another window
				continue
			}
			warned = append(warned, w)
			if err := out.warn(req, &Warning{Message: w}); err != nil {
				return err
			}
		}
		if to == maxt {
			break
		}
	}
	if g.histograms > 0 {
		if err := out.warn(req, g.histogramError()); err != nil {
			return err
		}
	}
	return g.send(req.Limit, out)
}

// window asks for the samples between from and to, both inclusive.
func (s *Store) window(ctx context.Context, g *gatherer, selector string, from, to int64, who caller) ([]string, error) {
	g.mint, g.maxt = from, to
	form := url.Values{
		"query": {fmt.Sprintf("%s[%dms]", selector, to-from+1)},
		"time":  {promapi.FormatTime(to)},
	}
	c := &promapi.Call{Method: http.MethodPost, Endpoint: queryEndpoint, Form: form}
	return s.ask(ctx, c, "query", who, func(dec *json.Decoder) error { return decodeMatrix(dec, g.add) })
}

// gatherer collects the samples of series from window after window.
type gatherer struct {
	mint, maxt int64 // of the window
	series     map[string]*gathered

	maxSamples, samples int64
	histograms          int64
	pairs               []encoded.Pair[string]
	key                 []byte
}

// gathered is what has come of a series.
type gathered struct {
	labels     []byte // in canonical form
	chunks     rechunk.Encoder
	samples    int64
	histograms bool
}

// add adds a series of an answer.
func (g *gatherer) add(s *matrixSeries) error {
	series, err := g.find(s.Metric)
	if err != nil {
		return err
	}
	for _, x := range s.Values {
		if x.t < g.mint || x.t > g.maxt {
			continue
		}
		if err := series.chunks.Float(x.t, x.v); err != nil {
			return fmt.Errorf("series %s: %w", decoded(series.labels), err)
		}
		series.samples++
		if g.samples++; g.maxSamples > 0 && g.samples > g.maxSamples {
			return &store.LimitError{Limit: "samples", Max: g.maxSamples}
		}
	}
	for _, t := range s.Histograms {
		if int64(t) >= g.mint && int64(t) <= g.maxt {
			series.histograms = true
			g.histograms++
		}
	}
	return nil
}

// find returns the series with the labels, new if there is none yet.
func (g *gatherer) find(metric map[string]string) (*gathered, error) {
	g.pairs = g.pairs[:0]
	for n, v := range metric {
		g.pairs = append(g.pairs, encoded.Pair[string]{Name: n, Value: v})
	}
	key, err := encoded.AppendUnsorted(g.key[:0], g.pairs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrMalformed, err)
	}
	g.key = key
	if s := g.series[string(key)]; s != nil {
		return s, nil
	}
	s := &gathered{labels: slices.Clone(key)}
	g.series[string(key)] = s
	return s, nil
}

// sorted returns the series that a condition holds for, by their labels.
func (g *gatherer) sorted(cond func(*gathered) bool) []*gathered {
	var out []*gathered
	for _, s := range g.series {
		if cond(s) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *gathered) int { return encoded.CompareLabels(a.labels, b.labels) })
	return out
}

func (g *gatherer) histogramError() error {
	with := g.sorted(func(s *gathered) bool { return s.histograms })
	return &HistogramError{Series: decoded(with[0].labels), Others: len(with) - 1, Samples: g.histograms}
}

// send sends the series that have samples, at most limit if that is not 0.
func (g *gatherer) send(limit int, out *sender) error {
	series := g.sorted(func(s *gathered) bool { return s.samples > 0 })
	if limit > 0 && len(series) > limit {
		series = series[:limit]
	}
	for len(series) > 0 {
		f := encoded.NewFrame(nil)
		f.Series = make([]encoded.Series, 0, min(maxFrameSeries, len(series)))
		for len(series) > 0 && len(f.Series) < maxFrameSeries && f.Size < maxFrameBytes {
			s := encoded.Series{Labels: series[0].labels, Chunks: series[0].chunks.Chunks()}
			f.Series, f.Size = append(f.Series, s), f.Size+s.Size()
			series = series[1:]
		}
		err := out.frame(f)
		f.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func decoded(lset []byte) labels.Labels {
	sb := labels.NewScratchBuilder(0)
	return encoded.Labels(lset, &sb)
}
