package query

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// chunk is what a select wants of a chunk that a store sent. The bytes are views
// of what was sent.
type chunk struct {
	// minTime and maxTime are in ms, both inclusive.
	minTime, maxTime int64
	data             []byte
	// counts, XOR, divide what data holds: it is the sums of averages.
	counts     []byte
	encoding   chunkenc.Encoding
	aggregated bool
}

// pick takes from c what stands in for the wanted samples: raw data where there
// is any, else the aggregate that was asked for. ok is false for histograms of
// which that aggregate is not kept: the functions that it stands in for pass
// over histograms.
//
// Errors: ErrNoAggregate; store.ErrEncoding.
func pick(c *encoded.Chunk, want store.Aggregates) (_ chunk, ok bool, _ error) {
	out := chunk{minTime: c.MinTime, maxTime: c.MaxTime}
	var d encoded.Data
	switch a := c.Aggregates; {
	case a == nil:
		d = c.Raw
	case want == average && c.Raw.Encoding != chunkenc.EncNone:
		d = c.Raw
	case want == average:
		d = a.Sum
		if a.Count.Encoding != chunkenc.EncXOR {
			return out, false, missing(&out, "count")
		}
		out.counts, out.aggregated = a.Count.Bytes, true
	default:
		d, out.aggregated = aggregate(a, want), true
		if d.Encoding == chunkenc.EncNone {
			d, out.aggregated = c.Raw, false
		}
		if d.Encoding == chunkenc.EncNone && isHistogram(a.Sum.Encoding, a.Counter.Encoding) {
			return out, false, nil
		}
	}
	switch d.Encoding {
	case chunkenc.EncXOR, chunkenc.EncHistogram, chunkenc.EncFloatHistogram:
	case chunkenc.EncNone:
		return out, false, missing(&out, want.String())
	default:
		return out, false, &store.EncodingError{Encoding: d.Encoding}
	}
	out.data, out.encoding = d.Bytes, d.Encoding
	return out, true, nil
}

func missing(c *chunk, what string) error {
	return fmt.Errorf("%w: no %s in the chunk from %d to %d", ErrNoAggregate, what, c.minTime, c.maxTime)
}

func aggregate(a *encoded.Aggregates, want store.Aggregates) encoded.Data {
	switch want {
	case store.AggregateCount:
		return a.Count
	case store.AggregateSum:
		return a.Sum
	case store.AggregateMin:
		return a.Min
	case store.AggregateMax:
		return a.Max
	case store.AggregateCounter:
		return a.Counter
	}
	return encoded.Data{}
}

func isHistogram(es ...chunkenc.Encoding) bool {
	return slices.Contains(es, chunkenc.EncHistogram) || slices.Contains(es, chunkenc.EncFloatHistogram)
}

// same reports whether two chunks have the same samples.
func (c *chunk) same(o *chunk) bool {
	return c.minTime == o.minTime && c.maxTime == o.maxTime && c.encoding == o.encoding && c.aggregated == o.aggregated &&
		bytes.Equal(c.data, o.data) && bytes.Equal(c.counts, o.counts)
}

// span is the range of a chunk, for dedup.Tracks.
func span(c *chunk) (minTime, maxTime int64) { return c.minTime, c.maxTime }

// byTime orders chunks as a fan-out sends them.
func byTime(a, b chunk) int {
	return cmp.Or(cmp.Compare(a.minTime, b.minTime), cmp.Compare(a.maxTime, b.maxTime))
}

// tidy sorts chunks in place and removes copies, and reports whether any of what
// is left overlap.
func tidy(chunks []chunk) (_ []chunk, overlap bool) {
	if !slices.IsSortedFunc(chunks, byTime) {
		slices.SortStableFunc(chunks, byTime)
	}
	end := 0 // chunks[:end] are tidy
	for i := range chunks {
		if end > 0 && chunks[i].minTime <= chunks[end-1].maxTime {
			if hasCopy(chunks[:end], &chunks[i]) {
				continue
			}
			overlap = true
		}
		if end != i {
			chunks[end] = chunks[i]
		}
		end++
	}
	return chunks[:end], overlap
}

// hasCopy looks for a copy of c among those before it, with the same times.
func hasCopy(before []chunk, c *chunk) bool {
	for i := len(before) - 1; i >= 0 && before[i].minTime == c.minTime && before[i].maxTime == c.maxTime; i-- {
		if before[i].same(c) {
			return true
		}
	}
	return false
}

// chunkPages are where the chunks of a select live, those of a series side by
// side.
type chunkPages struct {
	page []chunk
	from int // of the series that chunks are added to, within page
}

const chunkPage = 512

// start begins a series.
func (p *chunkPages) start() { p.from = len(p.page) }

// add adds a chunk to the series.
func (p *chunkPages) add(c chunk) {
	if len(p.page) == cap(p.page) {
		have := p.page[p.from:]
		p.page = append(make([]chunk, 0, max(chunkPage, 4*len(have))), have...)
		p.from = 0
	}
	p.page = append(p.page, c)
}

// chunks are those of the series.
func (p *chunkPages) chunks() []chunk { return p.page[p.from:len(p.page):len(p.page)] }
