package downsample

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// Options say how a block is downsampled. The zero value, and nil, are good.
type Options struct {
	// Concurrency is how many batches of series are worked on at a time: as many as
	// there are processors if 0.
	Concurrency int
	// SegmentSize is how many bytes a segment of chunks has at most: 512 MiB if 0, as
	// in Prometheus, and below 4 GiB.
	SegmentSize int64
	// ULID of the new block, a new one if zero.
	ULID ulid.ULID
}

// withDefaults returns a copy with what is not set filled in.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Concurrency < 0 {
		return c, fmt.Errorf("option Concurrency is %d, not 0 or more", c.Concurrency)
	}
	if c.Concurrency == 0 {
		c.Concurrency = runtime.GOMAXPROCS(0)
	}
	return c, nil
}

// Block makes a block of resolution to from the one in dir, into out, a directory
// that holds blocks, and returns its meta.json. The block that it is made from
// stays as it is.
//
// Input: a block of the next finer resolution, whatever its range. Tombstones are
// not looked at.
// Output: a new block with a ULID, a resolution, stats and files of its own, and
// the component compactor as its source; range, external labels, level, sources and
// parents are those of the block that it is made from. So are the symbols, all of
// them. A series of which no sample is left is not in it.
// Errors: block.ErrEmpty if no series would be; ErrResolution; block.SeriesError
// with labels for series or chunks out of order and chunks that overlap;
// block.CorruptError and block.UnsupportedError for what cannot be read; those of
// block.Open and block.Writer, and of the context. There is no new block after any
// error, and nothing left of one.
// Cost: the index and the chunks are read once. Memory is bounded by 2*Concurrency
// batches, each of a series or of a few hundred KiB, and what block.Writer takes.
// What is written does not depend on Concurrency.
//
// Source: Thanos v0.42.4, pkg/compact/downsample and cmd/thanos/downsample.go.
func Block(ctx context.Context, dir, out string, to block.Resolution, opts *Options) (_ *block.Meta, err error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("downsample block: %w", err)
	}
	r, err := block.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("downsample block: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	meta, err := downsampleBlock(ctx, r, out, to, &o)
	if err != nil {
		return nil, fmt.Errorf("downsample block %s to %s: %w", r.Meta().ULID, to, err)
	}
	return meta, nil
}

func downsampleBlock(ctx context.Context, r *block.Reader, out string, to block.Resolution, o *Options) (_ *block.Meta, err error) {
	from := r.Meta().Resolution()
	if next, ok := Next(from); !ok || next != to {
		return nil, fmt.Errorf("from %s: %w", from, ErrResolution)
	}
	w, err := block.NewWriter(out, newMeta(r.Meta(), to, o.ULID), &block.WriterOptions{SegmentSize: o.SegmentSize})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	symbols := r.Symbols()
	for i := range uint32(symbols.Len()) {
		if err := w.AddSymbolBytes(symbols.Bytes(i)); err != nil {
			return nil, err
		}
	}
	p := &pipeline{r: r, w: w, from: from, to: to}
	if err := p.run(ctx, o.Concurrency); err != nil {
		return nil, err
	}
	if err := r.Close(); err != nil { // while the new block can still be given up
		return nil, err
	}
	return w.Commit()
}

// newMeta is what the new block's meta.json begins with.
func newMeta(of *block.Meta, to block.Resolution, id ulid.ULID) *block.Meta {
	m := of.Clone()
	m.ULID = id
	if id.IsZero() {
		m.ULID = ulid.Make()
	}
	m.Thanos.Downsample.Resolution = to
	m.Thanos.Source = block.SourceCompactor
	return m
}
