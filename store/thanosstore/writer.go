package thanosstore

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/peer"
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
	if out.Chunks, err = chunksToThanos(s.Labels, chunks); err != nil {
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
	return w.send(&storepb.SeriesResponse{Result: &storepb.SeriesResponse_Warning{Warning: peer.Valid(err.Error())}})
}

// finish sends what is left, and then hints.
func (w *seriesWriter) finish(hints []store.Any) error {
	if err := w.flush(); err != nil {
		return err
	}
	for i := range hints {
		m := new(storepb.SeriesResponse)
		if err := m.Unmarshal(wire.AppendHints(nil, &hints[i])); err != nil {
			return peer.Status(fmt.Errorf("%w: hints: %w", store.ErrMalformed, err))
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

// chunksToThanos hands over the data of a series' chunks.
//
// Errors: *store.EncodingError.
func chunksToThanos(lset labels.Labels, chunks []store.Chunk) ([]storepb.AggrChunk, error) {
	if len(chunks) == 0 {
		return nil, nil
	}
	out := make([]storepb.AggrChunk, len(chunks))
	for i := range chunks {
		c, to := &chunks[i], &out[i]
		to.MinTime, to.MaxTime = c.MinTime, c.MaxTime
		a := c.Aggregated
		if a == nil {
			a = &store.AggregatedChunk{}
		}
		for _, f := range [...]struct {
			from store.ChunkData
			to   **storepb.Chunk
		}{
			{c.Raw, &to.Raw}, {a.Count, &to.Count}, {a.Sum, &to.Sum}, {a.Min, &to.Min}, {a.Max, &to.Max}, {a.Counter, &to.Counter},
		} {
			if f.from.IsZero() {
				continue
			}
			typ, ok := typeOf(f.from.Encoding)
			if !ok {
				return nil, &store.EncodingError{Encoding: f.from.Encoding, Series: lset}
			}
			*f.to = &storepb.Chunk{Type: typ, Data: f.from.Bytes}
		}
	}
	return out, nil
}

func typeOf(e chunkenc.Encoding) (typ storepb.Chunk_Encoding, ok bool) {
	switch e {
	case chunkenc.EncXOR:
		return storepb.Chunk_XOR, true
	case chunkenc.EncHistogram:
		return storepb.Chunk_HISTOGRAM, true
	case chunkenc.EncFloatHistogram:
		return storepb.Chunk_FLOAT_HISTOGRAM, true
	}
	return 0, false
}

func chunkSize(c *store.Chunk) int {
	n := len(c.Raw.Bytes)
	if a := c.Aggregated; a != nil {
		n += len(a.Count.Bytes) + len(a.Sum.Bytes) + len(a.Min.Bytes) + len(a.Max.Bytes) + len(a.Counter.Bytes)
	}
	return n
}
