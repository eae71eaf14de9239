package block

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/recode"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// sampleDecoder decodes chunks to see whether they can be. Its memory is used
// again.
type sampleDecoder struct {
	ts []int64
	vs []float64
	it chunkenc.Iterator
}

// encodingName is the name of an encoding, that of aggregates among them.
func encodingName(e chunkenc.Encoding) string {
	if e == EncodingAggregates {
		return "aggregate"
	}
	return e.String()
}

// check decodes a chunk. It returns what is wrong with the times of its samples,
// or nothing, and an error if there is no telling.
func (d *sampleDecoder) check(c *Chunk) (string, error) {
	plain, err := c.Plain()
	if err != nil {
		return "", err
	}
	for kind, p := range plain {
		if p == nil {
			continue
		}
		if err := d.times(p); err != nil {
			return "", err
		}
		name := ""
		counter := false
		if c.Encoding == EncodingAggregates {
			name = aggr.Kind(kind).String() + ": "
			counter = aggr.Kind(kind) == aggr.CounterKind
		}
		if len(d.ts) != p.NumSamples() {
			return "", fmt.Errorf("%s%d samples, the chunk says %d", name, len(d.ts), p.NumSamples())
		}
		if detail := checkTimes(d.ts, c, counter); detail != "" {
			return name + detail, nil
		}
	}
	return "", nil
}

// checkTimes looks at the times of a chunk's samples. A counter aggregate begins
// with the first raw sample, at or before its window, and has the last raw one at
// the time of the last window again.
func checkTimes(ts []int64, c *Chunk, counter bool) string {
	for i := 1; i < len(ts); i++ {
		if ts[i] < ts[i-1] || ts[i] == ts[i-1] && !counter {
			return fmt.Sprintf("sample at %d follows one at %d", ts[i], ts[i-1])
		}
	}
	if len(ts) == 0 || counter {
		return ""
	}
	first, last := ts[0], ts[len(ts)-1]
	exact := c.Encoding != EncodingAggregates
	if first < c.MinTime || last > c.MaxTime || exact && (first != c.MinTime || last != c.MaxTime) {
		return fmt.Sprintf("samples of [%d, %d], the index says [%d, %d]", first, last, c.MinTime, c.MaxTime)
	}
	return ""
}

// times decodes the times of a chunk's samples into ts.
func (d *sampleDecoder) times(c chunkenc.Chunk) (err error) {
	d.ts, d.vs = d.ts[:0], d.vs[:0]
	if c.Encoding() == chunkenc.EncXOR {
		d.ts, d.vs, err = xor.Decode(c.Bytes(), math.MaxInt64, d.ts, d.vs)
		return err
	}
	it := d.it
	d.it = nil // what is left of one that panicked is not used again
	err = recode.Safely(func() error {
		it = c.Iterator(it)
		for it.Next() != chunkenc.ValNone {
			d.ts = append(d.ts, it.AtT())
		}
		return it.Err()
	})
	if err == nil {
		d.it = it
	}
	return err
}
