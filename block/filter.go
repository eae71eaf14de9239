package block

import "context"

// Filter takes blocks out of a View, with Exclude, or replaces their Meta by
// changed copies.
type Filter interface {
	Filter(ctx context.Context, v *View) error
}
