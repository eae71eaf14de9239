package grpcstore_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// TestCodecsAgree passes our messages through our codec and the stock one, in
// every combination of ends.
func TestCodecsAgree(t *testing.T) {
	codecs := map[string]encoding.CodecV2{"ours": grpcstore.NewCodec(), "stock": encoding.GetCodecV2("proto")}
	for _, size := range []int{0, 1, 1000, 70_000} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		for from, sender := range codecs {
			for to, receiver := range codecs {
				for _, pieces := range []int{1, 3} {
					t.Run(fmt.Sprintf("%d bytes/%s/%s/%d pieces", size, from, to, pieces), func(t *testing.T) {
						pool := newPoison()
						b, err := sender.Marshal(grpcstore.NewMessage(payload))
						testutil.Ok(t, err)
						testutil.Equals(t, string(payload), string(b.Materialize()))
						b.Free()
						if size == 0 {
							return // no frame is empty
						}
						b, err = sender.Marshal(grpcstore.NewSentFrame(payload, pool))
						testutil.Ok(t, err)
						testutil.Equals(t, string(payload), string(b.Materialize()))

						data := cut(b.Materialize(), pieces)
						b.Free()
						frame, bytes, free := grpcstore.NewReceivedFrame(pool)
						testutil.Ok(t, receiver.Unmarshal(data, frame))
						data.Free()
						testutil.Equals(t, string(payload), string(bytes()))
						free()
						testutil.Equals(t, fmt.Sprint(size, " bytes"), fmt.Sprint(frame))
					})
				}
			}
		}
	}
}

// cut copies b to pooled buffers, as gRPC receives a message.
func cut(b []byte, pieces int) mem.BufferSlice {
	var out mem.BufferSlice
	for i := range pieces {
		out = append(out, mem.Copy(b[i*len(b)/pieces:(i+1)*len(b)/pieces], newPoison()))
	}
	return out
}

func TestOtherMessagesGoToTheStockCodec(t *testing.T) {
	for name, c := range map[string]encoding.CodecV2{"stock": grpcstore.NewCodec(), "older": grpcstore.NewCodecOver(olderProto{})} {
		t.Run(name, func(t *testing.T) {
			testutil.Equals(t, "proto", c.Name())
			b, err := c.Marshal(wrapperspb.String("hello"))
			testutil.Ok(t, err)
			var got wrapperspb.StringValue
			testutil.Ok(t, c.Unmarshal(b, &got))
			testutil.Equals(t, "hello", got.Value)
			_, err = c.Marshal("not a message")
			testutil.NotOk(t, err)
			testutil.NotOk(t, c.Unmarshal(b, new(string)))
		})
	}
}

// olderProto is a protobuf codec of gRPC's older interface.
type olderProto struct{}

func (olderProto) Name() string { return "proto" }
func (olderProto) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errors.New("not a message")
	}
	return proto.Marshal(m)
}

func (olderProto) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errors.New("not a message")
	}
	return proto.Unmarshal(b, m)
}

// TestMessagesAreProtobufToInterceptors does what interceptors that log or count
// do with messages.
func TestMessagesAreProtobufToInterceptors(t *testing.T) {
	for _, m := range []proto.Message{
		grpcstore.NewMessage([]byte("abc")).(proto.Message),
		grpcstore.NewSentFrame([]byte("abc"), grpcstore.NewBufferPool()).(proto.Message),
	} {
		testutil.Equals(t, 3, proto.Size(m))
		b, err := proto.Marshal(m)
		testutil.Ok(t, err)
		testutil.Equals(t, "abc", string(b))
		_, err = protojson.Marshal(m)
		testutil.Ok(t, err)
		testutil.Equals(t, "3 bytes", fmt.Sprint(m))
		testutil.Ok(t, proto.CheckInitialized(m))
	}
	m := grpcstore.NewMessage(nil).(proto.Message)
	testutil.Ok(t, proto.Unmarshal([]byte("xyz"), m))
	testutil.Equals(t, 3, proto.Size(m))
	proto.Reset(m)
	testutil.Equals(t, 0, proto.Size(m))
}
