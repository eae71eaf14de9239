package grpcstore

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/store"
)

// conditions are the errors that have a gRPC code of their own. Where an error
// is several of them, the first decides its code.
//
// A code that a peer answers with becomes the first condition that has it.
var conditions = []struct {
	err  error
	code codes.Code
}{
	{store.ErrLoop, codes.FailedPrecondition},
	{store.ErrIncomplete, codes.Aborted},
	{store.ErrInvalidRequest, codes.InvalidArgument},
	{store.ErrLimit, codes.ResourceExhausted},
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
	{store.ErrUnavailable, codes.Unavailable},
	{store.ErrNoStores, codes.Unavailable},
}

// statusOf returns the gRPC status that a server answers err with: the code of
// the condition that it is, else that of a status in its chain, which is how a
// member's code gets through a fan-out, else Internal for what can only be a
// defect and Unknown for everything else.
func statusOf(err error) error {
	for _, c := range conditions {
		if errors.Is(err, c.err) {
			return newStatus(c.code, err)
		}
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		return newStatus(st.Code(), err)
	}
	for _, defect := range []error{store.ErrMalformed, store.ErrUnsorted, store.ErrEncoding} {
		if errors.Is(err, defect) {
			return newStatus(codes.Internal, err)
		}
	}
	if _, ok := errors.AsType[*store.PanicError](err); ok {
		return newStatus(codes.Internal, err)
	}
	return newStatus(codes.Unknown, err)
}

// maxStatusMessage is the longest text of a status, in bytes. It travels in a
// header, which proxies give a few KiB.
const maxStatusMessage = 2 << 10

func newStatus(code codes.Code, err error) error {
	text := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(text) > maxStatusMessage {
		text = strings.ToValidUTF8(text[:maxStatusMessage], "") + "..."
	}
	return status.Error(code, text)
}

// callError is an error of gRPC that is also the condition that its code stands
// for. errors.As and status.FromError find the status in it.
type callError struct {
	err       error
	condition error
}

// Error is the message of gRPC's error.
func (e *callError) Error() string { return e.err.Error() }

// Unwrap returns gRPC's error and the condition.
func (e *callError) Unwrap() []error { return []error{e.err, e.condition} }

// warning is a peer's warning. One of PromQL about an expression stays one, so
// that it is not taken for data that is missing.
func warning(text string) error {
	for _, kind := range []error{annotations.PromQLInfo, annotations.PromQLWarning} {
		if strings.Contains(text, kind.Error()+": ") {
			return &toldError{text, kind}
		}
	}
	return errors.New(text)
}

// fromStatus returns err as the condition that its code stands for. The context
// decides when it has ended: what gRPC then says may only follow from that.
func fromStatus(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return &callError{err, cause}
	}
	code := status.Code(err)
	for _, c := range conditions {
		if c.code == code {
			return &callError{err, c.err}
		}
	}
	return err
}
