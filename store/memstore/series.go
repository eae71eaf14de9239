package memstore

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/store"
)

// samplesPerChunk is where Prometheus' head cuts chunks too.
const samplesPerChunk = 120

// series is one series at all its resolutions.
type series struct {
	lset labels.Labels
	// levels are by ascending resolution. One without chunks does not exist.
	levels []level
	// head is the chunk that is being appended to, the last one of the raw
	// level; its chunk is nil if there is none.
	head head
}

// level is a series at one resolution.
type level struct {
	resolution time.Duration // 0 for raw data
	// chunks ascend by MinTime and then MaxTime.
	chunks []store.Chunk
	// maxt is the greatest MaxTime.
	maxt int64
}

type head struct {
	chunk chunkenc.Chunk
	app   *promcompat.Appender
	kind  chunkenc.ValueType
}

// sample is a value of one of the three kinds.
type sample struct {
	t    int64
	kind chunkenc.ValueType
	f    float64
	h    *histogram.Histogram
	fh   *histogram.FloatHistogram
}

// append adds a sample that is later than all raw data of the series.
func (s *series) append(x sample) error {
	if len(s.levels) > 0 && s.levels[0].resolution == 0 && x.t <= s.levels[0].maxt {
		return fmt.Errorf("%w: %d after %d", ErrOutOfOrder, x.t, s.levels[0].maxt)
	}
	next, prev := s.head, (*promcompat.Appender)(nil)
	fresh := next.chunk == nil || next.kind != x.kind || next.chunk.NumSamples() >= samplesPerChunk
	if fresh {
		prev = s.head.app // tells the new chunk whether its counter was reset
		c, err := promcompat.NewChunk(x.kind)
		if err != nil {
			return err
		}
		app, err := promcompat.NewAppender(c)
		if err != nil {
			return err
		}
		next = head{c, app, x.kind}
	}
	c, recoded, err := next.append(prev, x)
	if err != nil {
		return err
	}
	if c != nil { // the sample did not fit the chunk's layout
		next.chunk, fresh = c, !recoded
	}
	s.head = next
	raw := s.level(0)
	if fresh {
		raw.chunks = append(raw.chunks, store.Chunk{MinTime: x.t})
	}
	last := &raw.chunks[len(raw.chunks)-1]
	last.MaxTime, raw.maxt = x.t, x.t
	last.Raw = store.ChunkData{Encoding: next.chunk.Encoding(), Bytes: next.chunk.Bytes()}
	return nil
}

// append appends to the chunk, or returns the chunk that the sample is in
// instead.
func (h *head) append(prev *promcompat.Appender, x sample) (c chunkenc.Chunk, recoded bool, err error) {
	switch x.kind {
	case chunkenc.ValHistogram:
		return h.app.AppendHistogram(prev, x.t, x.h, false)
	case chunkenc.ValFloatHistogram:
		return h.app.AppendFloatHistogram(prev, x.t, x.fh, false)
	default:
		h.app.Append(x.t, x.f)
		return nil, false, nil
	}
}

// addChunks adds chunks to the level of a resolution. It keeps them.
func (s *series) addChunks(resolution time.Duration, chunks []store.Chunk) {
	l := s.level(resolution)
	for _, c := range chunks {
		if len(l.chunks) == 0 || c.MaxTime > l.maxt {
			l.maxt = c.MaxTime
		}
		l.chunks = append(l.chunks, c)
	}
	slices.SortStableFunc(l.chunks, compareChunks)
	if resolution == 0 {
		s.head = head{} // its chunk need not be the last any more
	}
}

// level returns the level of a resolution, making it if need be. The pointer
// is valid until the next call.
func (s *series) level(resolution time.Duration) *level {
	i, ok := slices.BinarySearchFunc(s.levels, resolution, func(l level, r time.Duration) int { return cmp.Compare(l.resolution, r) })
	if !ok {
		s.levels = slices.Insert(s.levels, i, level{resolution: resolution})
	}
	return &s.levels[i]
}

// bounds returns the bounds of the data at all resolutions.
func (s *series) bounds() (mint, maxt int64) {
	for i, l := range s.levels {
		if i == 0 {
			mint, maxt = l.chunks[0].MinTime, l.maxt
			continue
		}
		mint, maxt = min(mint, l.chunks[0].MinTime), max(maxt, l.maxt)
	}
	return mint, maxt
}

// hasData reports whether the series has data in the range, at any resolution.
func (s *series) hasData(mint, maxt int64) bool {
	return slices.ContainsFunc(s.levels, func(l level) bool {
		return slices.ContainsFunc(l.chunks, func(c store.Chunk) bool { return c.MinTime <= maxt && c.MaxTime >= mint })
	})
}
