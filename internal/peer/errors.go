package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/util/annotations"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/thanoskit/thanoskit/store"
)

// condition is an error that has a gRPC code of its own.
type condition struct {
	err  error
	code codes.Code
}

// conditions are in order: where an error is several of them, the first decides
// its code, and a code that a peer answers with becomes the first that has it.
func conditions() []condition {
	return []condition{
		{store.ErrDenied, codes.PermissionDenied},
		{store.ErrLoop, codes.FailedPrecondition},
		{store.ErrIncomplete, codes.Aborted},
		{store.ErrInvalidRequest, codes.InvalidArgument},
		{store.ErrLimit, codes.ResourceExhausted},
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{store.ErrUnavailable, codes.Unavailable},
		{store.ErrNoStores, codes.Unavailable},
	}
}

// conditionOf returns the condition that a code stands for; nil for none.
func conditionOf(code codes.Code) error {
	for _, c := range conditions() {
		if c.code == code {
			return c.err
		}
	}
	return nil
}

// Code returns the gRPC code that tells of err: that of the condition that it is,
// else that of a status in its chain, which is how a member's code gets through a
// fan-out, else Internal for what can only be a defect and Unknown for everything
// else.
func Code(err error) codes.Code {
	for _, c := range conditions() {
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

// maxStatusMessage is the longest text of a status, in bytes. It travels in a
// header, which proxies give a few KiB.
const maxStatusMessage = 2 << 10

// Status returns the gRPC status that a server answers err with, which is not
// nil.
func Status(err error) error {
	text := Valid(err.Error())
	if len(text) > maxStatusMessage {
		text = strings.ToValidUTF8(text[:maxStatusMessage], "") + "..."
	}
	return status.Error(Code(err), text)
}

// Valid returns text that protobuf takes for a string.
func Valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// callError is an error of a call that is also a condition. errors.As and
// status.FromError find a status in it if there is one.
type callError struct {
	err       error
	condition error
}

// Error is the message of the call's error.
func (e *callError) Error() string { return e.err.Error() }

// Unwrap returns the call's error and the condition.
func (e *callError) Unwrap() []error { return []error{e.err, e.condition} }

// FromStatus returns the error of a call as the condition that its code stands
// for, or as it is. The context decides when it has ended: what the peer then
// says may only follow from that.
func FromStatus(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return &callError{err, cause}
	}
	if c := conditionOf(status.Code(err)); c != nil {
		return &callError{err, c}
	}
	return err
}

// Told is an error of which a peer has told: a text, and the condition that its
// code stands for.
func Told(code codes.Code, text string) error {
	c := conditionOf(code)
	if c == nil {
		c = fmt.Errorf("gRPC code %s", code)
	}
	return &callError{errors.New(text), c}
}

// Warning is a peer's warning. One of PromQL about an expression stays one, so
// that it is not taken for data that is missing.
func Warning(text string) error {
	for _, kind := range []error{annotations.PromQLInfo, annotations.PromQLWarning} {
		if strings.Contains(text, kind.Error()+": ") {
			return &callError{errors.New(text), kind}
		}
	}
	return errors.New(text)
}
