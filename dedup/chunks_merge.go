package dedup

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/recode"
)

// Merge appends to dst the chunks of the merged series, in ascending order and
// without overlap.
//
// Input: replicas in the order in which Algorithm gets them, that of
// Replicas.Compare; the chunks of each ascend by MinTime. Those of one replica may
// overlap, as out-of-order samples do: all of its samples count then, of several
// at one time that of the chunk that comes first. Nothing is changed, nor read later.
// Output: what Algorithm.Merge makes of the replicas' samples over their whole
// range. Chunks that come out of that as they are, are passed on: those that share
// their range with no other, or with identical ones only (same range, encoding and
// bytes), as far as Algorithm leaves such alone. Data of chunks that are encoded
// anew, of up to 120 samples, is the caller's until Reset.
// Errors: *ChunkError for a chunk that had to be decoded and cannot be, or whose
// samples are not within its range. dst is then returned as it was.
func (m *ChunkMerger) Merge(dst []Chunk, replicas ...[]Chunk) ([]Chunk, error) {
	m.alg = ByValue(m.Algorithm)
	if m.alg == nil {
		m.alg = Follow{}
	}
	if err := m.gather(replicas); err != nil {
		return dst, err
	}
	m.plan(m.alg)
	if m.decodeAll {
		for i := range m.stretches {
			m.stretches[i].pass = false
		}
	}
	m.encoder.Chunks() // what an error left
	if _, chain := m.alg.(Chain); chain && m.present > 1 && !m.anyAggregates() {
		return m.mergeChain(dst)
	}
	out := dst
	for i := 0; i < len(m.stretches); {
		if m.stretches[i].pass {
			out = m.passOn(out, i)
			i++
			continue
		}
		to := i + 1
		for to < len(m.stretches) && !m.stretches[to].pass && m.stretches[to].aggregates == m.stretches[i].aggregates {
			to++
		}
		var err error
		if m.stretches[i].aggregates {
			out, err = m.mergeAggregates(out, i, to)
		} else {
			out, err = m.mergeSamples(out, i, to)
		}
		if err != nil {
			return dst, err
		}
		i = to
	}
	return out, nil
}

// Reset takes back the memory of all chunks that Merge has encoded anew, to be used
// again. Without it they stay what they are for ever, and the garbage collector sees
// to their memory.
func (m *ChunkMerger) Reset() { m.encoder.Reset() }

func (m *ChunkMerger) anyAggregates() bool {
	return slices.ContainsFunc(m.stretches, func(s stretch) bool { return s.aggregates })
}

func (m *ChunkMerger) resolution() int64 {
	if r := int64(m.Resolution / time.Millisecond); r > 0 {
		return r
	}
	return defaultResolution
}

const defaultResolution = int64(5 * time.Minute / time.Millisecond)

// passOn appends the chunks of stretch i as they are. What one of histograms says
// about a counter reset before it is left as well: as chunks come and go, nobody
// who reads them believes it.
func (m *ChunkMerger) passOn(dst []Chunk, i int) []Chunk {
	s := &m.stretches[i]
	pieces := m.of(s)
	for k := 0; k < len(pieces); k += s.replicas {
		dst = append(dst, *pieces[k].Chunk)
	}
	return dst
}

// mergeSamples appends the chunks that the algorithm makes of the samples of
// stretches i to to, exclusive. The stretches before of which it may know are
// decoded with them.
func (m *ChunkMerger) mergeSamples(dst []Chunk, i, to int) ([]Chunk, error) {
	warm := m.warmUp(i)
	m.open(warm, to)
	from := m.stretches[i].minTime
	if m.present == 1 {
		return m.encode(dst, m.sources[0], from)
	}
	m.iterables = m.iterables[:0]
	for _, s := range m.sources {
		m.iterables = append(m.iterables, s)
	}
	m.reuse = m.alg.Merge(m.reuse, Untyped, m.iterables...)
	return m.encode(dst, m.reuse, from)
}

// warmUp returns the first stretch that the algorithm has to know to decide on
// stretch i.
func (m *ChunkMerger) warmUp(i int) int {
	s := &m.stretches[i]
	_, follow := m.alg.(Follow)
	switch {
	case m.present == 1:
		return i
	case !follow && s.aggregates && i > 0 && m.stretches[i-1].aggregates:
		return i - 1 // to know the counter there
	case !follow:
		return i
	}
	memory := followMemory * m.scale(s)
	warm := i
	for warm > 0 && m.stretches[warm-1].aggregates == s.aggregates && s.minTime-m.stretches[warm-1].maxTime <= memory {
		warm--
	}
	return warm
}

// open opens the replicas' chunks of stretches from to to, exclusive. A replica
// that has none there is left out.
func (m *ChunkMerger) open(from, to int) {
	m.ranges = m.ranges[:0]
	for range m.lists {
		m.ranges = append(m.ranges, [2]int{-1, -1})
	}
	for _, p := range m.pieces[m.stretches[from].from:m.stretches[to-1].to] {
		r := &m.ranges[p.replica]
		if r[0] < 0 || p.index < r[0] {
			r[0] = p.index
		}
		r[1] = max(r[1], p.index+1)
	}
	m.sources = m.sources[:0]
	for replica, r := range m.ranges {
		if r[0] < 0 {
			continue
		}
		m.sources = append(m.sources, m.source(replica, m.lists[replica][r[0]:r[1]]))
	}
}

// source returns a source in memory that was used before, if there is some.
func (m *ChunkMerger) source(replica int, chunks []Chunk) *chunkSource {
	for len(m.pool) <= len(m.sources) {
		m.pool = append(m.pool, &chunkSource{})
	}
	s := m.pool[len(m.sources)]
	s.reset(replica, chunks, &m.decoded)
	return s
}

// aheadRunner is a merging iterator of this package that has merged floats ahead of
// the one that it is on. It is no FloatRunner, since a sample may have a start
// timestamp; those of chunks have none.
type aheadRunner interface {
	// takeAhead returns the float that the iterator is on and those that come next,
	// valid until Next is called, and moves on to the last of them. There are none if
	// the one that it is on was not merged ahead.
	takeAhead() (ts []int64, vs []float64)
}

// floatRuns returns what takes the floats that an iterator has at hand, as
// FloatRun does, or none where only the current one is known.
func floatRuns(it chunkenc.Iterator) func() ([]int64, []float64) {
	switch r := it.(type) {
	case FloatRunner:
		return r.FloatRun
	case aheadRunner:
		return r.takeAhead
	default:
		return func() ([]int64, []float64) { return nil, nil }
	}
}

// encode appends the chunks of the samples of it that are not before from.
func (m *ChunkMerger) encode(dst []Chunk, it chunkenc.Iterator, from int64) ([]Chunk, error) {
	run := floatRuns(it)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		switch {
		case vt == chunkenc.ValFloat:
			ts, vs := run()
			if len(ts) == 0 {
				if t, v := it.At(); t >= from {
					m.encoder.Float(t, v)
				}
				break
			}
			n := 0
			for n < len(ts) && ts[n] < from {
				n++
			}
			m.encoder.Floats(ts[n:], vs[n:])
		case it.AtT() < from:
		default:
			if err := m.sample(vt, it); err != nil {
				return dst, err
			}
		}
	}
	err := it.Err()
	chunks := m.encoder.Chunks()
	if err != nil {
		return dst, err
	}
	return appendEncoded(dst, chunks), nil
}

// sample encodes the sample that it is on.
func (m *ChunkMerger) sample(vt chunkenc.ValueType, it chunkenc.Iterator) error {
	switch vt {
	case chunkenc.ValFloat:
		m.encoder.Float(it.At())
		return nil
	case chunkenc.ValHistogram:
		if m.h == nil {
			m.h = &histogram.Histogram{}
		}
		return m.encoder.Histogram(it.AtHistogram(m.h))
	case chunkenc.ValFloatHistogram:
		if m.fh == nil {
			m.fh = &histogram.FloatHistogram{}
		}
		return m.encoder.FloatHistogram(it.AtFloatHistogram(m.fh))
	default:
		return m.encoder.Sample(vt, it)
	}
}

func appendEncoded(dst []Chunk, chunks []recode.Chunk) []Chunk {
	for _, c := range chunks {
		dst = append(dst, Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data})
	}
	return dst
}
