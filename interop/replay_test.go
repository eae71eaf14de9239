package interop

import (
	"errors"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/thanos-io/thanos/pkg/store/storepb"
)

// replayServer answers every Series call with the messages, which it has encoded
// beforehand, so that whoever asks gets the very same frames at next to no price,
// and returns its address.
func replayServer(t testing.TB, responses []*storepb.SeriesResponse) string {
	t.Helper()
	frames := make([][]byte, len(responses))
	for i, r := range responses {
		b, err := r.Marshal()
		testutil.Ok(t, err)
		frames[i] = b
	}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(replayCodec{}), grpc.MaxSendMsgSize(math.MaxInt32))
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "thanos.Store",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "Series",
			ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				if err := stream.RecvMsg(nil); err != nil {
					return err
				}
				for _, f := range frames {
					if err := stream.SendMsg(f); err != nil {
						return err
					}
				}
				return nil
			},
		}},
	}, nil)
	return grpcServe(t, srv)
}

// replayCodec sends bytes as they are, and drops what it receives.
type replayCodec struct{}

func (replayCodec) Name() string { return "proto" }

func (replayCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("only frames are sent")
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (replayCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
