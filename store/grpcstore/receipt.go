package grpcstore

import (
	"google.golang.org/grpc/codes"

	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// hasReceipt reports whether there is anything to tell of members.
func hasReceipt(o *store.Outcome) bool { return len(o.Members()) > 0 || o.Omitted() > 0 }

// newReceipt makes a receipt of what became of the members of a fan-out.
func newReceipt(o *store.Outcome, hints []store.Any) store.Any {
	r := &wire.Receipt{Members: o.Members(), Omitted: o.Omitted(), Hints: hints}
	code := func(err error) uint32 { return uint32(peer.Code(err)) }
	return store.Any{TypeURL: wire.ReceiptType, Value: wire.AppendReceipt(nil, r, code)}
}

// hints records what a peer sent as hints: a receipt, or what is not for us to
// understand.
func (c *Client) hints(op string, h store.Any, out *store.Outcome) error {
	if h.TypeURL != wire.ReceiptType {
		out.AddHints(h)
		return nil
	}
	told := func(code uint32, text string) error { return peer.Told(codes.Code(code), text) }
	r, err := wire.DecodeReceipt(h.Value, told, peer.Warning)
	if err != nil {
		return c.error(op, err)
	}
	for _, m := range r.Members {
		out.AddMember(m)
	}
	out.AddOmitted(r.Omitted)
	for _, h := range r.Hints {
		out.AddHints(h)
	}
	return nil
}
