package grpcstore

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// headroom is what a message is larger than the series in it, at most.
const headroom = 16

// seriesWriter sends the answer to one Series call. It is both a
// store.SeriesWriter and an encoded.Writer.
//
// The order of plain series is checked here, where a Store that anybody may
// have written hands them over. Frames are made by thanoskit's own packages,
// which checked or sorted what is in them; of those only the seams are checked.
type seriesWriter struct {
	stream grpc.ServerStream
	pool   mem.BufferPool
	opts   *ServerOptions
	batch  int // series in one message

	enc wire.Encoder
	buf *[]byte // where enc writes; nil if it is empty

	last   []byte // labels of the last series
	begun  bool   // whether there was one
	labels []byte // scratch space
}

func newSeriesWriter(stream grpc.ServerStream, pool mem.BufferPool, batch int, opts *ServerOptions) *seriesWriter {
	return &seriesWriter{stream: stream, pool: pool, opts: opts, batch: max(batch, 1)}
}

// Send takes a plain series.
//
// Errors: store.ErrUnsorted with the series if its labels, or it, are out of
// order; *store.EncodingError; gRPC's own.
func (w *seriesWriter) Send(s *store.Series) error {
	if !sorted(s.Labels) {
		return fmt.Errorf("%w: labels of %s", store.ErrUnsorted, s.Labels)
	}
	v, buf := wire.View(w.labels[:0], s)
	if err := w.checkOrder(v.Labels); err != nil {
		return err
	}
	w.last, w.labels = buf, w.last
	return w.add(&v)
}

// SendFrame takes a frame.
func (w *seriesWriter) SendFrame(f *encoded.Frame) error {
	if len(f.Series) == 0 {
		return nil
	}
	if err := w.checkOrder(f.Series[0].Labels); err != nil {
		return err
	}
	w.last = append(w.last[:0], f.Series[len(f.Series)-1].Labels...)
	for i := range f.Series {
		if err := w.add(&f.Series[i]); err != nil {
			return err
		}
	}
	return nil
}

// Warn sends a warning, after the series that came before it.
func (w *seriesWriter) Warn(err error) error {
	if err := w.flush(); err != nil {
		return err
	}
	text := peer.Valid(err.Error())
	return w.stream.SendMsg(&message{b: wire.AppendWarning(nil, text)})
}

// finish sends what is left, and then hints.
func (w *seriesWriter) finish(hints []store.Any) error {
	if err := w.flush(); err != nil {
		return err
	}
	for i := range hints {
		if err := w.stream.SendMsg(&message{b: wire.AppendHints(nil, &hints[i])}); err != nil {
			return err
		}
	}
	return nil
}

// checkOrder returns an error if next, the labels of a series, may not follow
// the last one.
func (w *seriesWriter) checkOrder(next []byte) error {
	if w.begun && encoded.CompareLabels(w.last, next) > 0 {
		return unsorted(w.last, next)
	}
	w.begun = true
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

// unsorted is store.ErrUnsorted with the series.
func unsorted(prev, next []byte) error {
	sb := labels.NewScratchBuilder(0)
	after := encoded.Labels(prev, &sb)
	return fmt.Errorf("%w: %s after %s", store.ErrUnsorted, encoded.Labels(next, &sb), after)
}

// add sends a series, or keeps it for a message with others; in parts if it is
// large.
func (w *seriesWriter) add(s *encoded.Series) error {
	size := wire.SeriesSize(s)
	if size <= w.opts.MaxSeriesSize || len(s.Chunks) < 2 {
		return w.addPart(s, size)
	}
	for rest := s.Chunks; len(rest) > 0; {
		part := encoded.Series{Labels: s.Labels, Chunks: rest}
		n := wire.Split(&part, w.opts.MaxSeriesSize)
		part.Chunks, rest = rest[:n], rest[n:]
		if err := w.addPart(&part, wire.SeriesSize(&part)); err != nil {
			return err
		}
	}
	return nil
}

func (w *seriesWriter) addPart(s *encoded.Series, size int) error {
	if w.buf != nil && w.enc.Len()+size+headroom > w.opts.FrameSize {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.buf == nil {
		n := size + headroom // large enough that the encoder need not grow it
		if w.batch > 1 {
			n = max(n, w.opts.FrameSize)
		}
		w.buf = w.pool.Get(n)
		w.enc.Reset(*w.buf)
	}
	if err := w.enc.Add(s); err != nil {
		return err
	}
	if w.enc.Series() >= w.batch {
		return w.flush()
	}
	return nil
}

// flush sends the series that were kept.
func (w *seriesWriter) flush() error {
	if w.buf == nil || w.enc.Series() == 0 {
		return nil
	}
	n := len(w.enc.Response())
	*w.buf = w.enc.Buffer()
	f := newSentFrame(w.buf, len(*w.buf)-n, w.pool)
	w.buf = nil
	err := w.stream.SendMsg(f)
	f.release()
	return err
}

// release gives back what a call that ended early left behind.
func (w *seriesWriter) release() {
	if w.buf != nil {
		*w.buf = w.enc.Buffer()
		w.pool.Put(w.buf)
		w.buf = nil
	}
}
