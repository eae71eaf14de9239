package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// marking is the flags of mark and unmark.
type marking struct {
	ids  []ulid.ULID
	kind block.MarkKind
	set  bool
}

func newMarking(flags *flag.FlagSet) *marking {
	m := &marking{}
	declareIDs(flags, &m.ids, "ULID of a block that is meant; needed")
	kinds := []block.MarkKind{block.DeletionMark, block.NoCompactMark, block.NoDownsampleMark}
	flags.Func("marker", "which mark: deletion-mark.json, no-compact-mark.json or no-downsample-mark.json; needed", func(v string) error {
		for _, kind := range kinds {
			if v == kind.File() || v == kind.String() {
				m.kind, m.set = kind, true
				return nil
			}
		}
		return errors.New("not one of deletion-mark.json, no-compact-mark.json, no-downsample-mark.json")
	})
	return m
}

func (m *marking) check() error {
	if len(m.ids) == 0 || !m.set {
		return &usageError{"--id and --marker are needed"}
	}
	return nil
}

// mark puts a mark beside blocks.
func mark(flags *flag.FlagSet) func(context.Context, *tool) error {
	m := newMarking(flags)
	details := flags.String("details", "", "why, for people who look at the mark")
	remove := flags.Bool("remove", false, "take the mark away instead, as unmark does")
	return func(ctx context.Context, t *tool) error {
		if *remove {
			return t.unmark(ctx, m)
		}
		if err := m.check(); err != nil {
			return err
		}
		var errs []error
		for _, id := range m.ids {
			errs = append(errs, t.mark(ctx, id, m.kind, *details))
		}
		return errors.Join(errs...)
	}
}

func (t *tool) mark(ctx context.Context, id ulid.ULID, kind block.MarkKind, details string) error {
	there, err := t.bkt.Exists(ctx, block.ObjectName(id, block.MetaFile))
	if err == nil && !there {
		err = block.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("mark block %s: %w", id, err)
	}
	m := block.Mark{Kind: kind, Block: id, Details: details}
	if kind != block.DeletionMark {
		m.Reason = block.ReasonManual
	}
	put, err := block.PutMark(ctx, t.bkt, m)
	if err != nil {
		return err
	}
	done := "marked"
	if !put {
		done = "was marked already"
	}
	_, err = fmt.Fprintf(t.out, "%s %s: %s\n", id, done, kind)
	return err
}

// unmark takes a mark of blocks away.
func unmark(flags *flag.FlagSet) func(context.Context, *tool) error {
	m := newMarking(flags)
	return func(ctx context.Context, t *tool) error { return t.unmark(ctx, m) }
}

func (t *tool) unmark(ctx context.Context, m *marking) error {
	if err := m.check(); err != nil {
		return err
	}
	var errs []error
	for _, id := range m.ids {
		removed, err := block.RemoveMark(ctx, t.bkt, id, m.kind)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		done := "unmarked"
		if !removed {
			done = "was not marked"
		}
		if _, err := fmt.Fprintf(t.out, "%s %s: %s\n", id, done, m.kind); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}
