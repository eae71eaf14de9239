package grpcstore

import (
	"context"
	"errors"
	"log/slog"

	"github.com/thanoskit/thanoskit/store"
)

// reportPanics is a middleware that logs panics, which have become errors, before
// somebody keeps from the caller, and so from the service, what they were about.
func reportPanics(log *slog.Logger) store.Middleware {
	return func(s store.Store) store.Store { return &reporting{s, log} }
}

type reporting struct {
	next store.Store
	log  *slog.Logger
}

// reportedError is an error that has been logged.
type reportedError struct{ error }

// Unwrap returns the error.
func (e reportedError) Unwrap() error { return e.error }

// report logs the panic that an error is of, once.
func report(log *slog.Logger, err error) error {
	if _, ok := errors.AsType[reportedError](err); ok {
		return err
	}
	p, ok := errors.AsType[*store.PanicError](err)
	if !ok {
		return err
	}
	log.Error("store panicked", slog.Any("err", p), slog.String("stack", string(p.Stack)))
	return reportedError{err}
}

// Series implements store.Store.
func (r *reporting) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	return report(r.log, r.next.Series(ctx, req, w))
}

// LabelNames implements store.LabelQuerier.
func (r *reporting) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	names, err := store.LabelNames(ctx, r.next, req)
	return names, report(r.log, err)
}

// LabelValues implements store.LabelQuerier.
func (r *reporting) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	values, err := store.LabelValues(ctx, r.next, req)
	return values, report(r.log, err)
}

// Describe implements store.Describer.
func (r *reporting) Describe(ctx context.Context) (store.Info, error) {
	info, err := store.Describe(ctx, r.next)
	return info, report(r.log, err)
}

// MayHoldMetric implements store.MetricFilter.
func (r *reporting) MayHoldMetric(name string) bool { return store.MayHoldMetric(r.next, name) }
