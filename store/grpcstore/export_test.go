package grpcstore

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// SetBufferPool replaces the buffer pool of a *Client, or of what Register gave
// to the server.
func SetBufferPool(of any, p mem.BufferPool) {
	switch x := of.(type) {
	case *Client:
		x.pool = p
	case *service:
		x.pool = p
	default:
		panic("no pool")
	}
}

// NewBufferPool returns the pool that clients and servers use.
func NewBufferPool() mem.BufferPool { return new(bufferPool) }

// Messages for tests of the codecs.
var NewCodec = newCodec

// NewMessage returns a message with bytes of its own.
func NewMessage(b []byte) any { return &message{b: b} }

// NewSentFrame returns a frame of p's buffer that says b.
func NewSentFrame(b []byte, p mem.BufferPool) any {
	buf := p.Get(len(b) + 3)
	copy((*buf)[3:], b)
	return newSentFrame(buf, 3, p)
}

// NewReceivedFrame returns a frame to fill, and its bytes once it is filled.
func NewReceivedFrame(p mem.BufferPool) (frame any, bytes func() []byte, free func()) {
	f := &receivedFrame{pool: p}
	return f, func() []byte { return f.buf.ReadOnlyData() }, func() { f.buf.Free() }
}

// NewCodecOver returns the codec as it is in a program that registered another
// codec of the older kind.
func NewCodecOver(c encoding.Codec) encoding.CodecV2 { return codec{olderCodec{c}} }
