package bucketstore

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// loadedBlock is a block that the Store answers from, or cannot answer from.
//
// The Store holds one reference and each call that reads the block another one.
// With the last one the local files go.
type loadedBlock struct {
	meta     *block.Meta
	labels   labels.Labels // external labels
	segments []block.File  // nil if meta.json does not name them
	sizes    chunkSizes
	header   *indexheader.Lazy
	index    *indexBlock
	// broken is why the block cannot be read; nil if it can.
	broken error

	mu      sync.Mutex
	refs    int
	dropped func() // with the last reference
}

func newLoadedBlock(m *block.Meta, h *indexheader.Lazy) *loadedBlock {
	return &loadedBlock{
		meta: m, labels: m.Labels(), segments: m.Segments(), sizes: newChunkSizes(m),
		header: h, index: newIndexBlock(m, h), refs: 1,
	}
}

// retain adds a reference.
func (b *loadedBlock) retain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refs++
}

// release drops a reference.
func (b *loadedBlock) release() {
	b.mu.Lock()
	b.refs--
	gone := b.refs == 0
	b.mu.Unlock()
	if gone && b.dropped != nil {
		b.dropped()
	}
}

// overlaps reports whether the block may have data in a range in ms, both ends
// inclusive.
func (b *loadedBlock) overlaps(mint, maxt int64) bool {
	return b.meta.MinTime <= maxt && mint < b.meta.MaxTime
}

// segment returns the file of the i-th segment; see block.Meta.SegmentFile.
func (b *loadedBlock) segment(i int) (block.File, bool) {
	if b.segments == nil {
		return block.File{RelPath: block.SegmentName(i)}, i >= 0
	}
	if i < 0 || i >= len(b.segments) {
		return block.File{}, false
	}
	return b.segments[i], true
}

// matches reports whether the block's external labels and ULID match. Labels that
// it does not have are empty; block.BlockIDLabel is its ULID.
func (b *loadedBlock) matches(ms []*labels.Matcher) bool {
	for _, m := range ms {
		v := b.labels.Get(m.Name)
		if m.Name == block.BlockIDLabel {
			v = b.meta.ULID.String()
		}
		if !m.Matches(v) {
			return false
		}
	}
	return true
}
