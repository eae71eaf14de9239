package grpcstore

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the stock codec, as grpc itself does
	"google.golang.org/grpc/mem"
)

// codec is gRPC's codec "proto" that hands this package's own messages through
// as the bytes that they are, without copying frames, and gives every other
// message to the stock codec. It is safe for concurrent use.
type codec struct{ stock encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(wireMessage); ok {
		return m.buffers(), nil
	}
	if c.stock == nil {
		return nil, fmt.Errorf("marshal %T: no codec", v)
	}
	return c.stock.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(wireMessage); ok {
		m.take(data)
		return nil
	}
	if c.stock == nil {
		return fmt.Errorf("unmarshal %T: no codec", v)
	}
	return c.stock.Unmarshal(data, v)
}

// Name says that messages are protobuf on the wire.
func (codec) Name() string { return "proto" }
