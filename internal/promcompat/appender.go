package promcompat

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// ErrUnknownAppender is returned when a chunk appender has none of the method
// sets that this package knows, so a Prometheus library outside the supported
// window is linked.
var ErrUnknownAppender = errors.New("chunk appender has an unknown signature")

// The method sets of chunkenc.Appender. Append took the start timestamp first
// from v0.310 on, AppendHistogram at the same time, and its previous appender
// lost the concrete type in v0.313.
type (
	floatAppender interface {
		Append(t int64, v float64)
	}
	floatAppenderST interface {
		Append(st, t int64, v float64)
	}

	histogramAppender interface {
		AppendHistogram(prev *chunkenc.HistogramAppender, t int64, h *histogram.Histogram, appendOnly bool) (chunkenc.Chunk, bool, chunkenc.Appender, error)
		AppendFloatHistogram(prev *chunkenc.FloatHistogramAppender, t int64, h *histogram.FloatHistogram, appendOnly bool) (chunkenc.Chunk, bool, chunkenc.Appender, error)
	}
	histogramAppenderST interface {
		AppendHistogram(prev *chunkenc.HistogramAppender, st, t int64, h *histogram.Histogram, appendOnly bool) (chunkenc.Chunk, bool, chunkenc.Appender, error)
		AppendFloatHistogram(prev *chunkenc.FloatHistogramAppender, st, t int64, h *histogram.FloatHistogram, appendOnly bool) (chunkenc.Chunk, bool, chunkenc.Appender, error)
	}
	histogramAppenderAnyST interface {
		AppendHistogram(prev chunkenc.Appender, st, t int64, h *histogram.Histogram, appendOnly bool) (chunkenc.Chunk, bool, chunkenc.Appender, error)
		AppendFloatHistogram(prev chunkenc.Appender, st, t int64, h *histogram.FloatHistogram, appendOnly bool) (chunkenc.Chunk, bool, chunkenc.Appender, error)
	}
)

// Appender appends samples to one chunk, whichever signature the linked
// chunkenc.Appender has. Samples carry no start timestamp: the encodings of the
// StoreAPI cannot hold one.
//
// Concurrency: not safe. Cost: two words of interface look-up at construction,
// one indirect call per sample, no allocation of its own.
type Appender struct {
	app chunkenc.Appender

	// Exactly one of these two is set.
	floats   floatAppender
	floatsST floatAppenderST
}

// NewAppender opens an appender on c that continues after its last sample.
//
// Input: a chunk that nobody else appends to. Samples are appended in ascending
// order of time; the chunk does not check that. The caller cuts chunks: past
// 65535 samples the chunk's count overflows.
// Errors: what c.Appender returns for a chunk whose bytes do not decode, and
// ErrUnknownAppender.
func NewAppender(c chunkenc.Chunk) (*Appender, error) {
	app, err := c.Appender()
	if err != nil {
		return nil, fmt.Errorf("open appender of %s chunk: %w", c.Encoding(), err)
	}
	a := &Appender{}
	if err := a.reset(app); err != nil {
		return nil, err
	}
	return a, nil
}

// reset points a at app. The assertions go through any: asserting between two
// interfaces that spell one method differently is something that vet refuses,
// rightly everywhere but here.
func (a *Appender) reset(app chunkenc.Appender) error {
	a.app, a.floats, a.floatsST = app, nil, nil
	switch f := any(app).(type) {
	case floatAppender:
		a.floats = f
	case floatAppenderST:
		a.floatsST = f
	default:
		return fmt.Errorf("use %T: %w", app, ErrUnknownAppender)
	}
	return nil
}

// Append appends one float sample at t, in ms. The chunk must be a float chunk:
// on a histogram chunk the appender of the Prometheus library panics.
func (a *Appender) Append(t int64, v float64) {
	if a.floats != nil {
		a.floats.Append(t, v)
		return
	}
	a.floatsST.Append(0, t, v)
}

// AppendHistogram appends one histogram sample at t, in ms.
//
// Input: prev is the appender of the chunk before this one in the series, or
// nil; it only decides the counter-reset header of a first sample. h is read,
// and may have spans and buckets added so that it fits the chunk's layout.
// Output: nil when the sample went into the current chunk. Otherwise the chunk
// that holds it: with recoded set it replaces the current one, else it follows
// it. The appender has moved on to that chunk.
// Errors: with appendOnly set, a sample that needs another chunk is an error
// and nothing is appended.
func (a *Appender) AppendHistogram(prev *Appender, t int64, h *histogram.Histogram, appendOnly bool) (c chunkenc.Chunk, recoded bool, err error) {
	var next chunkenc.Appender
	switch app := any(a.app).(type) {
	case histogramAppender:
		c, recoded, next, err = app.AppendHistogram(previousAs[*chunkenc.HistogramAppender](prev), t, h, appendOnly)
	case histogramAppenderST:
		c, recoded, next, err = app.AppendHistogram(previousAs[*chunkenc.HistogramAppender](prev), 0, t, h, appendOnly)
	case histogramAppenderAnyST:
		c, recoded, next, err = app.AppendHistogram(previousAs[chunkenc.Appender](prev), 0, t, h, appendOnly)
	default:
		return nil, false, fmt.Errorf("use %T: %w", a.app, ErrUnknownAppender)
	}
	return a.moved(c, recoded, next, err)
}

// AppendFloatHistogram does for histograms with floating-point counts what
// AppendHistogram does for those with integer ones.
func (a *Appender) AppendFloatHistogram(prev *Appender, t int64, h *histogram.FloatHistogram, appendOnly bool) (c chunkenc.Chunk, recoded bool, err error) {
	var next chunkenc.Appender
	switch app := any(a.app).(type) {
	case histogramAppender:
		c, recoded, next, err = app.AppendFloatHistogram(previousAs[*chunkenc.FloatHistogramAppender](prev), t, h, appendOnly)
	case histogramAppenderST:
		c, recoded, next, err = app.AppendFloatHistogram(previousAs[*chunkenc.FloatHistogramAppender](prev), 0, t, h, appendOnly)
	case histogramAppenderAnyST:
		c, recoded, next, err = app.AppendFloatHistogram(previousAs[chunkenc.Appender](prev), 0, t, h, appendOnly)
	default:
		return nil, false, fmt.Errorf("use %T: %w", a.app, ErrUnknownAppender)
	}
	return a.moved(c, recoded, next, err)
}

// moved takes over the appender that a histogram append came back with.
func (a *Appender) moved(c chunkenc.Chunk, recoded bool, next chunkenc.Appender, err error) (chunkenc.Chunk, bool, error) {
	if err != nil {
		return nil, false, fmt.Errorf("append histogram: %w", err)
	}
	if next != nil && next != a.app {
		if err := a.reset(next); err != nil {
			return nil, false, err
		}
	}
	return c, recoded, nil
}

// previousAs gives prev's appender as the type that the linked signature wants,
// or that type's zero value for none and for one of another chunk encoding,
// which cannot tell a counter reset.
func previousAs[T chunkenc.Appender](prev *Appender) T {
	if prev != nil {
		if app, ok := prev.app.(T); ok {
			return app
		}
	}
	var none T
	return none
}
