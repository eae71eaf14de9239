package thanosstore

import (
	"context"
	"errors"
	"strings"

	"github.com/prometheus/prometheus/util/annotations"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/thanoskit/thanoskit/store"
)

// Operations, as they are named in errors.
const (
	opSeries      = "series"
	opLabelNames  = "label names"
	opLabelValues = "label values"
	opInfo        = "info"
)

// conditions are the errors that have a gRPC code of their own, the same as in
// store/grpcstore. Where an error is several of them, the first decides its
// code; a code becomes the first condition that has it.
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

// statusOf returns the gRPC status by which Thanos' code knows err.
func statusOf(err error) error {
	return status.Error(codeOf(err), text(err))
}

func codeOf(err error) codes.Code {
	for _, c := range conditions {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		return st.Code()
	}
	for _, defect := range []error{store.ErrMalformed, store.ErrUnsorted, store.ErrEncoding} {
		if errors.Is(err, defect) {
			return codes.Internal
		}
	}
	if _, ok := errors.AsType[*store.PanicError](err); ok {
		return codes.Internal
	}
	return codes.Unknown
}

// maxStatusMessage is the longest text of a status, in bytes: behind a gRPC
// server it travels in a header.
const maxStatusMessage = 2 << 10

func text(err error) string {
	t := valid(err.Error())
	if len(t) > maxStatusMessage {
		t = strings.ToValidUTF8(t[:maxStatusMessage], "") + "..."
	}
	return t
}

// valid returns text that protobuf takes for a string.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// toldError is what Thanos' code says, as one of our conditions. errors.As finds
// a gRPC status in it if there is one.
type toldError struct {
	err       error
	condition error
}

// Error is what Thanos' code said.
func (e *toldError) Error() string { return e.err.Error() }

// Unwrap returns the error and the condition.
func (e *toldError) Unwrap() []error { return []error{e.err, e.condition} }

// fromStatus returns err as the condition that its code stands for. The context
// decides when it has ended: what Thanos then says may only follow from that.
func fromStatus(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return &toldError{err, cause}
	}
	code := status.Code(err)
	for _, c := range conditions {
		if c.code == code {
			return &toldError{err, c.err}
		}
	}
	return err
}

// warning is a warning of Thanos' code. One of PromQL about an expression stays
// one, so that it is not taken for data that is missing.
func warning(text string) error {
	for _, kind := range []error{annotations.PromQLInfo, annotations.PromQLWarning} {
		if strings.Contains(text, kind.Error()+": ") {
			return &toldError{errors.New(text), kind}
		}
	}
	return errors.New(text)
}
