package shipper

import (
	"context"
	"errors"
	"time"
)

// Run Syncs at once and then every Options.Interval, and logs what Syncs return:
// each error and warning when it comes up, not again while it lasts. It returns
// nil when the context ends.
func (s *Shipper) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	known := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		res, err := s.Sync(ctx)
		if ctx.Err() == nil {
			known = s.report(&res, err, known)
		}
		timer.Reset(s.opts.Interval)
	}
}

// report logs what was not there the last time, and returns what is now.
func (s *Shipper) report(res *Result, err error, known map[string]bool) map[string]bool {
	log, now := s.opts.Logger, map[string]bool{}
	for _, w := range res.Warnings {
		if text := w.Error(); !now[text] {
			now[text] = true
			if !known[text] {
				log.Warn("warning about blocks", "dir", s.dir, "err", w)
			}
		}
	}
	for _, e := range split(err) {
		text := e.Error()
		now[text] = true
		switch {
		case known[text]:
		case errors.Is(e, ErrBusy):
			log.Info("blocks not uploaded", "dir", s.dir, "err", e)
		default:
			log.Error("blocks not uploaded", "dir", s.dir, "err", e)
		}
	}
	if err == nil && len(now) == 0 && len(known) > 0 {
		log.Info("all blocks uploaded again", "dir", s.dir)
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
