package thanosstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc/metadata"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// server is Thanos' server, called without a connection.
type server struct{ storepb.StoreServer }

func (s server) series(ctx context.Context, req *storepb.SeriesRequest, send func(*storepb.SeriesResponse) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := &serverStream{ctx: ctx, cancel: cancel, send: send}
	defer stream.end()
	return s.Series(req, stream)
}

func (s server) labelNames(ctx context.Context, req *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error) {
	return s.LabelNames(ctx, req)
}

func (s server) labelValues(ctx context.Context, req *storepb.LabelValuesRequest) (*storepb.LabelValuesResponse, error) {
	return s.LabelValues(ctx, req)
}

// serverStream is what a server sends its answer to. It is safe for concurrent
// use, and refuses what is sent after the end.
type serverStream struct {
	ctx    context.Context
	cancel context.CancelFunc // ends ctx when nothing more is wanted

	mu   sync.Mutex
	send func(*storepb.SeriesResponse) error // nil after the end
}

var _ storepb.Store_SeriesServer = (*serverStream)(nil)

// errEnded is returned to a server that goes on sending after its call.
var errEnded = errors.New("response sent after the call has ended")

func (s *serverStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send = nil
}

func (s *serverStream) Send(m *storepb.SeriesResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.send == nil {
		return errEnded
	}
	err := s.send(m)
	if err != nil {
		s.cancel()
	}
	return err
}

func (s *serverStream) Context() context.Context { return s.ctx }

// Headers and trailers have nowhere to go.

func (s *serverStream) SetHeader(metadata.MD) error  { return nil }
func (s *serverStream) SendHeader(metadata.MD) error { return nil }
func (s *serverStream) SetTrailer(metadata.MD)       {}

// SendMsg is Send for a message of any type.
func (s *serverStream) SendMsg(m any) error {
	if m, ok := m.(*storepb.SeriesResponse); ok {
		return s.Send(m)
	}
	return fmt.Errorf("send %T: not a response to a series request", m)
}

// RecvMsg says that there was one request.
func (s *serverStream) RecvMsg(any) error { return io.EOF }

// seriesReader hands on the answer to one call.
type seriesReader struct {
	s     *source
	w     store.SeriesWriter
	out   *store.Outcome
	last  []byte // labels of the last series of the messages before
	begun bool   // whether there was one

	// err is what ended the call from this side. Thanos' code is told of it, but
	// may tell nobody, or only its text.
	err error
}

// message hands on one message, which it copies.
func (r *seriesReader) message(m *storepb.SeriesResponse) error {
	if r.err != nil {
		return r.err
	}
	defer func() {
		if v := recover(); v != nil { // Thanos may make a warning of it
			r.err = &store.PanicError{Value: v, Stack: debug.Stack()}
			panic(v) //nolint:forbidigo // It goes on as it was.
		}
	}()
	r.err = r.handOn(m)
	return r.err
}

func (r *seriesReader) handOn(m *storepb.SeriesResponse) error {
	h := r.s.hold()
	defer h.frame.Release()
	resp, err := h.decode(m)
	if err != nil {
		return r.s.error(opSeries, err)
	}
	switch resp.Kind {
	case wire.KindSeries, wire.KindBatch:
		if err := r.checkOrder(h.frame); err != nil {
			return r.s.error(opSeries, err)
		}
		return wire.Send(r.w, h.frame)
	case wire.KindWarning:
		return r.w.Warn(r.s.error(opSeries, peer.Warning(resp.Warning)))
	case wire.KindHints:
		r.out.AddHints(resp.Hints)
	case wire.KindUnknown: // empty, or of a later Thanos
	}
	return nil
}

// checkOrder returns an error if a series is smaller than its predecessor, in
// the frame or before it.
func (r *seriesReader) checkOrder(f *encoded.Frame) error {
	for i := range f.Series {
		next := f.Series[i].Labels
		if r.begun && encoded.CompareLabels(r.last, next) > 0 {
			sb := labels.NewScratchBuilder(0)
			after := encoded.Labels(r.last, &sb)
			return fmt.Errorf("%w: %s after %s", store.ErrUnsorted, encoded.Labels(next, &sb), after)
		}
		r.last, r.begun = append(r.last[:0], next...), true
	}
	return nil
}

// heldFrame is a frame with what its series point to. It goes back to the
// source's pool when its last holder releases it.
type heldFrame struct {
	frame   *encoded.Frame
	decoder wire.Decoder
	buf     []byte
}

// maxKeptBytes is the size above which the copy of a message is not kept for the
// next one.
const maxKeptBytes = 1 << 20

// hold returns an empty frame.
func (s *source) hold() *heldFrame {
	if h, ok := s.frames.Get().(*heldFrame); ok {
		h.frame.Reset()
		return h
	}
	h := new(heldFrame)
	h.frame = encoded.NewFrame(func(*encoded.Frame) {
		h.decoder.Reset()
		if cap(h.buf) <= maxKeptBytes {
			s.frames.Put(h)
		}
	})
	return h
}

// decode copies m and makes its series those of the frame.
func (h *heldFrame) decode(m *storepb.SeriesResponse) (wire.Response, error) {
	size := m.Size()
	if cap(h.buf) < size {
		h.buf = make([]byte, size)
	}
	n, err := m.MarshalToSizedBuffer(h.buf[:size])
	if err != nil {
		return wire.Response{}, fmt.Errorf("%w: %w", store.ErrMalformed, err)
	}
	resp, err := h.decoder.Response(h.buf[size-n:size], h.frame)
	h.frame.Size += cap(h.buf) - n // the buffer is kept whole
	return resp, err
}
