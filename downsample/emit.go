package downsample

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// floatWork is what floats of a series are worked on with: its samples, or one
// aggregate of some of its chunks.
type floatWork struct {
	ts []int64
	vs []float64
	// columns are the windows of one chunk, by aggregate.
	columns [aggr.Kinds]column
}

// column is an aggregate of the windows of a chunk.
type column struct {
	ts      []int64
	vs      []float64
	encoded []byte
}

func (c *column) add(t int64, v float64) {
	c.ts, c.vs = append(c.ts, t), append(c.vs, v)
}

// resize makes room for n windows, those that are there stay.
func (c *column) resize(n int) {
	c.ts, c.vs = slices.Grow(c.ts[:0], n)[:n], slices.Grow(c.vs[:0], n)[:n]
}

// set puts what add appends where there is room.
func (c *column) set(i int, t int64, v float64) { c.ts[i], c.vs[i] = t, v }

func (c *column) reset() { c.ts, c.vs = c.ts[:0], c.vs[:0] }

// emitColumns encodes the columns into a chunk. There is none if there is no
// window.
func (d *Downsampler) emitColumns() error {
	var c aggr.Chunk
	minTime, maxTime := int64(math.MaxInt64), int64(math.MinInt64)
	for k := range d.floats.columns {
		col := &d.floats.columns[k]
		n := len(col.ts)
		if n == 0 {
			continue
		}
		if n > xor.MaxSamples {
			return fmt.Errorf("%w: %d samples of %s", errMalformed, n, aggr.Kind(k))
		}
		col.encoded = xor.Encode(col.encoded[:0], col.ts, col.vs)
		c[k] = aggr.Sub{Encoding: chunkenc.EncXOR, Data: col.encoded}
		first := col.ts[0]
		if aggr.Kind(k) == aggr.CounterKind {
			first = col.ts[1] // the one before is a sample, no window
		}
		minTime, maxTime = min(minTime, first), max(maxTime, col.ts[n-1])
	}
	if minTime <= maxTime {
		d.emit(minTime, maxTime, &c)
	}
	return nil
}

// arenaSize is the least that is asked for at once.
const arenaSize = 64 << 10

// emit appends a chunk whose parts are copied.
func (d *Downsampler) emit(minTime, maxTime int64, c *aggr.Chunk) {
	size := 0
	for _, s := range c {
		size += binary.MaxVarintLen32 + 1 + len(s.Data)
	}
	if cap(d.arena)-len(d.arena) < size {
		// What is in the old one stays there.
		d.arena = make([]byte, 0, max(arenaSize, 2*cap(d.arena), size))
	}
	n := len(d.arena)
	d.arena = c.Append(d.arena)
	d.out = append(d.out, block.Chunk{
		MinTime: minTime, MaxTime: maxTime,
		Encoding: block.EncodingAggregates, Data: d.arena[n:len(d.arena):len(d.arena)],
	})
}
