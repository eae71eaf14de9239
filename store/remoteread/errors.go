package remoteread

import (
	"errors"
	"fmt"
)

// ErrPartial says that an answer is not complete, or doubtful, which remote read
// cannot say.
var ErrPartial = errors.New("partial answer")

// PartialError is an ErrPartial with the warning that makes it one. A Store that
// is asked sees it as the error of its writer's Warn.
type PartialError struct {
	// Warning is what the Store warned of.
	Warning error
}

// Error shows the warning.
func (e *PartialError) Error() string {
	return fmt.Sprintf("%v, which remote read cannot tell: %v", ErrPartial, e.Warning)
}

// Unwrap returns the warning.
func (e *PartialError) Unwrap() error { return e.Warning }

// Is reports whether target is ErrPartial.
func (e *PartialError) Is(target error) bool { return target == ErrPartial }

// requestError is an error of the request, with the status code to answer.
type requestError struct {
	code int
	err  error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }
