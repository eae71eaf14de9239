package rechunk

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// Samples iterates over the samples of raw chunks of one series, merged by
// time. Of several samples at one time the first is kept: that of the chunk that
// comes first in [Sort] order. It is not safe for concurrent use; the zero value
// has no samples.
//
// A native histogram that follows one of another chunk among chunks that overlap
// says nothing of counter resets, because what its own chunk knew was said of
// another predecessor.
type Samples struct {
	chunks  []encoded.Chunk // not reached yet, sorted
	cursors []cursor        // of the stretch of chunks that overlap; a heap by time
	merged  bool            // the stretch has several chunks
	order   int             // of the next cursor
	from    int             // order of the cursor that the last sample came from

	value     chunkenc.ValueType // of the current sample
	last      int64              // its time
	has       bool               // there is a current sample
	same      bool               // it comes from the chunk that the one before came from
	err       error
	iterators []chunkenc.Iterator // to be used again
}

// cursor stands on a sample of a chunk.
type cursor struct {
	it    chunkenc.Iterator
	vt    chunkenc.ValueType
	t     int64
	order int // of its chunk
}

func (c *cursor) before(d *cursor) bool { return c.t < d.t || (c.t == d.t && c.order < d.order) }

// Reset begins anew with chunks, which are in [Sort] order and are not changed.
func (s *Samples) Reset(chunks []encoded.Chunk) {
	for i := range s.cursors {
		s.iterators = append(s.iterators, s.cursors[i].it)
	}
	*s = Samples{chunks: chunks, cursors: s.cursors[:0], iterators: s.iterators}
}

// Next moves to the next sample and returns its type, or chunkenc.ValNone if
// there is none; see Err.
func (s *Samples) Next() chunkenc.ValueType {
	if s.has {
		s.advance()
	}
	for s.err == nil {
		if len(s.cursors) == 0 && !s.open() {
			break
		}
		if len(s.cursors) == 0 {
			continue
		}
		c := &s.cursors[0]
		if s.has && c.t <= s.last { // another chunk had it
			s.advance()
			continue
		}
		s.same = s.has && s.from == c.order
		s.value, s.last, s.from, s.has = c.vt, c.t, c.order, true
		return c.vt
	}
	s.value = chunkenc.ValNone
	return chunkenc.ValNone
}

// Err returns why Next found no further sample; nil at the end.
func (s *Samples) Err() error { return s.err }

// AtT returns the time of the sample, in milliseconds.
func (s *Samples) AtT() int64 { return s.last }

// At returns a float sample.
func (s *Samples) At() (int64, float64) { return s.cursors[0].it.At() }

// AtHistogram returns a sample that is a histogram with integer counts, into h
// if that is not nil.
func (s *Samples) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	t, h := s.cursors[0].it.AtHistogram(h)
	h.CounterResetHint = s.hint(h.CounterResetHint)
	return t, h
}

// AtFloatHistogram returns a sample that is a histogram with float counts, into
// h if that is not nil.
func (s *Samples) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, h := s.cursors[0].it.AtFloatHistogram(h)
	h.CounterResetHint = s.hint(h.CounterResetHint)
	return t, h
}

func (s *Samples) hint(h histogram.CounterResetHint) histogram.CounterResetHint {
	if h == histogram.GaugeType || s.same || !s.merged {
		return h
	}
	return histogram.UnknownCounterReset
}

// open opens the next stretch of chunks that overlap, and reports whether there
// is one.
func (s *Samples) open() bool {
	n := stretch(s.chunks)
	if n == 0 {
		return false
	}
	s.merged = n > 1
	for i := range s.chunks[:n] {
		if s.err = s.openChunk(&s.chunks[i]); s.err != nil {
			return false
		}
	}
	s.chunks = s.chunks[n:]
	for i := len(s.cursors)/2 - 1; i >= 0; i-- {
		s.down(i)
	}
	return true
}

func (s *Samples) openChunk(c *encoded.Chunk) error {
	chk, err := decode(c)
	if err != nil {
		return err
	}
	var reused chunkenc.Iterator
	if n := len(s.iterators); n > 0 {
		reused, s.iterators = s.iterators[n-1], s.iterators[:n-1]
	}
	cur := cursor{it: chk.Iterator(reused), order: s.order}
	s.order++
	if cur.vt = cur.it.Next(); cur.vt == chunkenc.ValNone {
		return malformed(cur.it.Err())
	}
	cur.t = cur.it.AtT()
	s.cursors = append(s.cursors, cur)
	return nil
}

// advance moves the first cursor on.
func (s *Samples) advance() {
	if len(s.cursors) == 0 {
		return
	}
	c := &s.cursors[0]
	if c.vt = c.it.Next(); c.vt != chunkenc.ValNone {
		c.t = c.it.AtT()
	} else {
		s.err = malformed(c.it.Err())
		s.iterators = append(s.iterators, c.it)
		last := len(s.cursors) - 1
		s.cursors[0] = s.cursors[last]
		s.cursors = s.cursors[:last]
	}
	s.down(0)
}

// down restores the heap below i.
func (s *Samples) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.cursors); child++ {
			if s.cursors[child].before(&s.cursors[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.cursors[i], s.cursors[least] = s.cursors[least], s.cursors[i]
		i = least
	}
}

// stretch returns how many chunks, from the first on, overlap without a gap.
func stretch(chunks []encoded.Chunk) int {
	maxt := int64(math.MinInt64)
	for i := range chunks {
		if i > 0 && chunks[i].MinTime > maxt {
			return i
		}
		maxt = max(maxt, chunks[i].MaxTime)
	}
	return len(chunks)
}

// decode opens a raw chunk.
func decode(c *encoded.Chunk) (chunkenc.Chunk, error) {
	least := histogramHeader
	switch c.Raw.Encoding {
	case chunkenc.EncXOR:
		least = xorHeader
	case chunkenc.EncHistogram, chunkenc.EncFloatHistogram:
	default:
		return nil, &store.EncodingError{Encoding: c.Raw.Encoding}
	}
	if len(c.Raw.Bytes) < least {
		return nil, fmt.Errorf("%w: chunk without header", store.ErrMalformed)
	}
	return chunkenc.FromData(c.Raw.Encoding, c.Raw.Bytes)
}

func malformed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: chunk: %w", store.ErrMalformed, err)
}
