package block

import (
	"context"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// Lister finds what there is in a bucket.
type Lister interface {
	// List returns an entry for each prefix that is an ULID.
	List(ctx context.Context, bkt objstore.BucketReader) (*Listing, error)
}

// Listing is what a Lister found.
type Listing struct {
	Blocks map[ulid.ULID]*Listed
	// Failed are blocks that could not be looked at.
	Failed map[ulid.ULID]error
}

// Listed is what is known of a block without reading any of it.
type Listed struct {
	// Meta says that there is a meta.json.
	Meta bool
	// MetaModified is when it was written, zero if that is not known.
	MetaModified time.Time
	// Marks says of each MarkKind whether there is such a mark, MarksModified when
	// it was written, zero if that is not known.
	Marks         [markKinds]bool
	MarksModified [markKinds]time.Time
	// Newest is when the newest of all its objects was written, zero if that is not
	// known.
	Newest time.Time
}

// RecursiveLister asks for all names in the bucket at once: a request for each
// thousand objects with most providers.
func RecursiveLister() Lister { return nil }

// BlockLister asks for the top of the bucket, and then for each block's own
// names, so many at a time (32 if it is 0).
func BlockLister(concurrency int) Lister { return nil }
