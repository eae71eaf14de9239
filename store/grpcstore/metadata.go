package grpcstore

import (
	"context"
	"slices"

	"google.golang.org/grpc/metadata"

	"github.com/thanoskit/thanoskit/internal/via"
)

// Keys of gRPC metadata.
const (
	// tenantKey is Thanos' HTTP header THANOS-TENANT, for which there is gRPC
	// metadata of the same name.
	tenantKey = "thanos-tenant"
	// receiptKey asks for a receipt: what became of the members of a fan-out.
	receiptKey = "thanoskit-receipt"
	// viaKey names the fan-outs that the request came through. Names may be any
	// bytes, for which gRPC wants the suffix.
	viaKey = "thanoskit-via-bin"
)

// withMetadata returns the context for a call with a request's metadata.
func withMetadata(ctx context.Context, tenant string, more map[string][]string, receipt bool) context.Context {
	path := via.From(ctx)
	if tenant == "" && len(more) == 0 && !receipt && len(path) == 0 {
		return ctx
	}
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		md = metadata.MD{}
	}
	for key, values := range more {
		md.Append(key, values...)
	}
	if tenant != "" {
		md.Set(tenantKey, tenant)
	}
	if receipt {
		md.Set(receiptKey, "1")
	}
	md.Delete(viaKey) // of a call that this one is made for; its context has it
	md.Append(viaKey, path...)
	return metadata.NewOutgoingContext(ctx, md)
}

// callMetadata is what a call brings along.
type callMetadata struct {
	tenant  string
	more    map[string][]string // nil if there is none
	receipt bool
}

// incomingMetadata returns what a call brought along, and the context in which
// it is answered.
func (s *service) incomingMetadata(ctx context.Context) (context.Context, callMetadata) {
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return ctx, callMetadata{}
	}
	var in callMetadata
	if v := md.Get(tenantKey); len(v) > 0 {
		in.tenant = v[0]
	}
	in.receipt = slices.Contains(md.Get(receiptKey), "1")
	for _, key := range s.opts.MetadataKeys {
		if v := md.Get(key); len(v) > 0 {
			if in.more == nil {
				in.more = map[string][]string{}
			}
			in.more[key] = v
		}
	}
	return via.With(ctx, md.Get(viaKey)...), in
}
