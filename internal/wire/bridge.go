package wire

import (
	"bytes"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// Send sends the series of f to w: as the frame that they are if w takes
// frames, else one by one as copies that w may keep.
//
// The frame is borrowed. The error is that of w.
func Send(w store.SeriesWriter, f *encoded.Frame) error {
	if ew, ok := w.(encoded.Writer); ok {
		return ew.SendFrame(f)
	}
	sb := labels.NewScratchBuilder(0)
	for i := range f.Series {
		if err := w.Send(Plain(&f.Series[i], &sb)); err != nil {
			return err
		}
	}
	return nil
}

// Plain returns a copy of s that shares no memory with it. The builder, made by
// labels.NewScratchBuilder, is scratch space.
//
// Cost: five allocations, six if a chunk is aggregated.
func Plain(s *encoded.Series, sb *labels.ScratchBuilder) *store.Series {
	out := &store.Series{Labels: encoded.Labels(s.Labels, sb)}
	if len(s.Chunks) == 0 {
		return out
	}
	size, aggregated := 0, 0
	for i := range s.Chunks {
		c := &s.Chunks[i]
		size += len(c.Raw.Bytes)
		if a := c.Aggregates; a != nil {
			size += len(a.Count.Bytes) + len(a.Sum.Bytes) + len(a.Min.Bytes) + len(a.Max.Bytes) + len(a.Counter.Bytes)
			aggregated++
		}
	}
	out.Chunks = make([]store.Chunk, len(s.Chunks))
	cp := copier{buf: make([]byte, 0, size)}
	var aggrs []store.AggregatedChunk
	if aggregated > 0 {
		aggrs = make([]store.AggregatedChunk, 0, aggregated)
	}
	for i := range s.Chunks {
		c := &s.Chunks[i]
		out.Chunks[i] = store.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: cp.data(c.Raw)}
		if a := c.Aggregates; a != nil {
			aggrs = append(aggrs, store.AggregatedChunk{
				Count: cp.data(a.Count), Sum: cp.data(a.Sum), Min: cp.data(a.Min), Max: cp.data(a.Max), Counter: cp.data(a.Counter),
			})
			out.Chunks[i].Aggregated = &aggrs[len(aggrs)-1]
		}
	}
	return out
}

// copier copies chunk data into one buffer that was made large enough.
type copier struct{ buf []byte }

func (c *copier) data(d encoded.Data) store.ChunkData {
	if d.Encoding == chunkenc.EncNone {
		return store.ChunkData{}
	}
	from := len(c.buf)
	c.buf = append(c.buf, d.Bytes...)
	return store.ChunkData{Encoding: d.Encoding, Bytes: c.buf[from:len(c.buf):len(c.buf)]}
}

// View returns s in encoded form. Its labels are appended to dst, and the
// longer dst is returned for the next series; its chunk data stays where it is,
// so that the result is good for as long as s and dst are left alone.
//
// The labels must be in order and without duplicate names, as labels.Labels
// are.
func View(dst []byte, s *store.Series) (encoded.Series, []byte) {
	from := len(dst)
	dst = encoded.AppendLabels(dst, s.Labels)
	out := encoded.Series{Labels: dst[from:len(dst):len(dst)]}
	if len(s.Chunks) == 0 {
		return out, dst
	}
	aggregated := 0
	for i := range s.Chunks {
		if s.Chunks[i].Aggregated != nil {
			aggregated++
		}
	}
	var aggrs []encoded.Aggregates
	if aggregated > 0 {
		aggrs = make([]encoded.Aggregates, 0, aggregated)
	}
	out.Chunks = make([]encoded.Chunk, len(s.Chunks))
	for i := range s.Chunks {
		c := &s.Chunks[i]
		out.Chunks[i] = encoded.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: encoded.Data(c.Raw)}
		if a := c.Aggregated; a != nil {
			aggrs = append(aggrs, encoded.Aggregates{
				Count: encoded.Data(a.Count), Sum: encoded.Data(a.Sum), Min: encoded.Data(a.Min),
				Max: encoded.Data(a.Max), Counter: encoded.Data(a.Counter),
			})
			out.Chunks[i].Aggregates = &aggrs[len(aggrs)-1]
		}
	}
	return out, dst
}

// SameChunk reports whether two chunks say the same: equal time ranges, and
// equal encodings and bytes of whatever data they have. How they were written
// on the wire, and hashes that came along, do not matter.
func SameChunk(a, b *encoded.Chunk) bool {
	if a.MinTime != b.MinTime || a.MaxTime != b.MaxTime || !sameData(a.Raw, b.Raw) {
		return false
	}
	if a.Aggregates == nil && b.Aggregates == nil {
		return true
	}
	var none encoded.Aggregates
	x, y := a.Aggregates, b.Aggregates
	if x == nil {
		x = &none
	}
	if y == nil {
		y = &none
	}
	return sameData(x.Count, y.Count) && sameData(x.Sum, y.Sum) && sameData(x.Min, y.Min) &&
		sameData(x.Max, y.Max) && sameData(x.Counter, y.Counter)
}

func sameData(a, b encoded.Data) bool {
	return a.Encoding == b.Encoding && bytes.Equal(a.Bytes, b.Bytes)
}
