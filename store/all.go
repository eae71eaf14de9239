package store

import (
	"context"
	"errors"
	"iter"
)

// All ranges over the series that s sends for req.
//
// The request is not changed. Warnings, and what members of a fan-out did, go
// to out, which may be nil. An error comes last, with a nil Series. Each Series
// belongs to the caller. Breaking out of the loop cancels the call, and the
// loop ends when the Store has returned. The sequence can be ranged over again,
// which asks again.
func All(ctx context.Context, s Store, req *SeriesRequest, out *Outcome) iter.Seq2[*Series, error] {
	return func(yield func(*Series, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r := *req
		r.Outcome = out
		w := &yieldWriter{yield: yield, cancel: cancel, out: out}
		err := s.Series(ctx, &r, w)
		if p := (*PanicError)(nil); w.inBody && errors.As(err, &p) {
			panic(p.Value) //nolint:forbidigo // It is the loop's own, which WithRecovery took for the Store's.
		}
		if w.stopped {
			return
		}
		if err == nil {
			err = ctx.Err() // whatever the Store says, there may be series missing
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// errStopped is returned to a Store whose reader had enough.
var errStopped = errors.New("reader stopped")

type yieldWriter struct {
	yield   func(*Series, error) bool
	cancel  context.CancelFunc
	out     *Outcome
	stopped bool
	inBody  bool // the loop's body has not returned
}

func (w *yieldWriter) Send(s *Series) error {
	if w.stopped { // yield must not be called again, whatever the Store does
		return errStopped
	}
	w.stopped, w.inBody = true, true // until the body returns, which a panic prevents
	more := w.yield(s, nil)
	w.stopped, w.inBody = !more, false
	if !more {
		w.cancel()
		return errStopped
	}
	return nil
}

func (w *yieldWriter) Warn(err error) error {
	if w.stopped {
		return errStopped
	}
	w.out.AddWarning(err)
	return nil
}
