package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
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
	// ErrIncomplete says that a part of the answer that the caller cannot do
	// without is missing.
	ErrIncomplete = errors.New("incomplete answer")
	// ErrLoop says that stacked fan-outs ask each other in a circle.
	ErrLoop = errors.New("fan-outs ask each other in a circle")
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

// IncompleteError is an ErrIncomplete with who was required to answer and did
// not.
type IncompleteError struct {
	// Selector is the selector of SeriesRequest.Require that is not satisfied.
	Selector []*labels.Matcher
	// Members are those that it selects and whose answer is missing, whole or in
	// part. Empty means that it selects nobody at all.
	Members []MemberOutcome
}

// Error names the selector, the members and what became of each.
func (e *IncompleteError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "incomplete answer: %s is required, ", selector(e.Selector))
	if len(e.Members) == 0 {
		b.WriteString("but no member has such labels")
	}
	for i := range e.Members {
		m := &e.Members[i]
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "but member %s %s", m.Member, m.Status)
		if err := m.missing(); err != nil {
			fmt.Fprintf(&b, ": %v", err)
		}
	}
	return b.String()
}

// Is reports that an IncompleteError is an ErrIncomplete.
func (e *IncompleteError) Is(target error) bool { return target == ErrIncomplete }

// Unwrap returns why the members' answers are missing.
func (e *IncompleteError) Unwrap() []error {
	var errs []error
	for i := range e.Members {
		if err := e.Members[i].missing(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// LoopError is an ErrLoop with the circle.
type LoopError struct {
	// Path is the names of the fan-outs that the request came through, outermost
	// first; the last is one of the others.
	Path []string
}

// Error shows the circle.
func (e *LoopError) Error() string {
	return "fan-outs ask each other in a circle: " + strings.Join(e.Path, " -> ")
}

// Is reports that a LoopError is an ErrLoop.
func (e *LoopError) Is(target error) bool { return target == ErrLoop }

// IsAnnotation reports whether a warning is one of PromQL about an expression,
// which says nothing about data that is missing. Over gRPC such warnings stay
// what they are.
func IsAnnotation(warning error) bool {
	return errors.Is(warning, annotations.PromQLInfo) || errors.Is(warning, annotations.PromQLWarning)
}

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
