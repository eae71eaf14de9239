package downsample

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block"
)

// ReasonNothingLeft is the reason of no-downsample marks of blocks of which nothing
// is left at the next resolution.
const ReasonNothingLeft = "nothing-to-downsample"

// BucketOptions say how the blocks of a bucket are downsampled. The zero value, and
// nil, are good.
type BucketOptions struct {
	// Concurrency is how many blocks are downsampled at a time: 1 if 0, as in Thanos.
	Concurrency int
	// FileConcurrency is how many files of a block are fetched or sent at a time: 4 if
	// 0.
	FileConcurrency int
	// Hash is noted for each file of a block in its meta.json; none by default.
	Hash block.HashFunc
	// Block says how each block is downsampled. Its ULID has to be zero.
	Block Options
	// Logger is told of blocks that were made, of those that were marked and of those
	// that cannot be read; nil means nobody.
	Logger *slog.Logger
}

func (o *BucketOptions) withDefaults() (BucketOptions, error) {
	var c BucketOptions
	if o != nil {
		c = *o
	}
	var errs []error
	for _, n := range []struct {
		name  string
		value int
	}{{"Concurrency", c.Concurrency}, {"FileConcurrency", c.FileConcurrency}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("option %s is %d, not 0 or more", n.name, n.value))
		}
	}
	if _, err := c.Block.withDefaults(); err != nil {
		errs = append(errs, err)
	}
	if !c.Block.ULID.IsZero() {
		errs = append(errs, errors.New("option Block.ULID is set, and there may be many blocks"))
	}
	c.Concurrency = cmp.Or(c.Concurrency, 1)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// Bucket downsamples the blocks of a bucket that are due by their range, and
// uploads what is made. It returns the meta.json of the blocks that were, by ULID of
// what they were made from and then resolution.
//
// A block is left alone if all of its sources are in blocks of the next resolution
// already, if it is marked no-downsample or for deletion, or if another one has
// replaced it. What comes of a raw block is made into 1h at once if that is due,
// too. It does what compact does besides, for a bucket whose compactor does not.
//
// Input: dir is a directory for blocks on their way, which is made if it is not
// there. Nothing else is to be in it: what is named by a ULID and belongs to no
// block that is worked on is removed.
// Errors: what is wrong with the options; that the bucket cannot be listed, or not
// all of it can be judged, and then nothing was done; else those of Block, of
// block.Download and of block.Upload, joined. A block that cannot be downsampled
// does not keep others from it. One of which nothing is left, block.ErrEmpty, is no
// error here: it is marked no-downsample with ReasonNothingLeft, so that nobody
// fetches it again, and a retention that waits for 5m or 1h does not wait for it.
// Concurrency: two that run at a time make blocks twice, which readers and a
// compactor take for one; not for the same dir.
// Cost: each block is fetched once, and after an error of the bucket or the end of
// the context not even that, but anew after any other error: what was fetched may be
// what is wrong. dir holds a block and what is made of it, Concurrency times.
//
// Source: Thanos v0.42.4, cmd/thanos/downsample.go, which fetches what it has made
// to make 1h of it, and downsamples what is marked no-downsample.
func Bucket(ctx context.Context, bkt objstore.Bucket, dir string, opts *BucketOptions) ([]*block.Meta, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("downsample bucket: %w", err)
	}
	b := &bucketRun{bkt: bkt, dir: dir, opts: &o}
	made, err := b.run(ctx)
	if err != nil {
		return made, fmt.Errorf("downsample bucket: %w", err)
	}
	return made, nil
}

// bucketRun is one run of Bucket.
type bucketRun struct {
	bkt  objstore.Bucket
	dir  string
	opts *BucketOptions
}

func (b *bucketRun) run(ctx context.Context) ([]*block.Meta, error) {
	v, err := b.view(ctx)
	if err != nil {
		return nil, err
	}
	jobs := pending(v)
	if err := b.clean(jobs); err != nil {
		return nil, err
	}
	made, errs := make([][]*block.Meta, len(jobs)), make([]error, len(jobs))
	var g errgroup.Group
	g.SetLimit(b.opts.Concurrency)
	for i, j := range jobs {
		g.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] == nil {
				made[i], errs[i] = b.one(ctx, j)
			}
			return nil
		})
	}
	_ = g.Wait()                      // Each has its own place for errors.
	if err := ctx.Err(); err != nil { // said once, beside what else was wrong
		errs = append(slices.DeleteFunc(errs, func(e error) bool { return errors.Is(e, err) }), err)
	}
	return slices.Concat(made...), errors.Join(errs...)
}

// view returns the blocks that there are.
func (b *bucketRun) view(ctx context.Context) (*block.View, error) {
	filters, err := block.StandardFilters(nil)
	if err != nil {
		return nil, err
	}
	f, err := block.NewFetcher(b.bkt, "", &block.FetcherOptions{Logger: b.opts.Logger, Filters: filters})
	if err != nil {
		return nil, err
	}
	v, err := f.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	for id, err := range v.Partial {
		b.opts.Logger.Warn("no block that can be read", "block", id, "err", err)
	}
	return v, v.Incomplete
}

// job is a block that is due, and what is to be made of it, one of the other.
type job struct {
	of *block.Meta
	to []block.Resolution
}

// pending returns what is to be done, by ULID.
func pending(v *block.View) []job {
	has := map[block.Resolution]map[ulid.ULID]bool{}
	for _, m := range v.Metas {
		if has[m.Resolution()] == nil {
			has[m.Resolution()] = map[ulid.ULID]bool{}
		}
		for _, id := range m.Compaction.Sources {
			has[m.Resolution()][id] = true
		}
	}
	lacks := func(m *block.Meta, r block.Resolution) bool {
		return slices.ContainsFunc(m.Compaction.Sources, func(id ulid.ULID) bool { return !has[r][id] })
	}
	var jobs []job
	for id, m := range v.Metas {
		to, due := Due(m)
		if !due || !lacks(m, to) || v.Marked(id, block.NoDownsampleMark) {
			continue
		}
		j := job{of: m, to: []block.Resolution{to}}
		next := m.Clone() // as it will be
		next.Thanos.Downsample.Resolution = to
		if further, due := Due(next); due && lacks(m, further) {
			j.to = append(j.to, further)
		}
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b job) int { return a.of.ULID.Compare(b.of.ULID) })
	return jobs
}

// clean removes what runs before have left, but for blocks that are needed again.
func (b *bucketRun) clean(jobs []job) error {
	entries, err := os.ReadDir(b.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), ".")
		id, err := ulid.ParseStrict(name)
		if err != nil || slices.ContainsFunc(jobs, func(j job) bool { return j.of.ULID == id }) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(b.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// one makes of a block what is due. After an error of the bucket the block stays in
// the directory, for the next run.
func (b *bucketRun) one(ctx context.Context, j job) ([]*block.Meta, error) {
	of, dirs := j.of, []string{b.path(j.of)}
	if err := block.Download(ctx, b.bkt, of.ULID, dirs[0], &block.DownloadOptions{Concurrency: b.opts.FileConcurrency}); err != nil {
		return nil, err
	}
	var out []*block.Meta
	for _, to := range j.to {
		made, err := Block(ctx, b.path(of), b.dir, to, &b.opts.Block)
		switch {
		case errors.Is(err, block.ErrEmpty):
			return out, errors.Join(b.markNothing(ctx, of, to), removeAll(dirs))
		case err != nil && ctx.Err() == nil:
			return out, errors.Join(err, removeAll(dirs))
		case err != nil:
			return out, errors.Join(err, removeAll(dirs[1:]))
		}
		dirs = append(dirs, b.path(made))
		uploaded, err := block.Upload(ctx, b.bkt, b.path(made), &block.UploadOptions{Concurrency: b.opts.FileConcurrency, Hash: b.opts.Hash})
		if err != nil {
			return out, errors.Join(err, removeAll(dirs[1:]))
		}
		b.opts.Logger.Info("downsampled block", "block", made.ULID, "from", of.ULID, "resolution", to.String())
		of, out = made, append(out, uploaded)
	}
	return out, removeAll(dirs)
}

// path returns where a block is in the directory.
func (b *bucketRun) path(m *block.Meta) string { return filepath.Join(b.dir, m.ULID.String()) }

// markNothing marks a block of which nothing is left.
func (b *bucketRun) markNothing(ctx context.Context, m *block.Meta, to block.Resolution) error {
	_, err := block.PutMark(ctx, b.bkt, block.Mark{
		Kind: block.NoDownsampleMark, Block: m.ULID, Reason: ReasonNothingLeft,
		Details: fmt.Sprintf("no series has a value at %s", to),
	})
	if err != nil {
		return fmt.Errorf("mark block %s of which nothing is left: %w", m.ULID, err)
	}
	b.opts.Logger.Warn("nothing is left of a block, which is marked no-downsample", "block", m.ULID, "resolution", to.String())
	return nil
}

func removeAll(dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}
