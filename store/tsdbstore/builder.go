package tsdbstore

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

const (
	// frameBytes is what a frame holds before it is sent.
	frameBytes = 64 << 10
	// partBytes is what a frame holds before it is sent in the middle of a
	// series. Thanos cuts series at that size too.
	partBytes = 1 << 20
)

// builder collects series in frames and sends them.
type builder struct {
	req    *store.SeriesRequest
	w      store.SeriesWriter
	frames *framePool

	frame *frame    // what is not sent yet; nil if nothing
	last  frameSize // of the frame before
	added int       // series with data in the range
	metas []chunks.Meta
}

// full reports whether as many series were added as the request wants.
func (b *builder) full() bool { return b.req.Limit > 0 && b.added >= b.req.Limit }

// add adds a series if it has data in the range. it is an iterator to be used
// again, which the result may be the next time.
func (b *builder) add(series storage.ChunkSeries, it chunks.Iterator) (chunks.Iterator, error) {
	lset := series.Labels()
	if s, ok := series.(*sampledSeries); ok && b.req.SkipChunks {
		has, it, err := s.hasData(it)
		switch {
		case err != nil:
			return nil, fmt.Errorf("read samples of %s: %w", lset, err)
		case !has:
			return it, nil
		}
		return it, b.addLabels(lset)
	}
	it = series.Iterator(it)
	begun := false
	for it.Next() {
		var err error
		if b.metas, err = carriable(b.metas[:0], it.At(), lset); err != nil {
			return nil, fmt.Errorf("read chunk of %s: %w", lset, err)
		}
		if begun, err = b.addChunks(lset, begun); err != nil {
			return nil, err
		}
		if begun && b.req.SkipChunks {
			break
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read chunks of %s: %w", lset, err)
	}
	if !begun {
		return it, nil
	}
	return it, b.end()
}

// addLabels adds a series without chunks.
func (b *builder) addLabels(lset labels.Labels) error {
	b.begin(lset)
	return b.end()
}

// end ends a series, and sends the frame if it is full.
func (b *builder) end() error {
	b.added++
	b.frame.end()
	if b.frame.Size >= frameBytes {
		return b.flush()
	}
	return nil
}

// addChunks adds those of b.metas that overlap the range, beginning the series
// with the first. It reports whether the series is begun.
func (b *builder) addChunks(lset labels.Labels, begun bool) (bool, error) {
	for _, m := range b.metas {
		if m.MaxTime < b.req.MinTime || m.MinTime > b.req.MaxTime {
			continue
		}
		switch {
		case !begun:
			b.begin(lset)
			begun = true
		case b.frame.Size >= partBytes:
			b.frame.end()
			if err := b.flush(); err != nil {
				return begun, err
			}
			b.begin(lset)
		}
		if b.req.SkipChunks {
			break
		}
		b.frame.add(m)
	}
	return begun, nil
}

func (b *builder) begin(lset labels.Labels) {
	if b.frame == nil {
		b.frame = b.frames.get(b.last)
	}
	b.frame.begin(lset)
}

// flush sends what is not sent yet.
func (b *builder) flush() error {
	if b.frame == nil {
		return nil
	}
	defer b.drop()
	b.last = b.frame.size()
	return wire.Send(b.w, b.frame.Frame)
}

// drop lets go of what is not sent yet.
func (b *builder) drop() {
	if b.frame != nil {
		b.frame.Release()
		b.frame = nil
	}
}
