package peer

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

// Metadata is what a call brings along, beside the path of fan-outs that is in
// its context.
type Metadata struct {
	Tenant string
	// More is other metadata, by keys in lower case; nil if there is none.
	More map[string][]string
	// Receipt says that the caller wants to know what became of members.
	Receipt bool
}

// Outgoing returns the context for a call over gRPC. What the caller of ours put
// into ctx for it stays.
func (m Metadata) Outgoing(ctx context.Context) context.Context {
	path := via.From(ctx)
	if m.Tenant == "" && len(m.More) == 0 && !m.Receipt && len(path) == 0 {
		return ctx
	}
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok {
		md = metadata.MD{}
	}
	for key, values := range m.More {
		md.Append(key, values...)
	}
	if m.Tenant != "" {
		md.Set(tenantKey, m.Tenant)
	}
	if m.Receipt {
		md.Set(receiptKey, "1")
	}
	md.Delete(viaKey) // of a call that this one is made for; its context has it
	md.Append(viaKey, path...)
	return metadata.NewOutgoingContext(ctx, md)
}

// Incoming returns what a call over gRPC brought along, and the context in which
// it is answered. Of other metadata only that with the given keys is taken up. A
// path that ctx has already, since the call did not leave the process, counts.
func Incoming(ctx context.Context, keys []string) (context.Context, Metadata) {
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return ctx, Metadata{}
	}
	var in Metadata
	if v := md.Get(tenantKey); len(v) > 0 {
		in.Tenant = v[0]
	}
	in.Receipt = slices.Contains(md.Get(receiptKey), "1")
	for _, key := range keys {
		if v := md.Get(key); len(v) > 0 {
			if in.More == nil {
				in.More = map[string][]string{}
			}
			in.More[key] = v
		}
	}
	if len(via.From(ctx)) == 0 {
		ctx = via.With(ctx, md.Get(viaKey)...)
	}
	return ctx, in
}
