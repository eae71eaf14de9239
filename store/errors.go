package store

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Conditions that a caller can act on; compare with errors.Is.
var (
	// ErrInvalidRequest says that a request can never be answered.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrLimit says that an answer would be larger than a limit allows.
	ErrLimit = errors.New("limit exceeded")
	// ErrUnavailable says that a store cannot answer now.
	ErrUnavailable = errors.New("store unavailable")
	// ErrUnsorted says that a store sent series out of order.
	ErrUnsorted = errors.New("series out of order")
	// ErrEncoding says that a chunk has an encoding that the StoreAPI cannot
	// carry.
	ErrEncoding = errors.New("chunk encoding not supported by the StoreAPI")
	// ErrMalformed says that what a peer sent cannot be understood.
	ErrMalformed = errors.New("malformed message")
	// ErrNoStores says that there is no store to ask.
	ErrNoStores = errors.New("no stores")
)

// Error says which store failed at what.
type Error struct {
	// Store is the store's name, as configured or as its address.
	Store string
	// Op is what was asked of it: "series", "label names", "label values" or
	// "info".
	Op  string
	Err error
}

// Error returns "store NAME: OP: cause".
func (e *Error) Error() string { return fmt.Sprintf("store %s: %s: %v", e.Store, e.Op, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// LimitError is an ErrLimit with the limit that was exceeded.
type LimitError struct {
	// Limit names what is limited: "series", "chunks", "samples" or "bytes".
	Limit string
	// Max is the number allowed.
	Max int64
}

// Error names the limit and its value.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%s limit of %d exceeded", e.Limit, e.Max)
}

// Is reports that a LimitError is an ErrLimit.
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// EncodingError is an ErrEncoding with the encoding and, where it is known, the
// series.
type EncodingError struct {
	Encoding chunkenc.Encoding
	Series   labels.Labels
}

// Error names the encoding by number and name, and the series.
func (e *EncodingError) Error() string {
	msg := fmt.Sprintf("chunk encoding %d (%s) not supported by the StoreAPI", uint8(e.Encoding), e.Encoding)
	if !e.Series.IsEmpty() {
		msg += " in series " + e.Series.String()
	}
	return msg
}

// Is reports that an EncodingError is an ErrEncoding.
func (e *EncodingError) Is(target error) bool { return target == ErrEncoding }

// PanicError is a panic that WithRecovery turned into an error.
type PanicError struct {
	// Value is what was passed to panic.
	Value any
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

// Error shows the value, not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
