package query

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// collector takes the answer to a select, and makes series of it. It takes
// frames and plain series; either's chunk bytes stay where they are.
type collector struct {
	sel *selection
	req *store.SeriesRequest

	series []series // arranged by finish; until then whole has the chunks
	chunks chunkPages
	// frames are retained, since chunks are views of them.
	frames   []*encoded.Frame
	warnings []error

	// last is the label set received last, and lastEncoded its wire form if
	// that is how it was received.
	last        labels.Labels
	lastEncoded []byte
	buf         []byte // of lastEncoded, when its frame is gone
	// removed says that a label set was received with replica labels, so that
	// those without them may be out of order.
	removed bool

	scratch labels.ScratchBuilder
	builder *labels.Builder
}

func newCollector(sel *selection, req *store.SeriesRequest) *collector {
	return &collector{sel: sel, req: req, scratch: labels.NewScratchBuilder(0), builder: labels.NewBuilder(labels.EmptyLabels())}
}

// Warn implements store.SeriesWriter.
func (c *collector) Warn(err error) error {
	c.warnings = append(c.warnings, err)
	c.req.Outcome.AddWarning(err)
	return nil
}

// Send implements store.SeriesWriter.
func (c *collector) Send(s *store.Series) error {
	order := 1
	if len(c.series) > 0 {
		order = labels.Compare(s.Labels, c.last)
	}
	if order != 0 {
		if err := c.begin(order, s.Labels); err != nil {
			return err
		}
	}
	c.lastEncoded = nil
	if c.req.SkipChunks {
		return nil
	}
	for i := range s.Chunks {
		e := encodedChunk(&s.Chunks[i])
		if err := c.add(&e); err != nil {
			return err
		}
	}
	return nil
}

// encodedChunk is c in the form that chunks have in frames.
func encodedChunk(c *store.Chunk) encoded.Chunk {
	out := encoded.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: encoded.Data(c.Raw)}
	if a := c.Aggregated; a != nil {
		out.Aggregates = &encoded.Aggregates{
			Count: encoded.Data(a.Count), Sum: encoded.Data(a.Sum), Min: encoded.Data(a.Min), Max: encoded.Data(a.Max), Counter: encoded.Data(a.Counter),
		}
	}
	return out
}

// SendFrame implements encoded.Writer.
func (c *collector) SendFrame(f *encoded.Frame) error {
	if !c.req.SkipChunks {
		f.Retain()
		c.frames = append(c.frames, f)
	}
	c.series = slices.Grow(c.series, len(f.Series))
	for i := range f.Series {
		if err := c.sendEncoded(&f.Series[i], f.Departs && i > 0); err != nil {
			return err
		}
	}
	c.buf = append(c.buf[:0], c.lastEncoded...)
	c.lastEncoded = c.buf
	return nil
}

// sendEncoded takes a series of a frame; departs says that From of it is set.
func (c *collector) sendEncoded(s *encoded.Series, departs bool) error {
	order := 1
	switch {
	case len(c.series) == 0:
	case departs:
		if s.From.Code == encoded.Equal {
			order = 0
		}
	case c.lastEncoded != nil:
		order = encoded.CompareLabels(s.Labels, c.lastEncoded)
	default:
		order = labels.Compare(encoded.Labels(s.Labels, &c.scratch), c.last)
	}
	if order != 0 {
		if err := c.begin(order, encoded.Labels(s.Labels, &c.scratch)); err != nil {
			return err
		}
	}
	c.lastEncoded = s.Labels
	if c.req.SkipChunks {
		return nil
	}
	for i := range s.Chunks {
		if err := c.add(&s.Chunks[i]); err != nil {
			return err
		}
	}
	return nil
}

// begin begins a series, which the store sent in the given order after the last
// one.
func (c *collector) begin(order int, lset labels.Labels) error {
	if order < 0 {
		return fmt.Errorf("series %s after %s: %w", lset, c.last, store.ErrUnsorted)
	}
	c.last = lset
	if slices.ContainsFunc(c.req.WithoutReplicaLabels, lset.Has) {
		c.removed = true
		c.builder.Reset(lset)
		c.builder.Del(c.req.WithoutReplicaLabels...)
		lset = c.builder.Labels()
	}
	c.series = append(c.series, series{lset: lset, sel: c.sel})
	c.chunks.start()
	return nil
}

// add adds a chunk to the series that was begun last.
func (c *collector) add(e *encoded.Chunk) error {
	ch, ok, err := pick(e, c.sel.aggregates)
	s := &c.series[len(c.series)-1]
	if err != nil {
		if ee, ok := errors.AsType[*store.EncodingError](err); ok {
			ee.Series = s.lset
			return ee
		}
		return fmt.Errorf("series %s: %w", s.lset, err)
	}
	if ok {
		c.chunks.add(ch)
		s.whole.chunks = c.chunks.chunks()
	}
	return nil
}

// finish returns the series, sorted, each once. keep, if not nil, says which.
func (c *collector) finish(keep func(labels.Labels) bool, limit int) []series {
	out := c.series
	if c.removed {
		out = joinEqual(out)
	}
	if keep != nil {
		out = slices.DeleteFunc(out, func(s series) bool { return !keep(s.lset) })
	}
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	for i := range out {
		out[i].arrange(out[i].whole.chunks)
	}
	return out
}

// joinEqual sorts series and makes one of those that are equal.
func joinEqual(in []series) []series {
	slices.SortStableFunc(in, func(a, b series) int { return labels.Compare(a.lset, b.lset) })
	out := in[:0]
	for _, s := range in {
		if n := len(out); n > 0 && labels.Equal(out[n-1].lset, s.lset) {
			out[n-1].whole.chunks = append(out[n-1].whole.chunks, s.whole.chunks...)
			continue
		}
		out = append(out, s)
	}
	return out
}

// release lets go of the frames.
func (c *collector) release() { releaseFrames(c.frames); c.frames = nil }

func releaseFrames(fs []*encoded.Frame) {
	for _, f := range fs {
		f.Release()
	}
}
