package peer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/via"
	"github.com/thanoskit/thanoskit/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every condition is the same at the other end, as the error of a call and as one
// that is told of.
func TestConditions(t *testing.T) {
	for _, want := range []error{
		store.ErrLoop, store.ErrIncomplete, store.ErrInvalidRequest, store.ErrLimit, context.Canceled, context.DeadlineExceeded, store.ErrUnavailable,
	} {
		err := fmt.Errorf("at the other end: %w", want)
		got := peer.FromStatus(t.Context(), peer.Status(err))
		testutil.Assert(t, errors.Is(got, want), "%v", want)
		testutil.Equals(t, peer.Code(err), status.Code(got))
		told := peer.Told(peer.Code(err), err.Error())
		testutil.Assert(t, errors.Is(told, want))
		testutil.Equals(t, err.Error(), told.Error())
	}
	testutil.Equals(t, codes.Unavailable, peer.Code(store.ErrNoStores))
	for _, defect := range []error{store.ErrMalformed, store.ErrUnsorted, store.ErrEncoding, &store.PanicError{}} {
		testutil.Equals(t, codes.Internal, peer.Code(defect))
	}
	unknown := peer.FromStatus(t.Context(), peer.Status(errors.New("disk on fire")))
	testutil.Equals(t, codes.Unknown, status.Code(unknown))
	testutil.Equals(t, "disk on fire", peer.Told(codes.Unknown, "disk on fire").Error())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	testutil.Assert(t, errors.Is(peer.FromStatus(ended, peer.Status(store.ErrLimit)), context.Canceled))
}

func TestWarnings(t *testing.T) {
	testutil.Assert(t, store.IsAnnotation(peer.Warning(`store x: PromQL info: metric might not be a counter: "m"`)))
	testutil.Assert(t, store.IsAnnotation(peer.Warning("PromQL warning: bad bucket")))
	testutil.Assert(t, !store.IsAnnotation(peer.Warning("block 01H is missing")))
	testutil.Equals(t, "PromQL info: x", peer.Warning("PromQL info: x").Error())
}

// What goes out comes in, and what the caller set by itself stays the caller's.
func TestMetadata(t *testing.T) {
	own := metadata.AppendToOutgoingContext(t.Context(), "request-id", "7", "thanoskit-via-bin", "stale")
	m := peer.Metadata{Tenant: "a", More: map[string][]string{"request-id": {"8"}, "other": {"x"}}, Receipt: true}
	ctx := m.Outgoing(via.With(own, "top", "\x00"))
	md, _ := metadata.FromOutgoingContext(ctx)

	in, got := peer.Incoming(metadata.NewIncomingContext(t.Context(), md), []string{"request-id", "absent"})
	testutil.Equals(t, peer.Metadata{Tenant: "a", More: map[string][]string{"request-id": {"7", "8"}}, Receipt: true}, got)
	testutil.Equals(t, []string{"top", "\x00"}, via.From(in))

	md, _ = metadata.FromOutgoingContext(own)
	testutil.Equals(t, []string{"7"}, md.Get("request-id"))

	in, _ = peer.Incoming(metadata.NewIncomingContext(via.With(t.Context(), "here"), metadata.Pairs("thanoskit-via-bin", "there")), nil)
	testutil.Equals(t, []string{"here"}, via.From(in))
	in, got = peer.Incoming(t.Context(), nil)
	testutil.Equals(t, peer.Metadata{}, got)
	testutil.Equals(t, t.Context(), in)
}

func Example() {
	err := peer.Status(&store.LimitError{Limit: "series", Max: 5})
	fmt.Println(status.Code(err), errors.Is(peer.FromStatus(context.Background(), err), store.ErrLimit))
	// Output: ResourceExhausted true
}
