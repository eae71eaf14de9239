package dedup

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/recode"
)

// mergeChain is Merge by Chain. Which of several samples at one time Chain returns
// depends on all that was before, but on nothing there but the order of times. So
// where chunks are passed on, samples at times made up stand in for theirs.
func (m *ChunkMerger) mergeChain(dst []Chunk) ([]Chunk, error) {
	to := len(m.stretches)
	for to > 0 && m.stretches[to-1].pass {
		to--
	}
	m.iterables = m.iterables[:0]
	m.sources = m.sources[:0]
	for replica := range m.lists {
		if len(m.lists[replica]) > 0 {
			m.iterables = append(m.iterables, m.relay(replica, to))
		}
	}
	m.reuse = m.alg.Merge(m.reuse, Untyped, m.iterables...)
	it, at := m.reuse, 0
	out := dst
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		for t := it.AtT(); m.stretches[at].maxTime < t; at++ {
			out = m.flush(out, at)
		}
		if m.stretches[at].pass {
			continue
		}
		if err := m.sample(vt, it); err != nil {
			return dst, err
		}
	}
	if err := it.Err(); err != nil {
		return dst, err
	}
	for ; at < len(m.stretches); at++ {
		out = m.flush(out, at)
	}
	return out, nil
}

// flush appends the chunks of stretch i.
func (m *ChunkMerger) flush(dst []Chunk, i int) []Chunk {
	if m.stretches[i].pass {
		return m.passOn(dst, i)
	}
	return appendEncoded(dst, m.encoder.Chunks())
}

// relay is a replica of which some chunks are iterated, and something stands in for
// the others.
type relay struct {
	src   *chunkSource
	parts []relayPart
	next  int // the part to be begun next
	left  int // samples that stand in, to come
	cur   *relayPart
	t     int64 // of the current sample that stands in
	all   []Chunk
	ts    [1]int64 // a run of one that stands in
	vs    [1]float64
}

// relayPart is the chunks of a replica in one stretch: those from one to another,
// or n floats that stand in for them.
type relayPart struct {
	from, to         int
	n                int
	minTime, maxTime int64
}

// relay returns a replica up to a stretch, exclusive.
func (m *ChunkMerger) relay(replica, to int) *relay {
	for len(m.relays) <= len(m.iterables) {
		m.relays = append(m.relays, &relay{})
	}
	r := m.relays[len(m.iterables)]
	r.parts, r.all = r.parts[:0], m.lists[replica]
	next := 0 // the first chunk after
	for i := range to {
		s := &m.stretches[i]
		from, end := len(r.all), 0
		for _, p := range m.of(s) {
			if p.replica == replica {
				from, end = min(from, p.index), max(end, p.index+1)
			}
		}
		if from >= end {
			continue
		}
		part := relayPart{from: from, to: end}
		if s.pass {
			m.standIn(&part, s)
		}
		r.parts = append(r.parts, part)
		next = end
	}
	if next < len(r.all) { // A replica that goes on has its place among the others.
		t := r.all[next].MinTime
		r.parts = append(r.parts, relayPart{from: next, to: next, n: 1, minTime: t, maxTime: t})
	}
	r.src = m.source(replica, nil)
	m.sources = append(m.sources, r.src)
	return r
}

// standIn has samples stand in for those of a uniform stretch. Of one replica, or
// of two, one does as well as many: after it, all are in the same order. More take
// turns, so that it matters how many there are.
func (m *ChunkMerger) standIn(p *relayPart, s *stretch) {
	c := m.of(s)[0].Chunk
	p.n, p.minTime, p.maxTime = 1, c.MinTime, c.MaxTime
	if s.replicas > 1 && m.present > 2 {
		if n, err := recode.Samples(c.Encoding, c.Data); err == nil {
			p.n = n
		}
		if room := uint64(c.MaxTime - c.MinTime); room < math.MaxUint16 {
			p.n = min(p.n, int(room)+1)
		}
	}
}

// Iterator implements chunkenc.Iterable. There is only one at a time.
func (r *relay) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	r.next, r.left, r.cur = 0, 0, nil
	r.src.reset(r.src.replica, nil, r.src.decoded)
	return r
}

// Next implements chunkenc.Iterator.
func (r *relay) Next() chunkenc.ValueType {
	for {
		if r.left > 0 {
			r.left--
			p := r.cur
			if r.t = p.maxTime; r.left > 0 || p.n == 1 {
				r.t = p.minTime + int64(p.n-1-r.left)
			}
			return chunkenc.ValFloat
		}
		if vt := r.src.Next(); vt != chunkenc.ValNone || r.src.err != nil || r.next == len(r.parts) {
			return vt
		}
		r.cur = &r.parts[r.next]
		r.next++
		r.left = r.cur.n
		r.src.reset(r.src.replica, r.all[r.cur.from:r.cur.from], r.src.decoded)
		if r.cur.n == 0 {
			r.src.reset(r.src.replica, r.all[r.cur.from:r.cur.to], r.src.decoded)
		}
	}
}

// standsIn reports whether the current sample stands in for another.
func (r *relay) standsIn() bool { return r.cur != nil && r.cur.n > 0 }

// Seek implements chunkenc.Iterator.
func (r *relay) Seek(t int64) chunkenc.ValueType {
	for vt := r.Next(); ; vt = r.Next() {
		if vt == chunkenc.ValNone || r.AtT() >= t {
			return vt
		}
	}
}

// AtT implements chunkenc.Iterator.
func (r *relay) AtT() int64 {
	if r.standsIn() {
		return r.t
	}
	return r.src.AtT()
}

// At implements chunkenc.Iterator.
func (r *relay) At() (int64, float64) {
	if r.standsIn() {
		return r.t, 0
	}
	return r.src.At()
}

// FloatRun implements FloatRunner.
func (r *relay) FloatRun() ([]int64, []float64) {
	if r.standsIn() {
		r.ts[0] = r.t
		return r.ts[:], r.vs[:]
	}
	return r.src.FloatRun()
}

// AtHistogram implements chunkenc.Iterator. Only floats stand in.
func (r *relay) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	return r.src.AtHistogram(h)
}

// AtFloatHistogram implements chunkenc.Iterator.
func (r *relay) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return r.src.AtFloatHistogram(h)
}

// Err implements chunkenc.Iterator.
func (r *relay) Err() error { return r.src.err }

// AtST returns 0, as that of a chunkSource.
func (*relay) AtST() int64 { return 0 }
