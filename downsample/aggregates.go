package downsample

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// aggregates downsamples chunks of 5m to 1h.
//
// A chunk made is made of whole chunks: each of them begins with the first value
// of a counter and ends with the last one, and those in between would be lost.
func (d *Downsampler) aggregates(chunks []block.Chunk) error {
	chunks, err := d.onlyAggregates(chunks)
	if err != nil {
		return err
	}
	parsed := d.parsed[:0]
	for i := range chunks {
		c, err := parseAggregates(&chunks[i])
		if err != nil {
			return chunkError(&chunks[i], err)
		}
		c.made = d.memo.find(&chunks[i])
		parsed = append(parsed, c)
	}
	d.parsed = parsed
	for len(parsed) > 0 {
		histograms := parsed[0].isHistogram()
		n := 1
		for n < len(parsed) && parsed[n].isHistogram() == histograms {
			n++
		}
		if err := d.aggregateRun(histograms, parsed[:n]); err != nil {
			return err
		}
		parsed = parsed[n:]
	}
	return nil
}

// onlyAggregates downsamples the chunks among those of 5m that hold samples to
// where they belong.
func (d *Downsampler) onlyAggregates(chunks []block.Chunk) ([]block.Chunk, error) {
	mixed := false
	for i := range chunks {
		mixed = mixed || chunks[i].Encoding != block.EncodingAggregates
	}
	if !mixed {
		return chunks, nil
	}
	dst := d.out
	defer func() { d.out = dst }()
	d.out = d.fixed[:0]
	for i := range chunks {
		if chunks[i].Encoding == block.EncodingAggregates {
			d.out = append(d.out, chunks[i])
			continue
		}
		if err := d.raw(block.FiveMinutes, chunks[i:i+1]); err != nil {
			return nil, err
		}
	}
	d.fixed = d.out
	return d.fixed, nil
}

// parseAggregates takes a chunk apart, without decoding what is in it.
func parseAggregates(c *block.Chunk) (aggregateChunk, error) {
	a := aggregateChunk{Chunk: c}
	var err error
	if a.parts, err = aggr.Parse(c.Data); err != nil {
		return a, err
	}
	for k, p := range a.parts {
		switch {
		case p.Encoding == chunkenc.EncNone || p.Encoding == chunkenc.EncXOR || isHistogram(p.Encoding):
		default:
			return a, fmt.Errorf("%s: encoding %d: %w", aggr.Kind(k), p.Encoding, block.ErrUnsupported)
		}
	}
	a.windows, err = c.NumSamples()
	return a, err
}

// isHistogram reports whether the aggregates are those of histograms.
func (c *aggregateChunk) isHistogram() bool {
	return isHistogram(c.parts[aggr.CounterKind].Encoding) || isHistogram(c.parts[aggr.Sum].Encoding)
}

// aggregateRun downsamples consecutive chunks of one kind.
func (d *Downsampler) aggregateRun(histograms bool, chunks []aggregateChunk) error {
	windows := 0
	for i := range chunks {
		windows += chunks[i].windows
	}
	const step, r = block.FiveMinutes, block.OneHour
	n := chunkCount(chunks[0].MinTime, chunks[len(chunks)-1].MaxTime, int64(step), r, windows)
	size := max(len(chunks)/n, 1)
	if histograms {
		return d.histogramAggregates(int64(r), size, chunks)
	}
	for len(chunks) > 0 {
		n := min(size, len(chunks))
		if err := d.floatAggregates(int64(r), chunks[:n]); err != nil {
			return err
		}
		chunks = chunks[n:]
	}
	return nil
}
