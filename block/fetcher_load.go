package block

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
)

// load finds out about the blocks of one listing.
type load struct {
	f     *Fetcher
	known map[ulid.ULID]*entry
}

// all fills known.
//
// Errors: the context's.
func (l *load) all(ctx context.Context, listing *Listing) error {
	for id, err := range listing.Failed {
		l.known[id] = failedEntry(l.f.known[id], err)
	}
	if err := l.f.cache.open(); err != nil {
		l.f.opts.Logger.Warn("cannot cache meta.json files", "err", err)
	}
	var g errgroup.Group
	g.SetLimit(l.f.opts.Concurrency)
	for id, listed := range listing.Blocks {
		if ctx.Err() != nil {
			break
		}
		e, all := l.remember(id, listed)
		if !all {
			g.Go(func() error {
				l.find(ctx, e, id)
				return nil
			})
		}
		l.known[id] = e
	}
	_ = g.Wait() // Always nil.
	return context.Cause(ctx)
}

// failedEntry is what is known of a block that could not be looked at: what was
// known before, if anything.
func failedEntry(before *entry, err error) *entry {
	e := &entry{}
	if before != nil {
		*e = *before
	}
	e.failed = err
	return e
}

// remember returns an entry with what is known of a block already. It is false if
// that is not all.
func (l *load) remember(id ulid.ULID, listed *Listed) (*entry, bool) {
	e := &entry{listed: *listed}
	all := true
	if !listed.Meta {
		e.partial = fmt.Errorf("block %s: %w", id, ErrPartial)
	}
	before := l.f.known[id]
	if listed.Meta {
		if before != nil && before.meta != nil && !rewritten(before.listed.MetaModified, listed.MetaModified) {
			e.meta = before.meta
		} else {
			all = false
		}
	}
	for kind := range listed.Marks {
		if !listed.Marks[kind] {
			continue
		}
		if before != nil && before.knows(kind) && sameTime(before.listed.MarksModified[kind], listed.MarksModified[kind]) {
			e.marks[kind] = before.marks[kind]
		} else {
			all = false
		}
	}
	return e, all
}

// knows reports whether a mark's contents are known.
func (e *entry) knows(kind int) bool {
	return e.listed.Marks[kind] && (e.marks[kind].mark != nil || e.marks[kind].err != nil)
}

// rewritten reports whether an object that was modified then and is now is known
// to have been written since.
func rewritten(then, now time.Time) bool {
	return !then.IsZero() && !now.IsZero() && !then.Equal(now)
}

// sameTime reports whether an object is known not to have been written since.
func sameTime(then, now time.Time) bool { return !then.IsZero() && then.Equal(now) }

// find completes an entry from the cache or the bucket.
func (l *load) find(ctx context.Context, e *entry, id ulid.ULID) {
	before := l.f.known[id]
	if e.listed.Meta && e.meta == nil {
		l.findMeta(ctx, e, id, before)
	}
	for kind := range MarkKind(markKinds) {
		if e.listed.Marks[kind] && !e.knows(int(kind)) {
			l.findMark(ctx, e, id, kind, before)
		}
	}
}

func (l *load) findMeta(ctx context.Context, e *entry, id ulid.ULID, before *entry) {
	if before != nil && before.meta != nil {
		l.f.metrics.busts.Inc()
	} else if m, err := parseMetaOf(id, l.f.cache.read(id, MetaFile, e.listed.MetaModified)); err == nil {
		e.meta = m
		return
	}
	b, m, err := fetchMeta(ctx, l.f.bkt, id)
	switch {
	case err == nil:
		e.meta = m
		l.f.cache.write(id, MetaFile, b, e.listed.MetaModified)
	case errors.Is(err, ErrNotFound), TornUpload(l.f.bkt, err):
		// Deleted since it was listed, or not written to its end.
		e.partial = fmt.Errorf("block %s: %w: %w", id, ErrPartial, err)
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnsupported):
		e.partial = err
	default:
		e.fail(err)
		if before != nil && before.meta != nil {
			e.meta, e.listed.MetaModified = before.meta, before.listed.MetaModified
		}
	}
}

func (l *load) findMark(ctx context.Context, e *entry, id ulid.ULID, kind MarkKind, before *entry) {
	modified := e.listed.MarksModified[kind]
	if !modified.IsZero() {
		if m, err := ParseMark(id, kind, l.f.cache.read(id, kind.File(), modified)); err == nil {
			e.marks[kind] = markState{mark: m}
			return
		}
	}
	m, err := ReadMark(ctx, l.f.bkt, id, kind)
	switch {
	case err == nil:
		e.marks[kind] = markState{mark: m}
		if b, err := m.Encode(); err == nil && !modified.IsZero() {
			l.f.cache.write(id, kind.File(), b, modified)
		}
	case errors.Is(err, ErrNotFound), TornUpload(l.f.bkt, err):
		// Taken away since it was listed, or never put as a whole.
		e.listed.Marks[kind] = false
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnsupported):
		e.marks[kind] = markState{err: err}
	default:
		e.fail(err)
		if before != nil {
			e.marks[kind], e.listed.MarksModified[kind] = before.marks[kind], before.listed.MarksModified[kind]
		}
	}
}

// fail notes the first error.
func (e *entry) fail(err error) {
	if e.failed == nil {
		e.failed = err
	}
}
