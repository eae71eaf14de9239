package dedup

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/internal/aggr"
)

// piece is one chunk of one replica.
type piece struct {
	*Chunk
	replica, index int
}

// stretch is a range of time in which chunks overlap one after another, or a single
// one lies alone.
type stretch struct {
	from, to         int   // among the pieces
	minTime, maxTime int64 // ms; of aggregates whole windows
	aggregates       bool
	// uniform is whether all replicas that have something here have the same chunks,
	// none of which overlap. The first of them are of as many replicas.
	uniform  bool
	replicas int
	// pass is whether the chunks are passed on, since they come out as they are.
	pass bool
}

// gather lists the pieces in order of time and divides them into stretches.
func (m *ChunkMerger) gather(replicas [][]Chunk) error {
	m.pieces, m.stretches, m.lists = m.pieces[:0], m.stretches[:0], m.lists[:0]
	m.present = 0
	for r, chunks := range replicas {
		if !slices.IsSortedFunc(chunks, byMinTime) {
			chunks = slices.Clone(chunks)
			slices.SortStableFunc(chunks, byMinTime)
		}
		m.lists = append(m.lists, chunks)
		if len(chunks) > 0 {
			m.present++
		}
		for i := range chunks {
			c := &chunks[i]
			if c.MinTime > c.MaxTime {
				return newChunkError(r, c, fmt.Errorf("%w: it ends before it begins", ErrMalformedChunk))
			}
			m.pieces = append(m.pieces, piece{Chunk: c, replica: r, index: i})
		}
	}
	if m.present > 1 {
		slices.SortFunc(m.pieces, func(a, b piece) int {
			if c := cmp.Compare(a.MinTime, b.MinTime); c != 0 {
				return c
			}
			return cmp.Or(cmp.Compare(a.replica, b.replica), cmp.Compare(a.index, b.index))
		})
	}
	for i := range m.pieces {
		if err := m.stretch(i); err != nil {
			return err
		}
	}
	for i := range m.stretches {
		s := &m.stretches[i]
		s.replicas, s.uniform = uniform(m.pieces[s.from:s.to])
	}
	return nil
}

func byMinTime(a, b Chunk) int { return cmp.Compare(a.MinTime, b.MinTime) }

// stretch adds piece i to the last stretch, or begins another.
func (m *ChunkMerger) stretch(i int) error {
	p := m.pieces[i]
	minTime, maxTime := p.MinTime, p.MaxTime
	aggregates := p.Encoding == aggr.Encoding
	if aggregates && m.present > 1 {
		minTime, maxTime = wholeWindows(minTime, maxTime, m.resolution())
	}
	if n := len(m.stretches); n > 0 && minTime <= m.stretches[n-1].maxTime {
		s := &m.stretches[n-1]
		if s.aggregates != aggregates {
			return newChunkError(p.replica, p.Chunk, fmt.Errorf("%w: aggregates and samples overlap", ErrMalformedChunk))
		}
		s.to, s.maxTime = i+1, max(s.maxTime, maxTime)
		return nil
	}
	m.stretches = append(m.stretches, stretch{from: i, to: i + 1, minTime: minTime, maxTime: maxTime, aggregates: aggregates})
	return nil
}

// wholeWindows widens a range to the aligned windows in which it begins and ends, as
// far as a time can tell.
func wholeWindows(minTime, maxTime, resolution int64) (from, to int64) {
	from, to = alignedWindow(minTime, resolution)*resolution, alignedWindow(maxTime, resolution)*resolution+resolution-1
	if from > minTime {
		from = math.MinInt64
	}
	if to < maxTime {
		to = math.MaxInt64
	}
	return from, to
}

// uniform reports whether pieces are the same chunks, without overlap, of each of
// so many replicas.
func uniform(pieces []piece) (replicas int, ok bool) {
	for replicas = 1; replicas < len(pieces) && same(pieces[0].Chunk, pieces[replicas].Chunk); replicas++ {
	}
	for i := replicas; i < len(pieces); i++ {
		p, first := pieces[i], pieces[i-i%replicas]
		if p.replica != pieces[i%replicas].replica || !same(p.Chunk, first.Chunk) {
			return 1, false
		}
		if i%replicas == 0 && p.MinTime <= pieces[i-1].MaxTime {
			return 1, false
		}
	}
	return replicas, len(pieces)%replicas == 0
}

func same(a, b *Chunk) bool {
	return a.MinTime == b.MinTime && a.MaxTime == b.MaxTime && a.Encoding == b.Encoding && bytes.Equal(a.Data, b.Data)
}

// of returns the pieces of a stretch.
func (m *ChunkMerger) of(s *stretch) []piece { return m.pieces[s.from:s.to] }

// sameReplicas reports whether two uniform stretches are of the same replicas.
func (m *ChunkMerger) sameReplicas(a, b *stretch) bool {
	p, q := m.of(a)[:a.replicas], m.of(b)[:b.replicas]
	for len(p) > 0 && len(q) > 0 {
		if p[0].replica != q[0].replica {
			return false
		}
		p, q = nextReplica(p), nextReplica(q)
	}
	return len(p) == len(q)
}

// nextReplica leaves out the pieces of the first replica.
func nextReplica(pieces []piece) []piece {
	n := 1
	for n < len(pieces) && pieces[n].replica == pieces[0].replica {
		n++
	}
	return pieces[n:]
}

// What Follow, as its comment says, goes by: the samples of four windows, and
// nobody for longer than one.
const (
	followMemory  = 4 * int64(FollowWindow/time.Millisecond)
	followSilence = int64(FollowWindow / time.Millisecond)
)

// plan decides which stretches are passed on.
func (m *ChunkMerger) plan(alg Algorithm) {
	switch alg.(type) {
	case Follow:
		if m.present > 1 {
			m.planFollow()
			return
		}
	case Chain:
	default:
		// Of others no more is known than that they leave identical replicas alone.
		if _, penalty := alg.(Penalty); m.present > 1 && (!penalty || !m.identical()) {
			return
		}
	}
	for i := range m.stretches {
		s := &m.stretches[i]
		s.pass = s.uniform
	}
}

// identical reports whether all replicas that have chunks have the same.
func (m *ChunkMerger) identical() bool {
	for i := range m.stretches {
		if s := &m.stretches[i]; !s.uniform || m.countReplicas(s) != m.present {
			return false
		}
	}
	return true
}

// countReplicas returns of how many replicas a uniform stretch is.
func (m *ChunkMerger) countReplicas(s *stretch) int {
	n := 0
	for p := m.of(s)[:s.replicas]; len(p) > 0; p = nextReplica(p) {
		n++
	}
	return n
}

// planFollow passes on what Follow leaves alone: stretches of the same replicas
// with the same chunks, once what was before is forgotten.
func (m *ChunkMerger) planFollow() {
	since, fresh := int64(0), false // of the present row of alike stretches
	for i := range m.stretches {
		s := &m.stretches[i]
		if !s.uniform {
			continue
		}
		scale := m.scale(s)
		if i == 0 || !m.stretches[i-1].uniform || m.stretches[i-1].aggregates != s.aggregates || !m.sameReplicas(&m.stretches[i-1], s) {
			since = s.minTime
			fresh = i == 0 || s.minTime-m.stretches[i-1].maxTime >= followSilence*scale
		}
		s.pass = fresh || s.minTime-since > followMemory*scale
	}
}

// scale is how much longer time is in a stretch of aggregates than what it is
// merged by.
func (m *ChunkMerger) scale(s *stretch) int64 {
	if s.aggregates {
		return max(1, m.resolution()/unitTime)
	}
	return 1
}
