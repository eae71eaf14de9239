package block

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"
)

// Lister finds what there is in a bucket.
type Lister interface {
	// List returns an entry for each prefix that is a ULID. An error means that
	// nothing is known; what is not known of single blocks is in Listing.Failed.
	// It is called from one goroutine at a time.
	List(ctx context.Context, bkt objstore.BucketReader) (*Listing, error)
}

// Listing is what a Lister found.
type Listing struct {
	Blocks map[ulid.ULID]*Listed
	// Failed are blocks that could not be looked at.
	Failed map[ulid.ULID]error
}

// Listed is what is known of a block without reading any of it. Times are zero
// where the bucket's listings do not say.
type Listed struct {
	// Meta says that there is a meta.json.
	Meta bool
	// MetaModified is when it was written.
	MetaModified time.Time
	// Marks says of each MarkKind whether there is such a mark, MarksModified when
	// it was written.
	Marks         [markKinds]bool
	MarksModified [markKinds]time.Time
	// Newest is when the newest of all its objects was written: how long nobody has
	// gone on with an upload. A BlockLister does not see segments.
	Newest time.Time
}

// add notes an object.
func (l *Listed) add(file string, modified time.Time) {
	if file == MetaFile {
		l.Meta, l.MetaModified = true, modified
	}
	if kind, ok := markOf(file); ok {
		l.Marks[kind], l.MarksModified[kind] = true, modified
	}
	if modified.After(l.Newest) {
		l.Newest = modified
	}
}

// add notes an object of the bucket.
func (l *Listing) add(name string, modified time.Time) {
	id, file := cutObject(name)
	if id.IsZero() || file == "" {
		return
	}
	b := l.Blocks[id]
	if b == nil {
		b = &Listed{}
		l.Blocks[id] = b
	}
	b.add(file, modified)
}

// RecursiveLister asks for all names in the bucket at once: a request for each
// thousand objects with most providers, whatever the number of blocks. The bucket
// must support it.
//
// Source: Thanos' strategy "recursive".
func RecursiveLister() Lister { return recursiveLister{} }

type recursiveLister struct{}

func (recursiveLister) List(ctx context.Context, bkt objstore.BucketReader) (*Listing, error) {
	var l *Listing
	// Buckets that are filesystems fail if what they have seen is gone when they
	// look at it.
	err := whileVanishing(ctx, bkt, func() error {
		l = &Listing{Blocks: map[ulid.ULID]*Listed{}}
		return iterWithTimes(ctx, bkt, "", l.add, objstore.WithRecursiveIter())
	})
	if err != nil {
		return nil, fmt.Errorf("list bucket: %w", err)
	}
	return l, nil
}

// listAttempts is how often a listing is begun that objects vanish from.
const listAttempts = 3

// whileVanishing repeats a listing while it fails because an object is gone.
func whileVanishing(ctx context.Context, bkt objstore.BucketReader, list func() error) (err error) {
	for range listAttempts {
		if err = list(); err == nil || !bkt.IsObjNotFoundErr(err) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// iterWithTimes calls f with what is in a directory, and when it was written if
// the bucket says.
func iterWithTimes(ctx context.Context, bkt objstore.BucketReader, dir string, f func(name string, modified time.Time), opts ...objstore.IterOption) error {
	if !supports(bkt, objstore.UpdatedAt) {
		return bkt.Iter(ctx, dir, func(name string) error {
			f(name, time.Time{})
			return nil
		}, opts...)
	}
	return bkt.IterWithAttributes(ctx, dir, func(a objstore.IterObjectAttributes) error {
		modified, _ := a.LastModified()
		f(a.Name, modified)
		return nil
	}, append(opts, objstore.WithUpdatedAt())...)
}

// BlockLister asks for the top of the bucket, and then for each block's own
// names, so many at a time (32 if it is 0): one request for each block, in
// contrast to Thanos' strategy "concurrent" with the marks.
func BlockLister(concurrency int) Lister {
	if concurrency <= 0 {
		concurrency = defaultFetchConcurrency
	}
	return &blockLister{concurrency: concurrency}
}

type blockLister struct{ concurrency int }

func (b *blockLister) List(ctx context.Context, bkt objstore.BucketReader) (*Listing, error) {
	l := &Listing{Blocks: map[ulid.ULID]*Listed{}, Failed: map[ulid.ULID]error{}}
	var ids []ulid.ULID
	err := whileVanishing(ctx, bkt, func() error {
		ids = ids[:0]
		return bkt.Iter(ctx, "", func(name string) error {
			if id, ok := ParseID(name); ok && strings.HasSuffix(name, objstore.DirDelim) {
				ids = append(ids, id)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list bucket: %w", err)
	}
	var (
		mu sync.Mutex
		g  errgroup.Group
	)
	g.SetLimit(b.concurrency)
	for _, id := range ids {
		g.Go(func() error {
			listed, err := listBlock(ctx, bkt, id)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				l.Failed[id] = err
			case listed != nil:
				l.Blocks[id] = listed
			}
			return nil
		})
	}
	_ = g.Wait() // Always nil.
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list bucket: %w", err)
	}
	return l, nil
}

// listBlock looks at the names directly in a block's prefix. It is nil if there
// is nothing any more.
func listBlock(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID) (*Listed, error) {
	var l *Listed
	err := whileVanishing(ctx, bkt, func() error {
		l = nil
		return iterWithTimes(ctx, bkt, id.String(), func(name string, modified time.Time) {
			if l == nil {
				l = &Listed{}
			}
			_, file := cutObject(name)
			l.add(strings.TrimSuffix(file, objstore.DirDelim), modified)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list block %s: %w", id, err)
	}
	return l, nil
}

// defaultLister is the cheapest that a bucket can do.
func defaultLister(bkt objstore.BucketReader, concurrency int) Lister {
	if supports(bkt, objstore.Recursive) {
		return RecursiveLister()
	}
	return BlockLister(concurrency)
}
