package dedup

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/recode"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// chunkSource is a replica whose samples are those of chunks that ascend by
// MinTime. Where chunks overlap, all samples count, of several at one time that of
// the first chunk. It is its own iterator, to be used again from run to run.
type chunkSource struct {
	replica int
	chunks  []Chunk
	decoded *int // counts chunks

	next int         // the chunk to be opened next
	open []openChunk // by index of chunk; those beyond the length keep their memory
	cur  int         // index in open of the current sample, -1 if there is none
	last int64       // time of the current sample or the latest before
	any  bool
	// lastChunk and lastIndex are where the sample before the current one was from;
	// linked is whether the current one follows it in its own chunks.
	lastChunk, lastIndex int
	linked               bool
	err                  error
}

var (
	_ chunkenc.Iterator = (*chunkSource)(nil)
	_ FloatRunner       = (*chunkSource)(nil)
)

// openChunk is a chunk being read.
type openChunk struct {
	chunk int  // which
	index int  // of the current sample in it
	alone bool // whether no other was open when it was opened
	vt    chunkenc.ValueType
	t     int64
	ts    []int64 // of floats, all
	vs    []float64
	it    chunkenc.Iterator // of histograms
	spare chunkenc.Iterator // of the chunk before, to be used again
}

// reset begins with other chunks.
func (s *chunkSource) reset(replica int, chunks []Chunk, decoded *int) {
	s.replica, s.chunks, s.decoded = replica, chunks, decoded
	s.Iterator(nil)
}

// Iterator implements chunkenc.Iterable. There is only one at a time.
func (s *chunkSource) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	s.next, s.open, s.cur, s.any, s.err = 0, s.open[:0], -1, false, nil
	s.last, s.lastChunk, s.lastIndex, s.linked = math.MinInt64, -1, -1, true
	return s
}

// Next implements chunkenc.Iterator.
func (s *chunkSource) Next() chunkenc.ValueType {
	if s.cur >= 0 {
		o := &s.open[s.cur]
		s.lastChunk, s.lastIndex = o.chunk, o.index
		s.advance(s.cur)
	}
	for s.err == nil {
		s.cur = s.earliest()
		if s.cur < 0 {
			return chunkenc.ValNone
		}
		o := &s.open[s.cur]
		if s.any && o.t <= s.last {
			s.advance(s.cur)
			continue
		}
		s.last, s.any = o.t, true
		switch {
		case o.chunk == s.lastChunk:
			s.linked = o.index == s.lastIndex+1
		default:
			s.linked = o.alone && o.index == 0 && (s.lastChunk < 0 || o.chunk == s.lastChunk+1)
		}
		return o.vt
	}
	s.cur = -1
	return chunkenc.ValNone
}

// earliest returns which of the open chunks is on the earliest sample, the first of
// several, after it has opened all that may have it; -1 if there is none.
func (s *chunkSource) earliest() int {
	for {
		first := -1
		for i := range s.open {
			if first < 0 || s.open[i].t < s.open[first].t {
				first = i
			}
		}
		if s.next == len(s.chunks) || first >= 0 && s.chunks[s.next].MinTime > s.open[first].t {
			return first
		}
		if s.err = s.openNext(); s.err != nil {
			return -1
		}
	}
}

// advance moves an open chunk to its next sample, or closes it.
func (s *chunkSource) advance(i int) {
	o := &s.open[i]
	o.index++
	switch {
	case o.it == nil && o.index < len(o.ts):
		o.t = o.ts[o.index]
		return
	case o.it != nil:
		last := o.t
		if err := recode.Safely(o.step); err != nil {
			s.err = s.fault(o.chunk, err)
			return
		}
		if o.vt != chunkenc.ValNone {
			if c := &s.chunks[o.chunk]; o.t > c.MaxTime || o.t < c.MinTime || o.index > 0 && o.t <= last {
				s.err = s.fault(o.chunk, fmt.Errorf("%w: a sample at %d", ErrMalformedChunk, o.t))
			}
			return
		}
	}
	closed := *o
	n := len(s.open) - 1
	copy(s.open[i:], s.open[i+1:])
	s.open[n] = closed // whose memory is used again
	s.open = s.open[:n]
}

// step moves on in a chunk of histograms.
func (o *openChunk) step() error {
	if o.vt = o.it.Next(); o.vt == chunkenc.ValNone {
		return o.it.Err()
	}
	o.t = o.it.AtT()
	return nil
}

// openNext opens the next chunk, and leaves out one that has no samples.
func (s *chunkSource) openNext() error {
	n := s.next
	s.next++
	c := &s.chunks[n]
	*s.decoded++
	if len(s.open) < cap(s.open) {
		s.open = s.open[:len(s.open)+1]
	} else {
		s.open = append(s.open, openChunk{})
	}
	i := len(s.open) - 1
	o := &s.open[i]
	if o.it != nil {
		o.spare = o.it
	}
	*o = openChunk{chunk: n, alone: i == 0, vt: chunkenc.ValFloat, ts: o.ts[:0], vs: o.vs[:0], index: -1, spare: o.spare}
	if c.Encoding == chunkenc.EncXOR {
		if err := o.floats(c); err != nil {
			return s.fault(n, err)
		}
		s.advance(i)
		return nil
	}
	chunk, err := recode.Open(c.Encoding, c.Data)
	if err != nil {
		return s.fault(n, err)
	}
	o.it = chunk.Iterator(o.spare)
	s.advance(i)
	return s.err
}

// floats decodes a chunk of floats.
func (o *openChunk) floats(c *Chunk) (err error) {
	if o.ts, o.vs, err = xor.Decode(c.Data, math.MaxInt64, o.ts, o.vs); err != nil {
		return err
	}
	return checkTimes(o.ts, c)
}

// checkTimes checks that times ascend within the range of their chunk.
func checkTimes(ts []int64, c *Chunk) error {
	for i := 1; i < len(ts); i++ {
		if ts[i] <= ts[i-1] {
			return fmt.Errorf("%w: a sample at %d after one at %d", ErrMalformedChunk, ts[i], ts[i-1])
		}
	}
	if n := len(ts); n > 0 && (ts[0] < c.MinTime || ts[n-1] > c.MaxTime) {
		return fmt.Errorf("%w: samples from %d to %d", ErrMalformedChunk, ts[0], ts[n-1])
	}
	return nil
}

// fault says of an error which chunk it is about.
func (s *chunkSource) fault(chunk int, err error) error {
	return newChunkError(s.replica, &s.chunks[chunk], err)
}

// FloatRun implements FloatRunner.
func (s *chunkSource) FloatRun() ([]int64, []float64) {
	o := &s.open[s.cur]
	until := int64(math.MaxInt64) // exclusive, which leaves out no more than one sample
	if s.next < len(s.chunks) {
		until = s.chunks[s.next].MinTime
	}
	for i := range s.open {
		if i != s.cur {
			until = min(until, s.open[i].t)
		}
	}
	from, to := o.index, len(o.ts)
	if o.ts[to-1] >= until {
		for to = from + 1; to < len(o.ts) && o.ts[to] < until; to++ {
		}
	}
	o.index, o.t = to-1, o.ts[to-1]
	s.last = o.t
	return o.ts[from:to], o.vs[from:to]
}

// Seek implements chunkenc.Iterator.
func (s *chunkSource) Seek(t int64) chunkenc.ValueType {
	for s.cur < 0 || s.last < t {
		if vt := s.Next(); vt == chunkenc.ValNone {
			return vt
		}
	}
	return s.open[s.cur].vt
}

// At implements chunkenc.Iterator.
func (s *chunkSource) At() (int64, float64) {
	o := &s.open[s.cur]
	return o.t, o.vs[o.index]
}

// AtHistogram implements chunkenc.Iterator.
func (s *chunkSource) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	t, h := s.open[s.cur].it.AtHistogram(h)
	if !s.linked && h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return t, h
}

// AtFloatHistogram implements chunkenc.Iterator.
func (s *chunkSource) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, h := s.open[s.cur].it.AtFloatHistogram(h)
	if !s.linked && h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return t, h
}

// AtT implements chunkenc.Iterator.
func (s *chunkSource) AtT() int64 { return s.last }

// Err implements chunkenc.Iterator.
func (s *chunkSource) Err() error { return s.err }

// AtST returns 0: no chunk of a block has start timestamps. chunkenc.Iterator has
// it since Prometheus v0.310.
func (*chunkSource) AtST() int64 { return 0 }
