package wire

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// anySeries decodes the body of a Series in whatever valid form it is, after
// usualSeries gave up on it.
func (d *Decoder) anySeries(b []byte, s *encoded.Series) error {
	if n := d.rewindSeries(); d.Limits != nil {
		d.Limits.Chunks -= int64(n)
	}
	d.set.reset()
	d.set.views = slices.Grow(d.set.views, countFields(b, 1))
	bad := chunkenc.EncNone
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			m.sub(d.set.add)
		case 2:
			m.sub(func(b []byte) error {
				c, err := d.addChunk(b)
				if err != nil {
					return err
				}
				if err := d.anyChunk(b, c); err != nil {
					return err
				}
				if e := unsupported(c); bad == chunkenc.EncNone {
					bad = e
				}
				return nil
			})
		}
	}
	if m.err != nil {
		return m.err
	}
	var err error
	from := len(d.labels)
	if d.labels, err = d.set.append(d.labels); err != nil {
		return err
	}
	s.Labels = d.labels[from:len(d.labels):len(d.labels)]
	s.Chunks = d.seriesChunks()
	if bad != chunkenc.EncNone {
		sb := labels.NewScratchBuilder(0)
		return &store.EncodingError{Encoding: bad, Series: encoded.Labels(s.Labels, &sb)}
	}
	return nil
}

// anyChunk decodes the body of an AggrChunk into c. Repeated fields merge.
func (d *Decoder) anyChunk(b []byte, c *encoded.Chunk) error {
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			c.MinTime = m.int64()
		case 2:
			c.MaxTime = m.int64()
		case 3, 4, 5, 6, 7, 8:
			m.sub(func(b []byte) error { return anyData(b, d.dataOf(c, m.num)) })
		}
	}
	return m.err
}

// dataOf returns where the data of an AggrChunk's field goes; the fields are
// raw, count, sum, min, max and counter, from 3 on.
func (d *Decoder) dataOf(c *encoded.Chunk, num protowire.Number) *encoded.Data {
	if num == 3 {
		return &c.Raw
	}
	a := d.aggregates(c)
	switch num {
	case 4:
		return &a.Count
	case 5:
		return &a.Sum
	case 6:
		return &a.Min
	case 7:
		return &a.Max
	}
	return &a.Counter
}

// anyData decodes the body of a Chunk. What is there has an encoding, which is
// XOR if none is given.
func anyData(b []byte, into *encoded.Data) error {
	if into.Encoding == chunkenc.EncNone {
		into.Encoding = chunkenc.EncXOR
	}
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			into.Encoding = encodingOf(m.enum())
		case 2:
			into.Bytes = m.bytes()
		case 3: // hash
			m.uint64()
		}
	}
	return m.err
}

// encodingOf maps enum Chunk.Encoding, which is one less than chunkenc's. What
// the StoreAPI does not know becomes an encoding that it does not know either.
func encodingOf(x int32) chunkenc.Encoding {
	if x < 0 || x >= unknownEncoding {
		return unknownEncoding
	}
	return chunkenc.Encoding(x + 1)
}

// unknownEncoding stands for numbers that chunkenc cannot hold.
const unknownEncoding = 0xff

// lastEncoding is the last that the StoreAPI carries; XOR, the first, is 1.
const lastEncoding = chunkenc.EncFloatHistogram

// unsupported returns the first encoding in c that the StoreAPI does not carry,
// EncNone if there is none.
func unsupported(c *encoded.Chunk) chunkenc.Encoding {
	if c.Raw.Encoding > lastEncoding {
		return c.Raw.Encoding
	}
	if a := c.Aggregates; a != nil {
		for _, d := range []*encoded.Data{&a.Count, &a.Sum, &a.Min, &a.Max, &a.Counter} {
			if d.Encoding > lastEncoding {
				return d.Encoding
			}
		}
	}
	return chunkenc.EncNone
}
