package grpcstore

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	_ "google.golang.org/protobuf/types/known/anypb" // google/protobuf/any.proto, which ours import
)

// RegisterReflection adds gRPC's reflection service, v1 and v1alpha, to a
// server, so that tools can list its services and call them by name.
//
// It knows the StoreAPI's and Info's descriptors without entering them into
// protobuf's process-wide registry; those of other services on the server are
// looked up there, as gRPC's own reflection does.
//
// Errors: if the server has a reflection service already.
func RegisterReflection(s reflection.GRPCServer) error {
	if err := unregistered(s, reflectionv1.ServerReflection_ServiceDesc.ServiceName, reflectionv1alpha.ServerReflection_ServiceDesc.ServiceName); err != nil {
		return fmt.Errorf("register reflection: %w", err)
	}
	files, err := newResolver()
	if err != nil {
		return fmt.Errorf("register reflection: %w", err)
	}
	opts := reflection.ServerOptions{Services: s, DescriptorResolver: files}
	reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(opts))
	reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(opts))
	return nil
}

// resolver finds descriptors in a registry of its own, then in the global one.
type resolver struct{ own *protoregistry.Files }

func newResolver() (resolver, error) {
	r := resolver{new(protoregistry.Files)}
	for _, d := range descriptors() {
		f, err := protodesc.NewFile(d, r)
		if err != nil {
			return r, fmt.Errorf("describe %s: %w", d.GetName(), err)
		}
		if err := r.own.RegisterFile(f); err != nil {
			return r, fmt.Errorf("describe %s: %w", d.GetName(), err)
		}
	}
	return r, nil
}

func (r resolver) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	f, err := r.own.FindFileByPath(path)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalFiles.FindFileByPath(path)
	}
	return f, err
}

func (r resolver) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	d, err := r.own.FindDescriptorByName(name)
	if errors.Is(err, protoregistry.NotFound) {
		return protoregistry.GlobalFiles.FindDescriptorByName(name)
	}
	return d, err
}
