package compact

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run calls RunOnce at once and then again Options.WaitInterval after each has
// ended, and Clean every Options.CleanupInterval meanwhile. What goes wrong is logged,
// and tried again by the next run. It returns nil when the context ends, or with
// Close.
func (c *Compactor) Run(ctx context.Context) error {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	var g errgroup.Group
	g.Go(func() error {
		every(ctx, c.opts.WaitInterval, 0, func() {
			_, err := c.RunOnce(ctx)
			c.logEnd(ctx, "run", err)
		})
		return nil
	})
	if c.opts.CleanupInterval > 0 {
		g.Go(func() error {
			// The first run cleans, too.
			every(ctx, c.opts.CleanupInterval, c.opts.CleanupInterval, func() {
				_, err := c.Clean(ctx)
				c.logEnd(ctx, "cleanup", err)
			})
			return nil
		})
	}
	return g.Wait()
}

// every calls f after the first interval and then again an interval after it has
// ended, until the context ends.
func every(ctx context.Context, interval, first time.Duration, f func()) {
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		f()
		timer.Reset(interval)
	}
}

// logEnd logs the error of a run or a cleanup, unless it is that everything ends.
func (c *Compactor) logEnd(ctx context.Context, of string, err error) {
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, ErrBusy):
		c.opts.Logger.Info("nothing done", "of", of, "err", err)
	default:
		c.opts.Logger.Error("work left to the next time", "of", of, "class", ClassOf(err), "err", err)
	}
}
