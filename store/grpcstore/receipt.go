package grpcstore

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// hasReceipt reports whether there is anything to tell of members.
func hasReceipt(o *store.Outcome) bool { return len(o.Members()) > 0 || o.Omitted() > 0 }

// newReceipt makes a receipt of what became of the members of a fan-out.
func newReceipt(o *store.Outcome, hints []store.Any) store.Any {
	r := &wire.Receipt{Members: o.Members(), Omitted: o.Omitted(), Hints: hints}
	code := func(err error) uint32 { return uint32(status.Code(statusOf(err))) }
	return store.Any{TypeURL: wire.ReceiptType, Value: wire.AppendReceipt(nil, r, code)}
}

// hints records what a peer sent as hints: a receipt, or what is not for us to
// understand.
func (c *Client) hints(op string, h store.Any, out *store.Outcome) error {
	if h.TypeURL != wire.ReceiptType {
		out.AddHints(h)
		return nil
	}
	r, err := wire.DecodeReceipt(h.Value, memberError, warning)
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

// memberError is the error of a peer's member: a text, and the condition that
// its code stands for.
func memberError(code uint32, text string) error {
	for _, c := range conditions {
		if c.code == codes.Code(code) {
			return &toldError{text, c.err}
		}
	}
	return &toldError{text, fmt.Errorf("gRPC code %s", codes.Code(code))}
}

// toldError is an error that another process has told of.
type toldError struct {
	text      string
	condition error
}

// Error is what the other process said.
func (e *toldError) Error() string { return e.text }

// Unwrap returns the condition that the error is.
func (e *toldError) Unwrap() error { return e.condition }
