package aggr_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
)

func ExampleParse() {
	count := xorChunk(299_999, 20)
	c := aggr.Chunk{aggr.Count: {Encoding: count.Encoding(), Data: count.Bytes()}}

	parsed, err := aggr.Parse(c.Append(nil))
	for kind, sub := range parsed {
		fmt.Println(aggr.Kind(kind), sub.Encoding, len(sub.Data) > 0)
	}
	fmt.Println(err)
	// Output:
	// count XOR true
	// sum none false
	// min none false
	// max none false
	// counter none false
	// <nil>
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"empty":             {},
		"four aggregates":   {0, 0, 0, 0},
		"six aggregates":    {0, 0, 0, 0, 0, 0},
		"length too large":  {3, 1, 0, 0},
		"no encoding":       {1, 0, 7, 0, 0, 0, 0},
		"length overflows":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"length is maximal": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	} {
		_, err := aggr.Parse(b)
		testutil.Assert(t, errors.Is(err, aggr.ErrMalformed), "%s: %v", name, err)
	}
	testutil.Equals(t, "aggregate 7", aggr.Kind(7).String())
}

func FuzzParse(f *testing.F) {
	full := aggr.Chunk{}
	for k := range full {
		full[k] = aggr.Sub{Encoding: chunkenc.EncXOR, Data: []byte{0, byte(k), 1}}
	}
	f.Add(full.Append(nil))
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := aggr.Parse(b)
		if err != nil {
			return
		}
		again, err := aggr.Parse(c.Append(nil))
		testutil.Ok(t, err)
		for k := range c {
			testutil.Assert(t, c[k].Encoding == again[k].Encoding && bytes.Equal(c[k].Data, again[k].Data), "%s differs", aggr.Kind(k))
		}
	})
}
