package grpcstore

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"
	"google.golang.org/protobuf/types/known/emptypb"
)

// What this package gives to gRPC to send or to fill is bytes, which
// internal/wire writes and reads. Each such type is a proto.Message as well, so
// that gRPC's stock codec can carry it too.

// outgoing is a message to be sent.
type outgoing interface {
	proto.Message
	// buffers gives up the bytes to gRPC. It is called once.
	buffers() mem.BufferSlice
	// size and appendTo are for the stock codec, which copies.
	size() int
	appendTo(dst []byte) []byte
}

// incoming is a message to be filled.
type incoming interface {
	proto.Message
	// take keeps references to what it needs of data.
	take(data mem.BufferSlice)
	// copyFrom is for the stock codec, which reuses b.
	copyFrom(b []byte)
}

// message is a request, or the answer to a unary call. Its bytes are its own.
type message struct{ b []byte }

func (m *message) buffers() mem.BufferSlice   { return mem.BufferSlice{mem.SliceBuffer(m.b)} }
func (m *message) size() int                  { return len(m.b) }
func (m *message) appendTo(dst []byte) []byte { return append(dst, m.b...) }
func (m *message) take(data mem.BufferSlice)  { m.b = data.Materialize() }
func (m *message) copyFrom(b []byte)          { m.b = append([]byte(nil), b...) }

// Reset empties the message.
func (m *message) Reset() { m.b = nil }

// String tells the size of the message and nothing of its content.
func (m *message) String() string { return fmt.Sprintf("%d bytes", len(m.b)) }

// ProtoReflect makes the message a proto.Message.
func (m *message) ProtoReflect() protoreflect.Message { return reflectOf(m) }

// sentFrame is a frame of an answer to be sent: the end of a buffer of the pool.
// The buffer belongs to the sender until buffers gives it to gRPC, which puts it
// back into the pool when it was written to the connection.
type sentFrame struct {
	buf  *[]byte // nil after buffers
	from int     // where in it the message begins
	pool mem.BufferPool
	n    int // the message's length
}

func newSentFrame(buf *[]byte, from int, pool mem.BufferPool) *sentFrame {
	return &sentFrame{buf: buf, from: from, pool: pool, n: len(*buf) - from}
}

func (f *sentFrame) buffers() mem.BufferSlice {
	whole := mem.NewBuffer(f.buf, f.pool)
	f.buf = nil
	data := whole.Slice(f.from, f.from+f.n)
	whole.Free() // data keeps it
	return mem.BufferSlice{data}
}

func (f *sentFrame) size() int                  { return f.n }
func (f *sentFrame) appendTo(dst []byte) []byte { return append(dst, (*f.buf)[f.from:]...) }

// release gives back the buffer if gRPC did not take it.
func (f *sentFrame) release() {
	if f.buf != nil {
		f.pool.Put(f.buf)
		f.buf = nil
	}
}

// String tells the size of the frame, and is good for as long as the frame is:
// gRPC's tracing may format a message long after it was sent.
func (f *sentFrame) String() string { return fmt.Sprintf("%d bytes", f.n) }

// ProtoReflect makes the frame a proto.Message.
func (f *sentFrame) ProtoReflect() protoreflect.Message { return reflectOf(f) }

// receivedFrame is a frame of an answer that was received: a reference to
// gRPC's own buffer if it is in one piece, else a copy in one of the pool.
type receivedFrame struct {
	buf  mem.Buffer // nil until received; whoever takes it frees it
	pool mem.BufferPool
	n    int
}

func (f *receivedFrame) take(data mem.BufferSlice) {
	f.buf = data.MaterializeToBuffer(f.pool)
	f.n = f.buf.Len()
}

func (f *receivedFrame) copyFrom(b []byte) {
	buf := f.pool.Get(len(b))
	copy(*buf, b)
	f.buf, f.n = mem.NewBuffer(buf, f.pool), len(b)
}

// String tells the size of the frame; see sentFrame.String.
func (f *receivedFrame) String() string { return fmt.Sprintf("%d bytes", f.n) }

// ProtoReflect makes the frame a proto.Message.
func (f *receivedFrame) ProtoReflect() protoreflect.Message { return reflectOf(f) }

// reflected lets protobuf's own functions marshal and unmarshal our messages
// through ProtoMethods. To whatever else looks at it, an interceptor that logs
// payloads say, it is an empty message.
type reflected struct {
	protoreflect.Message
	m proto.Message
}

func reflectOf(m proto.Message) protoreflect.Message {
	return &reflected{Message: new(emptypb.Empty).ProtoReflect(), m: m}
}

// Interface returns the message itself.
func (r *reflected) Interface() protoreflect.ProtoMessage { return r.m }

// ProtoMethods returns the functions that protobuf calls instead of reflecting.
func (r *reflected) ProtoMethods() *protoiface.Methods {
	methods := &protoiface.Methods{
		CheckInitialized: func(protoiface.CheckInitializedInput) (protoiface.CheckInitializedOutput, error) {
			return protoiface.CheckInitializedOutput{}, nil
		},
	}
	if m, ok := r.m.(outgoing); ok {
		methods.Size = func(protoiface.SizeInput) protoiface.SizeOutput {
			return protoiface.SizeOutput{Size: m.size()}
		}
		methods.Marshal = func(in protoiface.MarshalInput) (protoiface.MarshalOutput, error) {
			return protoiface.MarshalOutput{Buf: m.appendTo(in.Buf)}, nil
		}
	}
	if m, ok := r.m.(incoming); ok {
		methods.Unmarshal = func(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
			m.copyFrom(in.Buf)
			return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, nil
		}
	}
	return methods
}
