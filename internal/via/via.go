package via

import (
	"context"
	"slices"
)

type key struct{}

// From returns the names of the fan-outs that the call came through, outermost
// first. It is not to be changed.
func From(ctx context.Context) []string {
	path, _ := ctx.Value(key{}).([]string)
	return path
}

// With returns a context of calls that came through the fan-outs of ctx, and then
// through those that are named.
func With(ctx context.Context, names ...string) context.Context {
	if len(names) == 0 {
		return ctx
	}
	return context.WithValue(ctx, key{}, append(slices.Clip(From(ctx)), names...))
}
