package grpcstore

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// codec is gRPC's codec "proto" that hands this package's own messages through
// as the bytes that they are, without copying frames, and gives every other
// message to the stock codec: the one that the program has registered under that
// name. It is safe for concurrent use.
type codec struct{ stock encoding.CodecV2 }

func newCodec() codec {
	if c := encoding.GetCodecV2("proto"); c != nil {
		return codec{c}
	}
	return codec{olderCodec{encoding.GetCodec("proto")}}
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(outgoing); ok {
		return m.buffers(), nil
	}
	return c.stock.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(incoming); ok {
		m.take(data)
		return nil
	}
	return c.stock.Unmarshal(data, v)
}

// Name says that messages are protobuf on the wire.
func (codec) Name() string { return "proto" }

// olderCodec is a codec of gRPC's older interface, which some programs replace
// the stock one by. gRPC itself sees to it that there is one or the other.
type olderCodec struct{ encoding.Codec }

func (c olderCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, err := c.Codec.Marshal(v)
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (c olderCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return c.Codec.Unmarshal(data.Materialize(), v)
}
