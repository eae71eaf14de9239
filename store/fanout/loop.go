package fanout

import (
	"context"
	"slices"

	"github.com/thanoskit/thanoskit/internal/via"
	"github.com/thanoskit/thanoskit/store"
)

// looped returns a *store.LoopError if what is asked came through this fan-out
// before.
func (f *Store) looped(ctx context.Context) error {
	path := via.From(ctx)
	if !slices.Contains(path, f.opts.Name) {
		return nil
	}
	return &store.LoopError{Path: append(slices.Clip(path), f.opts.Name)}
}

// via returns the context in which a member is asked.
func (f *Store) via(ctx context.Context) context.Context { return via.With(ctx, f.opts.Name) }
