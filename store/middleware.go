package store

import (
	"context"
	"runtime/debug"
	"slices"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// Middleware makes a Store of another, adding to what it does. The Stores that
// this package's middleware makes are always LabelQueriers and Describers too.
type Middleware func(Store) Store

// Wrap applies middleware to s. The first is outermost: it sees a request first
// and the answer last.
func Wrap(s Store, mw ...Middleware) Store {
	for _, m := range slices.Backward(mw) {
		s = m(s)
	}
	return s
}

// Describe asks s for its Info if it is a Describer; otherwise the Info says
// nothing. The error is that of s.
func Describe(ctx context.Context, s Store) (Info, error) {
	if d, ok := s.(Describer); ok {
		return d.Describe(ctx)
	}
	return Info{}, nil
}

// WithRecovery turns a panic of the Store into a *PanicError of the call that
// it happened in. Panics on goroutines that the Store started itself cannot be
// caught.
func WithRecovery() Middleware {
	return func(s Store) Store { return &recovering{s} }
}

type recovering struct{ next Store }

func (r *recovering) Series(ctx context.Context, req *SeriesRequest, w SeriesWriter) (err error) {
	defer recoverTo(&err)
	return r.next.Series(ctx, req, w)
}

func (r *recovering) LabelNames(ctx context.Context, req *LabelNamesRequest) (_ []string, err error) {
	defer recoverTo(&err)
	return LabelNames(ctx, r.next, req)
}

func (r *recovering) LabelValues(ctx context.Context, req *LabelValuesRequest) (_ []string, err error) {
	defer recoverTo(&err)
	return LabelValues(ctx, r.next, req)
}

func (r *recovering) Describe(ctx context.Context) (_ Info, err error) {
	defer recoverTo(&err)
	return Describe(ctx, r.next)
}

func (r *recovering) MayHoldMetric(name string) (may bool) {
	defer func() {
		if recover() != nil {
			may = true // asked for its series, it will say what is wrong
		}
	}()
	return MayHoldMetric(r.next, name)
}

func recoverTo(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}

// asWriter returns w itself, or only its SeriesWriter half if frames is nil, so
// that a middleware's writer takes frames exactly if the one behind it does.
func asWriter[W interface {
	SeriesWriter
	encoded.Writer
}](w W, frames encoded.Writer) SeriesWriter {
	if frames != nil {
		return w
	}
	return struct{ SeriesWriter }{w}
}
