package thanosstore

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// Bounds of messages, in bytes of labels and chunks, as store/grpcstore has them.
const (
	frameSize     = 128 << 10
	maxSeriesSize = 1 << 20
)

// seriesWriter sends the answer to one Series call. It takes plain series only:
// Thanos' types want their strings one by one anyway, and who holds the messages
// in process keeps them.
type seriesWriter struct {
	stream storepb.Store_SeriesServer
	batch  int // series in one message

	pending []*storepb.Series
	size    int // of pending

	last  labels.Labels
	begun bool // whether there was a last one

	err error // of the stream
}

// Send takes a series.
//
// Errors: store.ErrUnsorted with the series if its labels, or it, are out of
// order; *store.EncodingError; the stream's own.
func (w *seriesWriter) Send(s *store.Series) error {
	if !sorted(s.Labels) {
		return fmt.Errorf("%w: labels of %s", store.ErrUnsorted, s.Labels)
	}
	if w.begun && labels.Compare(w.last, s.Labels) > 0 {
		return fmt.Errorf("%w: %s after %s", store.ErrUnsorted, s.Labels, w.last)
	}
	w.last, w.begun = s.Labels, true
	if len(s.Chunks) == 0 {
		return w.add(s, nil)
	}
	for rest := s.Chunks; len(rest) > 0; {
		n := split(rest)
		if err := w.add(s, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// sorted reports whether names ascend, without duplicates, as a labels.Labels
// that was put together carelessly need not.
func sorted(lset labels.Labels) bool {
	ok, first, prev := true, true, ""
	lset.Range(func(l labels.Label) {
		ok = ok && (first || prev < l.Name)
		first, prev = false, l.Name
	})
	return ok
}

// split returns how many of the chunks fit into one message: at least one.
func split(chunks []store.Chunk) int {
	size := 0
	for i := range chunks {
		if size += chunkSize(&chunks[i]); i > 0 && size > maxSeriesSize {
			return i
		}
	}
	return len(chunks)
}

// add sends a series with some of its chunks, or keeps it for a message with
// others.
func (w *seriesWriter) add(s *store.Series, chunks []store.Chunk) error {
	out := &storepb.Series{Labels: labelsToThanos(s.Labels)}
	var err error
	if out.Chunks, err = chunksToThanos(chunks); err != nil {
		if e, ok := err.(*store.EncodingError); ok { //nolint:errorlint // It is made here.
			e.Series = s.Labels
		}
		return err
	}
	size := int(s.Labels.ByteSize())
	for i := range chunks {
		size += chunkSize(&chunks[i])
	}
	if len(w.pending) > 0 && w.size+size > frameSize {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.pending, w.size = append(w.pending, out), w.size+size
	if len(w.pending) >= w.batch {
		return w.flush()
	}
	return nil
}

// Warn sends a warning, after the series that came before it.
func (w *seriesWriter) Warn(err error) error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.send(&storepb.SeriesResponse{Result: &storepb.SeriesResponse_Warning{Warning: valid(err.Error())}})
}

// finish sends what is left, and then hints.
func (w *seriesWriter) finish(hints []store.Any) error {
	if err := w.flush(); err != nil {
		return err
	}
	for i := range hints {
		m := new(storepb.SeriesResponse)
		if err := m.Unmarshal(wire.AppendHints(nil, &hints[i])); err != nil {
			return statusOf(fmt.Errorf("%w: hints: %w", store.ErrMalformed, err))
		}
		if err := w.send(m); err != nil {
			return err
		}
	}
	return nil
}

// flush sends the series that were kept.
func (w *seriesWriter) flush() error {
	pending := w.pending
	w.pending, w.size = nil, 0 // what was sent is the receiver's
	switch len(pending) {
	case 0:
		return nil
	case 1:
		return w.send(storepb.NewSeriesResponse(pending[0]))
	}
	return w.send(storepb.NewBatchResponse(pending))
}

func (w *seriesWriter) send(m *storepb.SeriesResponse) error {
	if w.err == nil {
		w.err = w.stream.Send(m)
	}
	return w.err
}

// labelsToThanos rebuilds a label set. Strings are never written to, so that
// both may have them.
func labelsToThanos(lset labels.Labels) []storepb.Label {
	out := make([]storepb.Label, 0, lset.Len())
	lset.Range(func(l labels.Label) { out = append(out, storepb.Label{Name: l.Name, Value: l.Value}) })
	return out
}

// chunksToThanos hands over the data of chunks.
//
// Errors: *store.EncodingError without the series.
func chunksToThanos(chunks []store.Chunk) ([]storepb.AggrChunk, error) {
	if len(chunks) == 0 {
		return nil, nil
	}
	out := make([]storepb.AggrChunk, len(chunks))
	for i := range chunks {
		c := &chunks[i]
		out[i].MinTime, out[i].MaxTime = c.MinTime, c.MaxTime
		fields := []struct {
			from store.ChunkData
			to   **storepb.Chunk
		}{{c.Raw, &out[i].Raw}}
		if a := c.Aggregated; a != nil {
			fields = append(fields, []struct {
				from store.ChunkData
				to   **storepb.Chunk
			}{{a.Count, &out[i].Count}, {a.Sum, &out[i].Sum}, {a.Min, &out[i].Min}, {a.Max, &out[i].Max}, {a.Counter, &out[i].Counter}}...)
		}
		for _, f := range fields {
			var err error
			if *f.to, err = dataToThanos(f.from); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// dataToThanos returns nil if there is no data.
func dataToThanos(d store.ChunkData) (*storepb.Chunk, error) {
	out := &storepb.Chunk{Data: d.Bytes}
	switch d.Encoding {
	case chunkenc.EncNone:
		return nil, nil
	case chunkenc.EncXOR:
		out.Type = storepb.Chunk_XOR
	case chunkenc.EncHistogram:
		out.Type = storepb.Chunk_HISTOGRAM
	case chunkenc.EncFloatHistogram:
		out.Type = storepb.Chunk_FLOAT_HISTOGRAM
	default:
		return nil, &store.EncodingError{Encoding: d.Encoding}
	}
	return out, nil
}

func chunkSize(c *store.Chunk) int {
	n := len(c.Raw.Bytes)
	if a := c.Aggregated; a != nil {
		n += len(a.Count.Bytes) + len(a.Sum.Bytes) + len(a.Min.Bytes) + len(a.Max.Bytes) + len(a.Counter.Bytes)
	}
	return n
}
