package block

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// RewriteOptions say what a block is rewritten to. One of Deletions and Relabel
// at least is not empty.
type RewriteOptions struct {
	// ULID of the new block, a new one if zero.
	ULID ulid.ULID
	// Deletions are of series whose labels match all matchers of one of them, all
	// samples or those within its intervals. As in Thanos, a series without a
	// matcher's label is not matched, whatever the matcher. External labels are not
	// looked at.
	Deletions []Deletion
	// Relabel is applied to what the deletions have left. A series that it drops,
	// or leaves without labels, is dropped.
	Relabel []*relabel.Config
	// SegmentSize is that of WriterOptions.
	SegmentSize int64
	// Changed, if not nil, is called for each series that does not stay as it is,
	// in the order of the old block; after is empty for one that is gone, deleted
	// has the intervals that samples were looked for in.
	Changed func(before, after labels.Labels, deleted []Interval)
}

// RewriteBlock makes a new block from one on disk, with series dropped, samples
// dropped within intervals, or labels changed, into a directory that holds
// blocks, and returns its meta.json: source bucket.rewrite, its own source, and a
// section thanos.rewrites that says what it was made of and how. The old block
// stays as it is; whether to mark it is the caller's to say.
//
// Chunks of which nothing is dropped are copied as they are. Series that have
// become equal are merged: chunks that are the same are there once, and those
// that overlap are a SeriesError. Dropping a part of a chunk of aggregates is an
// UnsupportedError, since a window has no samples to choose from.
//
// Errors: those of Open and Writer; ErrEmpty if nothing is left; options that are
// not valid, errors.ErrUnsupported for a relabel action that is not known. No new
// block is there after any error.
// Cost: two passes over the index and one over the chunks that stay. With Relabel
// all labels that come out are held in memory.
//
// Source: Thanos v0.42.4, tools bucket rewrite and pkg/compactv2. Different:
// native histograms are rewritten too, and what overlaps is not merged.
func RewriteBlock(ctx context.Context, dir, out string, opts *RewriteOptions) (_ *Meta, err error) {
	r, err := Open(dir)
	if err != nil {
		return nil, fmt.Errorf("rewrite block: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	w := &rewriter{ctx: ctx, r: r, sb: labels.NewScratchBuilder(0)}
	if opts != nil {
		w.opts = *opts
	}
	meta, err := w.run(out)
	if err != nil {
		return nil, fmt.Errorf("rewrite block %s: %w", r.Meta().ULID, err)
	}
	return meta, nil
}

// rewriter is one run of RewriteBlock.
type rewriter struct {
	ctx       context.Context
	opts      RewriteOptions
	r         *Reader
	sb        labels.ScratchBuilder
	deletions []deletion
	relabel   []*relabel.Config

	w      *Writer
	chunks []Chunk
	refs   []LabelRef
}

// deletion is a Deletion whose regular expressions are compiled.
type deletion struct {
	matchers  []*labels.Matcher
	intervals []Interval
}

func (w *rewriter) run(out string) (_ *Meta, err error) {
	if err := w.prepare(); err != nil {
		return nil, err
	}
	w.w, err = NewWriter(out, w.meta(), &WriterOptions{SegmentSize: w.opts.SegmentSize})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.w.Close()) }()
	if len(w.relabel) > 0 {
		err = w.relabelled()
	} else {
		err = w.deleted()
	}
	if err != nil {
		return nil, err
	}
	return w.w.Commit()
}

// prepare compiles what is to be done.
func (w *rewriter) prepare() error {
	if len(w.opts.Deletions)+len(w.opts.Relabel) == 0 {
		return errors.New("neither deletions nor relabel configs")
	}
	for i, d := range w.opts.Deletions {
		if len(d.Matchers) == 0 {
			return fmt.Errorf("deletion %d has no matchers", i)
		}
		c := deletion{intervals: d.Intervals}
		for _, m := range d.Matchers {
			matcher, err := labels.NewMatcher(m.Type, m.Name, m.Value)
			if err != nil {
				return fmt.Errorf("deletion %d: matcher %s: %w", i, m, err)
			}
			c.matchers = append(c.matchers, matcher)
		}
		w.deletions = append(w.deletions, c)
	}
	var err error
	w.relabel, err = ownRelabel(w.opts.Relabel)
	return err
}

// meta is what the new block's meta.json begins with.
func (w *rewriter) meta() *Meta {
	m := newMeta(w.r.Meta())
	m.ULID = w.opts.ULID
	if m.ULID.IsZero() {
		m.ULID = ulid.Make()
	}
	m.Thanos.Rewrites = append(slices.Clone(m.Thanos.Rewrites), Rewrite{
		Sources:          w.r.Meta().Compaction.Sources,
		DeletionsApplied: w.opts.Deletions,
		RelabelsApplied:  w.relabel,
	})
	m.Compaction.Sources = []ulid.ULID{m.ULID}
	m.Thanos.Source = SourceBucketRewrite
	return m
}

// judge says what becomes of a series: whether it stays, and which samples of it
// do not.
func (w *rewriter) judge(lset labels.Labels) (keep bool, deleted []Interval) {
	for _, d := range w.deletions {
		if !d.matches(lset) {
			continue
		}
		if len(d.intervals) == 0 {
			return false, nil
		}
		deleted = append(deleted, d.intervals...)
	}
	return true, joinIntervals(deleted)
}

func (d *deletion) matches(lset labels.Labels) bool {
	for _, m := range d.matchers {
		if v := lset.Get(m.Name); v == "" || !m.Matches(v) {
			return false
		}
	}
	return true
}

// joinIntervals sorts intervals and joins those that touch. Reversed ones are
// empty.
func joinIntervals(in []Interval) []Interval {
	in = slices.DeleteFunc(in, func(i Interval) bool { return i.Mint > i.Maxt })
	slices.SortFunc(in, func(a, b Interval) int { return cmp.Compare(a.Mint, b.Mint) })
	var out []Interval
	for _, i := range in {
		if n := len(out); n > 0 && (out[n-1].Maxt >= i.Mint || out[n-1].Maxt+1 == i.Mint) {
			out[n-1].Maxt = max(out[n-1].Maxt, i.Maxt)
			continue
		}
		out = append(out, i)
	}
	return out
}

func (w *rewriter) changed(before, after labels.Labels, deleted []Interval) {
	if w.opts.Changed != nil {
		w.opts.Changed(before, after, deleted)
	}
}
