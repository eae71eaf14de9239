package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

func wireChecks() []check {
	return []check{
		{name: "batches", doc: "The answer is the same in batches of 0, 1, 2 and 64.", conn: true, run: checkBatches},
		{name: "batch-sizes", doc: "No message has more series than were asked for; a request for 0 or 1 is answered without batches.", conn: true, run: checkBatchSizes},
	}
}

// batchSizes are those that are asked for.
var batchSizes = [...]int{0, 1, 2, 64}

// rawMessage is a message as bytes.
type rawMessage struct{ b []byte }

// rawCodec hands rawMessages through.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*rawMessage)
	if !ok {
		return nil, fmt.Errorf("marshal %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(m.b)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*rawMessage)
	if !ok {
		return fmt.Errorf("unmarshal %T", v)
	}
	m.b = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

// received is what came in one message.
type received struct {
	kind   wire.Kind
	series int
	size   int // bytes
}

// messages makes a call with a batch size, and sends what comes to w. It
// returns each message's size.
func (p *probe) messages(ctx context.Context, req *store.SeriesRequest, batch int, w store.SeriesWriter) ([]received, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const anySize = 1 << 30
	stream, err := p.opts.Conn.NewStream(ctx, &grpc.StreamDesc{StreamName: "Series", ServerStreams: true}, "/thanos.Store/Series",
		grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(anySize))
	if err != nil {
		return nil, err
	}
	err = stream.SendMsg(&rawMessage{wire.AppendSeriesRequest(nil, req, batch)})
	if err == nil {
		err = stream.CloseSend()
	}
	if err != nil && !errors.Is(err, io.EOF) { // what ended the stream comes below
		return nil, err
	}
	var out []received
	sb := labels.NewScratchBuilder(0)
	for {
		var m rawMessage
		if err := stream.RecvMsg(&m); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		var d wire.Decoder
		f := encoded.NewFrame(nil)
		resp, err := d.Response(m.b, f)
		if err != nil {
			return nil, err
		}
		out = append(out, received{kind: resp.Kind, series: len(f.Series), size: len(m.b)})
		for i := range f.Series {
			if err := w.Send(wire.Plain(&f.Series[i], &sb)); err != nil {
				return nil, err
			}
		}
	}
}

// inBatches asks for all series in batches, and returns the messages too.
func (p *probe) inBatches(ctx context.Context, batch int) (*answer, []received, error) {
	var got []received
	a, err := ask(ctx, store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) (err error) {
		got, err = p.messages(ctx, req, batch, w)
		return err
	}), p.request(), &receiver{known: p.known, max: p.opts.MaxSeries})
	if err != nil {
		return nil, nil, fmt.Errorf("asked for %s in batches of %d: %w", p.request(), batch, err)
	}
	return a, got, nil
}

func checkBatches(ctx context.Context, p *probe) error {
	want, err := p.all(ctx)
	if err != nil {
		return err
	}
	for _, batch := range batchSizes {
		got, _, err := p.inBatches(ctx, batch)
		if err != nil {
			return err
		}
		if diff := p.diffAnswers(want, got); diff != "" {
			return fmt.Errorf("asked for %s in batches of %d: %s", p.request(), batch, diff)
		}
	}
	return nil
}

func checkBatchSizes(ctx context.Context, p *probe) error {
	if _, err := p.all(ctx); err != nil {
		return err
	}
	for _, batch := range batchSizes {
		_, messages, err := p.inBatches(ctx, batch)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.kind == wire.KindBatch && batch < 2 {
				return fmt.Errorf("asked for %s in batches of %d: a message is a batch, of %d series: readers that do not ask for batches do not understand them", p.request(), batch, m.series)
			}
			if m.series > max(batch, 1) {
				return fmt.Errorf("asked for %s in batches of %d: a message has %d series", p.request(), batch, m.series)
			}
		}
	}
	return nil
}
