package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/efficientgo/core/errcapture"

	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/examples/internal/program"
)

func main() { program.MainHTTP("compact", run) }

func run(ctx context.Context, p *program.Program) error {
	flags := newFlags(p)
	if err := p.Parse(); err != nil {
		return err
	}
	return flags.run(ctx, p, os.Stdout)
}

func (f *flags) run(ctx context.Context, p *program.Program, out io.Writer) (err error) {
	opts, err := f.options(p)
	if err != nil {
		return err
	}
	bkt, err := f.bucket.Open("compact", p.Log, p.Registry)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, bkt.Close, "close bucket")
	c, err := compact.New(bkt, *f.dataDir, opts)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, c.Close, "close compactor")
	if *f.dryRun {
		plan, err := c.Plan(ctx)
		if err != nil {
			return err
		}
		return plan.WriteTable(out)
	}
	p.Go(showProgress(c, os.Stderr))
	if *f.wait {
		p.Go(c.Run)
	} else {
		p.Go(func(ctx context.Context) error {
			r, err := c.RunOnce(ctx)
			if err != nil || ctx.Err() != nil {
				return err
			}
			p.Log.Info("all done", "compactions", r.Compactions, "downsamplings", r.Downsamplings, "deleted", len(r.Deleted), "quarantined", len(r.Quarantined))
			return program.ErrDone
		})
	}
	return p.ServeHTTP(ctx, nil, func(context.Context) error { return nil })
}

// levelError is a level that there is not.
type levelError struct{ level, most int }

func (e *levelError) Error() string {
	return fmt.Sprintf("--debug.max-compaction-level: %d is not from 0 to %d", e.level, e.most)
}
