package grpcstore_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// rawCodec carries *[]byte as they are: a peer that can say anything.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// rawPeer is a server whose answers are bytes.
type rawPeer struct {
	// series answers a Series call.
	series func(ctx context.Context, req []byte, send func([]byte) error) error
	// unary answers the other methods, by name.
	unary map[string]func(req []byte) ([]byte, error)
}

// dialRaw serves p in memory and returns a client of it.
func dialRaw(t testing.TB, p rawPeer, copts *grpcstore.ClientOptions) *grpcstore.Client {
	t.Helper()
	storeDesc := grpc.ServiceDesc{ServiceName: "thanos.Store", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{{
		StreamName: "Series", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			var req []byte
			if err := s.RecvMsg(&req); err != nil {
				return err
			}
			return p.series(s.Context(), req, func(b []byte) error { return s.SendMsg(&b) })
		},
	}}}
	infoDesc := grpc.ServiceDesc{ServiceName: "thanos.info.Info", HandlerType: (*any)(nil)}
	for name, f := range p.unary {
		m := grpc.MethodDesc{MethodName: name, Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var req []byte
			if err := dec(&req); err != nil {
				return nil, err
			}
			b, err := f(req)
			return &b, err
		}}
		if name == "Info" {
			infoDesc.Methods = append(infoDesc.Methods, m)
		} else {
			storeDesc.Methods = append(storeDesc.Methods, m)
		}
	}
	l := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxSendMsgSize(math.MaxInt32))
	srv.RegisterService(&storeDesc, nil)
	srv.RegisterService(&infoDesc, nil)
	serve(t, l, srv)
	return dialMemory(t, l, copts)
}

// rawSeries asks a server made of s for series and returns the messages as they
// came.
func rawSeries(t testing.TB, s store.Store, opts *grpcstore.ServerOptions, req []byte, gopts ...grpc.ServerOption) ([][]byte, error) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(gopts...)
	testutil.Ok(t, grpcstore.Register(srv, s, opts))
	serve(t, l, srv)
	cc, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, cc.Close()) }()
	stream, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/thanos.Store/Series")
	testutil.Ok(t, err)
	testutil.Ok(t, stream.SendMsg(&req))
	testutil.Ok(t, stream.CloseSend())
	var out [][]byte
	for {
		var b []byte
		if err := stream.RecvMsg(&b); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
		out = append(out, b)
	}
}

// sent is what one message says.
type sent struct {
	kind    wire.Kind
	series  int
	size    int
	labels  []string
	chunks  int
	warning string
	hints   store.Any
}

// decode says what messages say.
func decode(t testing.TB, messages [][]byte) []sent {
	t.Helper()
	var out []sent
	for _, b := range messages {
		var d wire.Decoder
		f := encoded.NewFrame(nil)
		resp, err := d.Response(b, f)
		testutil.Ok(t, err)
		s := sent{kind: resp.Kind, series: len(f.Series), size: len(b), warning: resp.Warning, hints: resp.Hints}
		for i := range f.Series {
			s.labels = append(s.labels, plain(&f.Series[i]).Labels.String())
			s.chunks += len(f.Series[i].Chunks)
		}
		out = append(out, s)
	}
	return out
}
