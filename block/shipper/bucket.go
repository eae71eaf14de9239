package shipper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
)

// whereabouts says what of a block is in the bucket.
type whereabouts int

const (
	absent  whereabouts = iota // nothing, or what an upload that did not end has left
	there                      // all of it
	lacking                    // not all of it, though there is a meta.json that says so
	marked                     // it was, and is to be deleted
)

// lookUp asks the bucket for a block. Of one whose meta.json is corrupt an
// upload was cut off where the provider does not write objects as a whole. See
// upload for how a block can lack objects.
func (r *syncRun) lookUp(ctx context.Context, id ulid.ULID) (whereabouts, error) {
	meta, err := block.FetchMeta(ctx, r.s.bkt, id)
	switch {
	case errors.Is(err, block.ErrUnsupported): // of a newer shipper
		return there, nil
	case err == nil:
		missing, err := r.s.missing(ctx, meta)
		if err != nil || missing == "" {
			return there, err
		}
	case !errors.Is(err, block.ErrNotFound) && !errors.Is(err, block.ErrCorrupt):
		return absent, err
	}
	// A mark outlives the rest of a block that is being deleted.
	gone, err := r.s.bkt.Exists(ctx, block.ObjectName(id, block.DeletionMarkFile))
	switch {
	case err != nil:
		return absent, err
	case gone:
		return marked, nil
	case meta != nil:
		return lacking, nil
	}
	return absent, nil
}

// compare finds out whether a compacted block overlaps with what is in the
// bucket: raw blocks of the same external labels that are to stay.
//
// Thanos compares downsampled blocks and those marked for deletion too, and all
// blocks with each other, so that after any compaction in the bucket there is
// always some overlap.
func (r *syncRun) compare(ctx context.Context, meta *block.Meta) error {
	if r.view == nil {
		view, err := r.s.fetchView(ctx)
		if err != nil {
			return err
		}
		r.view = view
	}
	want := r.dress(meta).Labels()
	var others []*block.Meta
	for id, m := range r.view.Metas {
		if id != meta.ULID && m.Resolution() == block.Raw && m.MinTime < meta.MaxTime && meta.MinTime < m.MaxTime &&
			labels.Equal(m.Labels(), want) && !r.view.Marked(id, block.DeletionMark) {
			others = append(others, m)
		}
	}
	if len(others) == 0 {
		return nil
	}
	slices.SortFunc(others, func(a, b *block.Meta) int {
		return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), a.ULID.Compare(b.ULID))
	})
	overlap := &OverlapError{Block: meta.ULID}
	for _, m := range others {
		overlap.Others = append(overlap.Others, m.ULID)
	}
	return overlap
}

// fetchView reads what is in the bucket, of which the metas are remembered.
//
// Errors: also if something may be there that could not be read.
func (s *Shipper) fetchView(ctx context.Context) (*block.View, error) {
	if s.bucket == nil {
		f, err := block.NewFetcher(s.bkt, "", nil)
		if err != nil {
			return nil, err
		}
		s.bucket = f
	}
	view, err := s.bucket.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	return view, view.Incomplete
}

// maxUploads is how often a block is sent that somebody else is deleting.
const maxUploads = 3

// upload sends a block, and makes sure that all of it is there. Somebody who
// removes partial uploads could have taken it for one, and deleted objects while
// others were still on their way.
func (r *syncRun) upload(ctx context.Context, dir string) error {
	for n := 1; ; n++ {
		meta, err := block.Upload(ctx, r.s.bkt, dir, &block.UploadOptions{
			Concurrency: r.s.opts.Concurrency, Hash: r.s.opts.HashFunc,
		})
		if err != nil {
			return err
		}
		missing, err := r.s.missing(ctx, meta)
		switch {
		case err != nil:
			return err // looked at again by the next Sync, which finds meta.json
		case missing == "":
			if r.view != nil {
				r.view.Metas[meta.ULID] = meta
			}
			return nil
		}
		if err := r.s.withdraw(ctx, meta.ULID); err != nil {
			return err
		}
		if n == maxUploads {
			return fmt.Errorf("%w: %s", ErrIncomplete, missing)
		}
	}
}

// missing returns a file of a block that is in its meta.json and not in the
// bucket, or "". It is two requests, and one more for what they do not show: in
// some stores listings lag behind.
func (s *Shipper) missing(ctx context.Context, meta *block.Meta) (string, error) {
	listed := map[string]bool{}
	for _, dir := range []string{meta.ULID.String(), block.ObjectName(meta.ULID, block.ChunksDir)} {
		if err := s.bkt.Iter(ctx, dir, func(name string) error {
			listed[name] = true
			return nil
		}); err != nil {
			return "", fmt.Errorf("list objects: %w", err)
		}
	}
	for _, f := range meta.Thanos.Files {
		name := block.ObjectName(meta.ULID, f.RelPath)
		if listed[name] {
			continue
		}
		there, err := s.bkt.Exists(ctx, name)
		if err != nil {
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
		if !there {
			return f.RelPath, nil
		}
	}
	return "", nil
}

// withdraw makes a block that lacks objects one that is not there.
func (s *Shipper) withdraw(ctx context.Context, id ulid.ULID) error {
	name := block.ObjectName(id, block.MetaFile)
	if err := s.bkt.Delete(ctx, name); err != nil && !s.bkt.IsObjNotFoundErr(err) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}
