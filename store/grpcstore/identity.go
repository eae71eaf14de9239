package grpcstore

import (
	"context"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// PeerIdentity returns who has made the call that a server's context is of, by the
// client certificate that TLS has checked; for store.WithAllowed. ok is false if
// there was none, or no TLS.
func PeerIdentity(ctx context.Context) (id tlsutil.Identity, ok bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return tlsutil.Identity{}, false
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return tlsutil.Identity{}, false
	}
	return tlsutil.PeerIdentity(&info.State)
}
