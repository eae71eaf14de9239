package thanosstore

import (
	"context"
	"fmt"

	"google.golang.org/grpc/metadata"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// Everything but series goes from one side's types to the other's by way of the
// wire: internal/wire is held to Thanos' own messages there, field by field.
// Thanos' decoders keep views of what they read, so that nobody may write to it
// again.

// encodes is a message of Thanos that is written.
type encodes interface{ Marshal() ([]byte, error) }

// decodes is a message of Thanos that is read.
type decodes interface{ Unmarshal(b []byte) error }

// toThanos makes m of a message that nobody else has.
func toThanos(m decodes, b []byte) error {
	if err := m.Unmarshal(b); err != nil {
		return fmt.Errorf("%w: %w", store.ErrInvalidRequest, err)
	}
	return nil
}

// fromThanos decodes m, which is ours from then on and shares nothing with it.
func fromThanos[T any](m encodes, decode func([]byte) (T, error)) (T, error) {
	b, err := m.Marshal()
	if err != nil {
		var none T
		return none, fmt.Errorf("%w: %w", store.ErrMalformed, err)
	}
	return decode(b)
}

func seriesRequestToThanos(r *store.SeriesRequest, batch int) (*storepb.SeriesRequest, error) {
	out := new(storepb.SeriesRequest)
	return out, toThanos(out, wire.AppendSeriesRequest(nil, r, batch))
}

func seriesRequestFromThanos(r *storepb.SeriesRequest) (req *store.SeriesRequest, batch int, err error) {
	req, err = fromThanos(r, func(b []byte) (*store.SeriesRequest, error) {
		req, n, err := wire.DecodeSeriesRequest(b)
		batch = n
		return req, err
	})
	return req, batch, err
}

// callContext returns the context for a call of Thanos' code: it has what a
// caller over gRPC would send as both outgoing metadata, for a client, and
// incoming, for a server that is called directly.
func callContext(ctx context.Context, tenant string, more map[string][]string) context.Context {
	ctx = peer.Metadata{Tenant: tenant, More: more}.Outgoing(ctx)
	md, _ := metadata.FromOutgoingContext(ctx) // a copy; none replaces what the caller's own caller sent
	return metadata.NewIncomingContext(ctx, md)
}
