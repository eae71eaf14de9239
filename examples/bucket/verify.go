package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/thanoskit/thanoskit/block"
)

// verify downloads blocks, one after the other, and prints what is wrong.
func verify(flags *flag.FlagSet) func(context.Context, *tool) error {
	sel := newSelector(flags)
	dir := flags.String("tmp.dir", os.TempDir(), "directory that blocks are downloaded to")
	return func(ctx context.Context, t *tool) error {
		v, err := t.view(ctx, true)
		if err != nil {
			return err
		}
		metas, notFound := selected(v, sel)
		errs := []error{notFound}
		bad := 0
		for _, m := range metas {
			problems, err := t.verify(ctx, m, *dir)
			errs = append(errs, err)
			if problems {
				bad++
			}
			if ctx.Err() != nil {
				break
			}
		}
		// What could not be looked at comes first.
		if err := errors.Join(errs...); err != nil || bad == 0 {
			return err
		}
		return errProblems
	}
}

// verify reports whether something is wrong with a block.
func (t *tool) verify(ctx context.Context, m *block.Meta, dir string) (bool, error) {
	report, err := block.VerifyBucket(ctx, t.bkt, m.ULID, dir, nil)
	switch {
	case errors.Is(err, block.ErrCorrupt), errors.Is(err, block.ErrUnsupported):
		// What cannot even be downloaded: a file that is not as meta.json says.
		_, err = fmt.Fprintln(t.out, err)
		return true, err
	case err != nil:
		return false, err
	}
	_, err = fmt.Fprint(t.out, report)
	return len(report.Problems) > 0, err
}
