package grpcstore_test

import (
	"context"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// foreign is a service whose messages are ordinary protobuf ones: it answers a
// struct with the same struct and one field more.
var foreign = grpc.ServiceDesc{
	ServiceName: "test.Foreign", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Add", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(structpb.Struct)
		if err := dec(in); err != nil {
			return nil, err
		}
		in.Fields["seen"] = structpb.NewBoolValue(true)
		return in, nil
	}}},
}

// TestOneServerForAll has the StoreAPI, health, reflection and a foreign service
// on one server with our codec.
func TestOneServerForAll(t *testing.T) {
	ss := seriesOf(t, 100, 1)
	srv, err := grpcstore.NewServer(&describer{plainStore: ss, info: store.Info{Component: "gateway"}}, nil)
	testutil.Ok(t, err)
	srv.GRPC().RegisterService(&foreign, nil)
	l := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, l) }()
	defer func() { cancel(); testutil.Ok(t, <-done) }()
	cc := dialConn(t, l)

	c, err := grpcstore.NewClient(cc, "peer", nil)
	testutil.Ok(t, err)
	var got collector
	testutil.Ok(t, c.Series(t.Context(), everything, &got))
	requireSeries(t, ss, got.series)

	health, err := grpc_health_v1.NewHealthClient(cc).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "thanos.Store"})
	testutil.Ok(t, err)
	testutil.Equals(t, grpc_health_v1.HealthCheckResponse_SERVING, health.Status)

	in, err := structpb.NewStruct(map[string]any{"a": 1, "b": "x"})
	testutil.Ok(t, err)
	out := new(structpb.Struct)
	testutil.Ok(t, cc.Invoke(t.Context(), "/test.Foreign/Add", in, out))
	testutil.Equals(t, map[string]any{"a": 1.0, "b": "x", "seen": true}, out.AsMap())

	// A client that knows nothing but what reflection tells asks for Info.
	files := filesWith(t, cc, "thanos.info.Info")
	method := find(t, files, "thanos.info.Info").(protoreflect.ServiceDescriptor).Methods().ByName("Info")
	reply := dynamicpb.NewMessage(method.Output())
	testutil.Ok(t, cc.Invoke(t.Context(), "/thanos.info.Info/Info", dynamicpb.NewMessage(method.Input()), reply))
	testutil.Equals(t, "gateway", reply.Get(method.Output().Fields().ByName("ComponentType")).String())
	testutil.Assert(t, reply.Has(method.Output().Fields().ByName("store")))
}

// filesWith returns the files that reflection gives for a symbol.
func filesWith(t testing.TB, cc *grpc.ClientConn, symbol string) *protoregistry.Files {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(cc).ServerReflectionInfo(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol}}))
	resp, err := stream.Recv()
	testutil.Ok(t, err)
	testutil.Ok(t, stream.CloseSend())
	set := new(descriptorpb.FileDescriptorSet)
	for _, b := range resp.GetFileDescriptorResponse().GetFileDescriptorProto() {
		f := new(descriptorpb.FileDescriptorProto)
		testutil.Ok(t, proto.Unmarshal(b, f))
		set.File = append(set.File, f)
	}
	files, err := protodesc.NewFiles(set)
	testutil.Ok(t, err)
	return files
}

func find(t testing.TB, files *protoregistry.Files, name protoreflect.FullName) protoreflect.Descriptor {
	t.Helper()
	d, err := files.FindDescriptorByName(name)
	testutil.Ok(t, err)
	return d
}

func TestReflection(t *testing.T) {
	srv := grpc.NewServer()
	testutil.Ok(t, grpcstore.Register(srv, plainStore(nil), nil))
	testutil.Ok(t, grpcstore.NewHealth().Register(srv))
	testutil.Ok(t, grpcstore.RegisterReflection(srv))
	l := bufconn.Listen(1 << 20)
	serve(t, l, srv)
	cc := dialConn(t, l)

	// Both versions list the services.
	want := []string{"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection", "thanos.Store", "thanos.info.Info"}
	v1, err := reflectionv1.NewServerReflectionClient(cc).ServerReflectionInfo(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, v1.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}))
	resp, err := v1.Recv()
	testutil.Ok(t, err)
	var got []string
	for _, s := range resp.GetListServicesResponse().GetService() {
		got = append(got, s.Name)
	}
	slices.Sort(got)
	testutil.Equals(t, want, got)
	// The messages of v1alpha are those of v1.
	alpha, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
	testutil.Ok(t, err)
	testutil.Ok(t, alpha.SendMsg(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}))
	old := new(reflectionv1.ServerReflectionResponse)
	testutil.Ok(t, alpha.RecvMsg(old))
	testutil.Equals(t, len(want), len(old.GetListServicesResponse().GetService()))

	// A symbol of ours comes with all that its file imports, one of another
	// service from the global registry.
	files := filesWith(t, cc, "thanos.Store")
	series := find(t, files, "thanos.Store").(protoreflect.ServiceDescriptor).Methods().ByName("Series")
	testutil.Assert(t, series.IsStreamingServer() && !series.IsStreamingClient())
	testutil.Equals(t, protoreflect.FullName("thanos.SeriesRequest"), series.Input().FullName())
	for _, name := range []protoreflect.FullName{"thanos.Label", "thanos.AggrChunk", "thanos.Chunk.Encoding", "google.protobuf.Any"} {
		find(t, files, name)
	}
	find(t, filesWith(t, cc, "grpc.health.v1.Health"), "grpc.health.v1.Health")
	find(t, filesWith(t, cc, "thanos.Chunk"), "thanos.Chunk")

	// Nothing of ours is in the registry that the program shares.
	for _, name := range []protoreflect.FullName{"thanos.Store", "thanos.info.Info", "thanos.Series"} {
		_, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		testutil.Equals(t, protoregistry.NotFound, err)
	}
	unknown, err := reflectionv1.NewServerReflectionClient(cc).ServerReflectionInfo(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, unknown.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "no.such.Thing"}}))
	resp, err = unknown.Recv()
	testutil.Ok(t, err)
	testutil.Assert(t, resp.GetErrorResponse() != nil)
}
