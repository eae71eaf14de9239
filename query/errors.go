package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/promql"
)

// Conditions that a caller can act on; compare with errors.Is.
var (
	// ErrInvalid says that a query can never be answered: the expression does
	// not parse, or the parameters make no sense.
	ErrInvalid = errors.New("invalid query")
	// ErrTimeout says that a query took longer than it may. It is a
	// context.DeadlineExceeded.
	ErrTimeout = fmt.Errorf("query timed out: %w", context.DeadlineExceeded)
	// ErrCanceled says that the caller gave up. It is a context.Canceled.
	ErrCanceled = fmt.Errorf("query canceled: %w", context.Canceled)
	// ErrNoAggregate says that downsampled data came without the aggregate that
	// was asked for.
	ErrNoAggregate = errors.New("aggregate is missing from downsampled data")
	// ErrClosed says that a querier was used after it was closed.
	ErrClosed = errors.New("querier is closed")
)

// Warning is what a store warned of, in the annotations of a series set that
// Queryable hands to an engine: data is missing, or doubtful. Every other
// annotation is the engine's and says nothing about the stores.
type Warning struct {
	// Err is the warning as the store gave it; often a *store.Error.
	Err error
}

// Error returns the text of the warning.
func (w *Warning) Error() string { return w.Err.Error() }

// Unwrap returns the warning as the store gave it.
func (w *Warning) Unwrap() error { return w.Err }

// stopped returns err as an ErrTimeout or an ErrCanceled if the context's end is
// why it came, else as it is.
func stopped(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, ErrTimeout) || errors.Is(err, ErrCanceled) {
		return err
	}
	_, timeout := errors.AsType[promql.ErrQueryTimeout](err)
	_, canceled := errors.AsType[promql.ErrQueryCanceled](err)
	switch {
	case timeout || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w (%w)", ErrTimeout, err)
	case canceled || ctx.Err() != nil:
		return fmt.Errorf("%w (%w)", ErrCanceled, err)
	}
	return err
}
