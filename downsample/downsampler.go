package downsample

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
)

// Downsampler makes the chunks of a series at one resolution into those of the
// next coarser one. The zero value is ready for use.
//
//	var d downsample.Downsampler
//	fiveMinutes, err := d.Append(nil, block.Raw, block.FiveMinutes, chunks)
//	...
//	oneHour, err := d.Append(nil, block.FiveMinutes, block.OneHour, fiveMinutes)
//
// What it has decoded is kept to be used again, and what it returns shares memory
// that Reset takes back. Chunks of floats that one call of Append has made are
// known to the next one, which does not decode them again: in between they are not to
// be changed.
//
// Concurrency: not safe. Cost: memory for the samples of one series, and for what is
// made of them, if they are floats, and for those of one chunk that is made if they
// are histograms.
type Downsampler struct {
	out        []block.Chunk
	arena      []byte // what Data of chunks was cut from
	last       int64  // time of the sample before
	floats     floatWork
	histograms histogramWork
	memo       memo // of the series that was raw and downsampled last
	once       bool // nothing that is made is downsampled further: there is no memo
	parsed     []aggregateChunk
	fixed      []block.Chunk
}

// Append appends to dst the chunks of aggregates at resolution to that are made
// of the chunks of one series at resolution from: FiveMinutes of Raw, OneHour of
// FiveMinutes.
//
// Input: chunks as the index has them, ascending and without overlap. Chunks
// without samples count for nothing, and so do aggregates that are absent. Among
// chunks of aggregates, those that hold samples are downsampled to from first.
// Output: chunks that ascend and do not overlap, none if no sample is left. Their
// bytes are valid until Reset.
// Errors: block.SeriesError, without labels, for chunks that do not ascend or that
// overlap; ChunkError; ErrResolution. dst is then returned as it was.
func (d *Downsampler) Append(dst []block.Chunk, from, to block.Resolution, chunks []block.Chunk) ([]block.Chunk, error) {
	if next, ok := Next(from); !ok || next != to {
		return dst, fmt.Errorf("downsample %s to %s: %w", from, to, ErrResolution)
	}
	if err := checkOrder(chunks); err != nil {
		return dst, err
	}
	d.out = dst
	err := d.run(from, chunks)
	out := d.out
	d.out = nil
	if err != nil {
		return out[:len(dst)], err
	}
	return out, nil
}

// Reset takes back the memory of all chunks that Append has returned.
func (d *Downsampler) Reset() {
	d.arena = d.arena[:0]
	d.memo.forget() // whose chunks are told by where they are
}

// checkOrder looks at the ranges that the index gives.
func checkOrder(chunks []block.Chunk) error {
	for i := range chunks {
		c := &chunks[i]
		var kind block.ProblemKind
		switch {
		case c.MaxTime < c.MinTime:
			kind = block.ChunkTimes
		case i == 0 || chunks[i-1].MaxTime < c.MinTime:
			continue
		case c.MaxTime < chunks[i-1].MinTime:
			kind = block.UnsortedChunks
		default:
			kind = block.OverlappingChunks
		}
		detail := fmt.Sprintf("[%d, %d]", c.MinTime, c.MaxTime)
		if i > 0 {
			detail += fmt.Sprintf(" follows [%d, %d]", chunks[i-1].MinTime, chunks[i-1].MaxTime)
		}
		return &block.SeriesError{Kind: kind, Detail: detail}
	}
	return nil
}

// run downsamples the chunks of a series, run by run of the same kind.
func (d *Downsampler) run(from block.Resolution, chunks []block.Chunk) error {
	d.last = math.MinInt64
	if from != block.Raw {
		defer d.memo.forget()
		return d.aggregates(chunks)
	}
	d.memo.forget()
	return d.raw(block.FiveMinutes, chunks)
}

// raw downsamples chunks of samples. Floats and histograms go into chunks of their
// own, and whether counts of histograms are integers makes no difference.
func (d *Downsampler) raw(r block.Resolution, chunks []block.Chunk) error {
	for len(chunks) > 0 {
		histograms := isHistogram(chunks[0].Encoding)
		n := 0
		for n < len(chunks) && isHistogram(chunks[n].Encoding) == histograms {
			if e := chunks[n].Encoding; !histograms && e != chunkenc.EncXOR {
				return chunkError(&chunks[n], fmt.Errorf("encoding %d: %w", e, block.ErrUnsupported))
			}
			n++
		}
		var err error
		if histograms {
			err = d.rawHistograms(r, chunks[:n])
		} else {
			err = d.rawFloats(r, chunks[:n])
		}
		if err != nil {
			return err
		}
		chunks = chunks[n:]
	}
	return nil
}

func isHistogram(e chunkenc.Encoding) bool {
	return e == chunkenc.EncHistogram || e == chunkenc.EncFloatHistogram
}
