package store

import (
	"bytes"
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// Limits bound the answer to one Series request. 0 is unlimited.
type Limits struct {
	// Series is the number of series. One that is sent in parts counts once.
	Series int64
	// Chunks is the number of chunks; an aggregated chunk counts as one. Thanos
	// speaks of samples and counts 120 for a chunk.
	Chunks int64
	// Bytes is the size of all labels and chunks. Labels that come encoded count
	// with the few bytes that separate them.
	Bytes int64
}

// WithLimits ends a Series call with a *LimitError, which is an ErrLimit, when
// its answer exceeds a limit. What was sent before is within the limits. Label
// names and values are not limited.
func WithLimits(l Limits) Middleware {
	return func(s Store) Store { return &limited{passOn{s}, l} }
}

// passOn is a Store that adds nothing, for middleware to embed.
type passOn struct{ next Store }

func (p passOn) LabelNames(ctx context.Context, req *LabelNamesRequest) ([]string, error) {
	return LabelNames(ctx, p.next, req)
}

func (p passOn) LabelValues(ctx context.Context, req *LabelValuesRequest) ([]string, error) {
	return LabelValues(ctx, p.next, req)
}

func (p passOn) Describe(ctx context.Context) (Info, error) { return Describe(ctx, p.next) }

func (p passOn) MayHoldMetric(name string) bool { return MayHoldMetric(p.next, name) }

type limited struct {
	passOn
	limits Limits
}

func (l *limited) Series(ctx context.Context, req *SeriesRequest, w SeriesWriter) error {
	frames, _ := w.(encoded.Writer)
	lw := &limitWriter{SeriesWriter: w, frames: frames, max: l.limits}
	return l.next.Series(ctx, req, asWriter(lw, frames))
}

type limitWriter struct {
	SeriesWriter
	frames encoded.Writer
	max    Limits
	used   Limits

	// The last series, to recognise its next part.
	lastLabels labels.Labels
	lastWire   []byte
}

func (w *limitWriter) Send(s *Series) error {
	size := labelsSize(s.Labels)
	for i := range s.Chunks {
		size += s.Chunks[i].size()
	}
	if w.used.Series == 0 || w.lastWire != nil || !labels.Equal(w.lastLabels, s.Labels) {
		w.used.Series++
	}
	w.lastLabels, w.lastWire = s.Labels, nil
	if err := w.count(int64(len(s.Chunks)), size); err != nil {
		return err
	}
	return w.SeriesWriter.Send(s)
}

func (w *limitWriter) SendFrame(f *encoded.Frame) error {
	for i := range f.Series {
		s := &f.Series[i]
		if w.lastWire == nil || !bytes.Equal(w.lastWire, s.Labels) {
			w.used.Series++
			w.lastWire = append(w.lastWire[:0], s.Labels...)
			if w.lastWire == nil {
				w.lastWire = []byte{} // nil says that there was no series
			}
		}
		if err := w.count(int64(len(s.Chunks)), int64(s.Size())); err != nil {
			return err
		}
	}
	return w.frames.SendFrame(f)
}

func (w *limitWriter) count(chunks, size int64) error {
	w.used.Chunks += chunks
	w.used.Bytes += size
	for _, l := range []struct {
		name      string
		used, max int64
	}{
		{"series", w.used.Series, w.max.Series},
		{"chunks", w.used.Chunks, w.max.Chunks},
		{"bytes", w.used.Bytes, w.max.Bytes},
	} {
		if l.max > 0 && l.used > l.max {
			return &LimitError{Limit: l.name, Max: l.max}
		}
	}
	return nil
}

// labelsSize is the bytes of all names and values, in whatever layout they are.
func labelsSize(lset labels.Labels) (n int64) {
	lset.Range(func(l labels.Label) { n += int64(len(l.Name) + len(l.Value)) })
	return n
}

// size is the bytes of the chunk's data.
func (c *Chunk) size() int64 {
	n := len(c.Raw.Bytes)
	if a := c.Aggregated; a != nil {
		n += len(a.Count.Bytes) + len(a.Sum.Bytes) + len(a.Min.Bytes) + len(a.Max.Bytes) + len(a.Counter.Bytes)
	}
	return int64(n)
}
