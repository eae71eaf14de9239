package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

var seriesStream = grpc.StreamDesc{StreamName: "Series", ServerStreams: true}

// Series asks the peer for series.
//
// A writer that takes frames gets every message as one, as views of gRPC's
// buffers; any other gets copies that it owns. The peer's warnings go to w, each
// as a *store.Error, its hints to req.Outcome.
//
// Errors: those of w are returned as they are. All others are *store.Error with
// the client's name, and one of: store.ErrUnsorted with the series;
// store.ErrMalformed; store.ErrLimit if the answer or a message is too large;
// store.ErrInvalidRequest; store.ErrUnavailable; the context's error; else what
// the peer says. The gRPC status is in the chain if there is one.
func (c *Client) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream, however we leave
	ctx = peer.Metadata{Tenant: req.Tenant, More: req.Metadata, Receipt: req.Outcome != nil}.Outgoing(ctx)
	r := &seriesReader{c: c, w: w, out: req.Outcome}
	r.limits = wire.Limits{MaxSeries: c.opts.Limits.Series, MaxChunks: c.opts.Limits.Chunks}
	stream, err := c.cc.NewStream(ctx, &seriesStream, methodSeries, c.call...)
	if err != nil {
		return c.error(opSeries, peer.FromStatus(ctx, err))
	}
	err = stream.SendMsg(&message{b: wire.AppendSeriesRequest(nil, req, c.opts.BatchSize)})
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil && !errors.Is(err, io.EOF) { // what ended the stream is for RecvMsg to say
		return c.error(opSeries, peer.FromStatus(ctx, err))
	}
	for {
		in := receivedFrame{pool: c.pool}
		if err := stream.RecvMsg(&in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return c.error(opSeries, peer.FromStatus(ctx, err))
		}
		if err := r.message(in.buf); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil { // messages that have arrived could keep us
			return c.error(opSeries, err)
		}
	}
}

// Warnings and hints are kept until a call ends, so that a peer may not send them
// without end: maxBeside is how many bytes they may take in memory, where each
// takes besideCost beside its message.
const (
	maxBeside  = 16 << 20
	besideCost = 256
)

// seriesReader hands on the answer to one call.
type seriesReader struct {
	c      *Client
	w      store.SeriesWriter
	out    *store.Outcome
	limits wire.Limits
	bytes  int64
	beside int64  // what warnings and hints take
	last   []byte // labels of the last series of the messages before
	begun  bool   // whether there was one
}

// message hands on one message, and frees it unless the writer keeps it.
func (r *seriesReader) message(buf mem.Buffer) error {
	h := r.c.hold(buf)
	defer h.frame.Release()
	b := buf.ReadOnlyData()
	h.decoder.Limits = &r.limits
	resp, err := h.decoder.Response(b, h.frame)
	h.decoder.Limits = nil
	if err != nil {
		return r.c.error(opSeries, err)
	}
	h.frame.Size += cap(b) - len(b) // the buffer is kept whole
	if r.bytes += int64(len(b)); r.c.opts.Limits.Bytes > 0 && r.bytes > r.c.opts.Limits.Bytes {
		return r.c.error(opSeries, &store.LimitError{Limit: "bytes", Max: r.c.opts.Limits.Bytes})
	}
	if resp.Kind == wire.KindWarning || resp.Kind == wire.KindHints {
		if r.beside += int64(len(b)) + besideCost; r.beside > maxBeside {
			return r.c.error(opSeries, fmt.Errorf("warnings and hints: %w", &store.LimitError{Limit: "bytes", Max: maxBeside}))
		}
	}
	switch resp.Kind {
	case wire.KindSeries, wire.KindBatch:
		if len(h.frame.Series) == 0 {
			return nil
		}
		if err := r.checkOrder(h.frame); err != nil {
			return r.c.error(opSeries, err)
		}
		return wire.Send(r.w, h.frame)
	case wire.KindWarning:
		return r.w.Warn(r.c.error(opSeries, peer.Warning(resp.Warning)))
	case wire.KindHints:
		return r.c.hints(opSeries, resp.Hints, r.out)
	case wire.KindUnknown: // of a later Thanos
	}
	return nil
}

// checkOrder returns an error if a series is smaller than its predecessor, in
// the frame or before it. What a comparison finds is kept, so that a fan-out need
// not make it again.
func (r *seriesReader) checkOrder(f *encoded.Frame) error {
	prev := r.last
	for i := range f.Series {
		s := &f.Series[i]
		if i > 0 || r.begun {
			var order int
			if order, s.From = encoded.Depart(prev, s.Labels, 0); order > 0 {
				return unsorted(prev, s.Labels)
			}
		}
		prev = s.Labels
	}
	f.Departs = true
	r.last, r.begun = append(r.last[:0], prev...), true
	return nil
}

// heldFrame is a frame with what its series point to. It goes back to the
// client's pool when its last holder releases it.
type heldFrame struct {
	frame   *encoded.Frame
	decoder wire.Decoder
	buf     mem.Buffer
}

// hold returns an empty frame that keeps buf.
func (c *Client) hold(buf mem.Buffer) *heldFrame {
	h, ok := c.frames.Get().(*heldFrame)
	if ok {
		h.frame.Reset()
	} else {
		h = new(heldFrame)
		h.frame = encoded.NewFrame(func(*encoded.Frame) {
			h.decoder.Reset()
			h.buf.Free()
			h.buf = nil
			c.frames.Put(h)
		})
	}
	h.buf = buf
	return h
}
