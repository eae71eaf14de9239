package block

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"
)

// Selector says which blocks are meant. The zero value means all.
type Selector struct {
	// IDs are the blocks; none means all.
	IDs []ulid.ULID
	// Matchers must all match the external labels.
	Matchers []*labels.Matcher
	// Resolutions and Levels are the resolutions and compaction levels wanted;
	// none means all.
	Resolutions []Resolution
	Levels      []int
	// MinTime and MaxTime are bounds that a block must overlap; zero means none.
	MinTime, MaxTime time.Time
}

// ReplicateOptions are options of Replicate. The zero value is good.
type ReplicateOptions struct {
	// Concurrency is how many blocks are copied at a time, 4 if it is 0.
	Concurrency int
	// Marked takes blocks that are marked for deletion along.
	Marked bool
}

// Replicate copies blocks from one bucket to another.
func Replicate(ctx context.Context, from objstore.BucketReader, to objstore.Bucket, sel *Selector, opts *ReplicateOptions) ([]ulid.ULID, error) {
	return nil, errors.ErrUnsupported
}
