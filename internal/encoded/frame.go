package encoded

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Series is a view of one series of a [Frame], or of a part of one: a series
// may continue in the next entry, never later.
type Series struct {
	// Labels is the label set in canonical wire form.
	Labels []byte
	// Chunks are in the order in which they were sent.
	Chunks []Chunk
	// From is how Labels departs from those of the series before it in the frame,
	// if Frame.Departs says so.
	From Departure
}

// Chunk is a view of one chunk: raw data, or aggregates.
type Chunk struct {
	// MinTime and MaxTime are in milliseconds, both inclusive.
	MinTime, MaxTime int64
	// Raw is the chunk as scraped; its Encoding is EncNone if there is none.
	Raw Data
	// Aggregates are the chunks of downsampled data, nil for raw data.
	Aggregates *Aggregates
	// Wire is the body of the chunk's AggrChunk message, or nil if the chunk
	// did not come from the wire. It says the same as the other fields.
	Wire []byte
}

// Data is the bytes of a Prometheus chunk, without length or checksum.
type Data struct {
	Encoding chunkenc.Encoding
	Bytes    []byte
}

// Aggregates are the chunks of one downsampled chunk; an absent one has
// EncNone.
type Aggregates struct {
	Count, Sum, Min, Max, Counter Data
}

// Writer is implemented by a store.SeriesWriter that takes frames.
//
// SendFrame is called as Send is: by the goroutine that runs the call, never
// concurrently, in order with Send and Warn. The frame is borrowed.
type Writer interface {
	SendFrame(f *Frame) error
}

// Frame is a run of series whose bytes share one lifetime.
//
// The holder that made it owns one reference. Retain and Release are safe for
// concurrent use; the fields are not to be changed once the frame was handed
// on.
type Frame struct {
	// Series are sorted, as in the stream that the frame is a part of.
	Series []Series
	// Departs says that From of each series but the first is set. Whoever set it
	// has compared them, and found them in order.
	Departs bool
	// Size is the memory in bytes that the frame keeps alive.
	Size int

	refs atomic.Int32
	free func(*Frame)
}

// NewFrame returns an empty frame with one reference. free, if not nil, is
// called when the last reference is released and may reuse the frame's memory.
func NewFrame(free func(*Frame)) *Frame {
	f := &Frame{free: free}
	f.refs.Store(1)
	return f
}

// Reset makes a frame whose last reference was released ready for use again,
// with one reference, no series and no size. The slice of series is kept.
func (f *Frame) Reset() {
	clear(f.Series)
	f.Series, f.Departs, f.Size = f.Series[:0], false, 0
	f.refs.Store(1)
}

// Retain adds a reference.
func (f *Frame) Retain() {
	if f.refs.Add(1) < 2 {
		panic("encoded: frame retained after its last release") //nolint:forbidigo // Going on would read memory that is somebody else's.
	}
}

// Release drops a reference; the last one frees the frame.
func (f *Frame) Release() {
	switch n := f.refs.Add(-1); {
	case n == 0 && f.free != nil:
		f.free(f)
	case n < 0:
		panic("encoded: frame released more often than retained") //nolint:forbidigo // As above.
	}
}

// Size is the bytes of the series' labels and of the data of its chunks.
func (s *Series) Size() int {
	n := len(s.Labels)
	for i := range s.Chunks {
		n += s.Chunks[i].Size()
	}
	return n
}

// Size is the bytes of the chunk's data.
func (c *Chunk) Size() int {
	n := len(c.Raw.Bytes)
	if a := c.Aggregates; a != nil {
		n += len(a.Count.Bytes) + len(a.Sum.Bytes) + len(a.Min.Bytes) + len(a.Max.Bytes) + len(a.Counter.Bytes)
	}
	return n
}
