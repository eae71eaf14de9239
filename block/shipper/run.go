package shipper

import (
	"context"
	"errors"
	"time"
)

// labelsInterval is how often is looked whether there are external labels: a
// sidecar has to ask Prometheus for them first.
const labelsInterval = time.Second

// Run Syncs at once and then every Options.Interval, and as soon as there are
// external labels if there were none. It logs the errors of Syncs: each when it
// comes up, not again while it lasts. It returns nil when the context ends.
func (s *Shipper) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	known, nameless := map[string]bool{}, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if !nameless || !s.external().IsEmpty() {
			_, err := s.Sync(ctx)
			if ctx.Err() == nil {
				known = s.report(err, known)
			}
			nameless = errors.Is(err, ErrNoExternalLabels)
		}
		if nameless {
			timer.Reset(min(labelsInterval, s.opts.Interval))
		} else {
			timer.Reset(s.opts.Interval)
		}
	}
}

// report logs the errors that were not there the last time, and returns all.
func (s *Shipper) report(err error, known map[string]bool) map[string]bool {
	now := map[string]bool{}
	for _, e := range split(err) {
		text := e.Error()
		now[text] = true
		switch {
		case known[text]:
		case errors.Is(e, ErrBusy), errors.Is(e, ErrNoExternalLabels): // as at the start
			s.opts.Logger.Info("blocks not uploaded", "dir", s.dir, "err", e)
		default:
			s.opts.Logger.Error("blocks not uploaded", "dir", s.dir, "err", e)
		}
	}
	if err == nil && len(known) > 0 {
		s.opts.Logger.Info("all blocks uploaded again", "dir", s.dir)
	}
	return now
}

// split returns the errors that were joined.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, split(e)...)
		}
		return out
	}
	return []error{err}
}
