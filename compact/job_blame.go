package compact

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// errPanic says that something does not do what it promises.
var errPanic = errors.New("panic")

// safely makes a panic an error. Iterators of histograms trust what they decode,
// which nobody has looked at yet.
func safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return f()
}

// blame finds out which source is the reason why something went wrong with a series:
// the first with a chunk that does not decode, or that is not what the index says;
// else the one whose chunk is what the error is about. Without one it is nobody's
// fault but ours, and the error stays what it is.
func (b *batch) blame(it *item, err error) error {
	for _, p := range b.parts[it.parts.from:it.parts.to] {
		for i := p.chunks.from; i < p.chunks.to; i++ {
			if cause := checkChunk(&b.raw[i]); cause != nil {
				return &SourceError{Block: p.source.meta.ULID, Err: p.describe(&b.raw[i], b.refs[it.refs.from:it.refs.to], cause)}
			}
		}
	}
	if p := b.named(it, err); p != nil {
		return &SourceError{Block: p.source.meta.ULID, Err: fmt.Errorf("series %s: %w", p.source.lset(b.refs[it.refs.from:it.refs.to]), err)}
	}
	return err
}

// named returns the part with the chunk that an error names, or nil.
func (b *batch) named(it *item, err error) *part {
	replica := -1
	var minTime, maxTime int64
	if e, ok := errors.AsType[*dedup.ChunkError](err); ok {
		replica, minTime, maxTime = e.Replica, e.MinTime, e.MaxTime
	} else if e, ok := errors.AsType[*downsample.ChunkError](err); ok {
		minTime, maxTime = e.MinTime, e.MaxTime
	} else {
		return nil
	}
	parts := b.parts[it.parts.from:it.parts.to]
	at := 0 // among the replicas of the series
	for i := range parts {
		p := &parts[i]
		if i > 0 && p.source.replica != parts[i-1].source.replica {
			at++
		}
		if replica >= 0 && replica != at {
			continue
		}
		for _, c := range b.raw[p.chunks.from:p.chunks.to] {
			if c.MinTime == minTime && c.MaxTime == maxTime {
				return p
			}
		}
	}
	return nil
}

// describe says which chunk of which series is bad.
func (p *part) describe(c *block.Chunk, lset []block.LabelRef, cause error) error {
	if kind, ok := errors.AsType[*chunkProblemError](cause); ok {
		return &block.SeriesError{Labels: p.source.lset(lset), Kind: kind.kind, Detail: kind.detail}
	}
	cause = fmt.Errorf("series %s: chunk of [%d, %d]: %w", p.source.lset(lset), c.MinTime, c.MaxTime, cause)
	if errors.Is(cause, block.ErrUnsupported) {
		return cause
	}
	return &block.CorruptError{Block: p.source.meta.ULID, File: block.ChunksDir, Err: cause}
}

// chunkProblemError is a chunk that decodes, to something that it must not be.
type chunkProblemError struct {
	kind   block.ProblemKind
	detail string
}

func (e *chunkProblemError) Error() string { return string(e.kind) + ": " + e.detail }

// checkChunk decodes a chunk.
func checkChunk(c *block.Chunk) error {
	return safely(func() error {
		n, err := c.NumSamples()
		if err != nil {
			return err
		}
		if n == 0 {
			return &chunkProblemError{block.EmptyChunk, fmt.Sprintf("[%d, %d]", c.MinTime, c.MaxTime)}
		}
		plain, err := c.Plain()
		if err != nil {
			return err
		}
		for kind, p := range plain {
			if p == nil {
				continue
			}
			counter := c.Encoding == block.EncodingAggregates && aggr.Kind(kind) == aggr.CounterKind
			if err := checkSamples(c, p, counter); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkSamples looks at the times of samples: they ascend, but for the last one of
// a counter aggregate, which is at the time of the one before. Those of chunks that
// hold samples begin and end as the index says.
func checkSamples(c *block.Chunk, p chunkenc.Chunk, counter bool) error {
	var first, last int64
	n := 0
	it := p.Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		t := it.AtT()
		switch vt { // what is decoded only when it is asked for
		case chunkenc.ValHistogram:
			it.AtHistogram(nil)
		case chunkenc.ValFloatHistogram:
			it.AtFloatHistogram(nil)
		}
		if n > 0 && (t < last || t == last && !counter) {
			return &chunkProblemError{block.ChunkTimes, fmt.Sprintf("sample at %d follows one at %d", t, last)}
		}
		if n == 0 {
			first = t
		}
		last = t
		n++
	}
	if err := it.Err(); err != nil {
		return err
	}
	if n != p.NumSamples() {
		return fmt.Errorf("%d samples, the chunk says %d", n, p.NumSamples())
	}
	if n > 0 && c.Encoding != block.EncodingAggregates && (first != c.MinTime || last != c.MaxTime) {
		return &chunkProblemError{block.ChunkTimes, fmt.Sprintf("samples of [%d, %d], the index says [%d, %d]", first, last, c.MinTime, c.MaxTime)}
	}
	return nil
}
