package recode_test

import (
	"bytes"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/internal/recode"
)

// TestEncoderKeeps: chunks stay what they are however many follow, until Reset takes
// their memory back, from which on none is allocated.
func TestEncoderKeeps(t *testing.T) { // not parallel: it counts allocations
	var e recode.Encoder
	ts, vs := make([]int64, 120), make([]float64, 120)
	encode := func(seed, chunks int) (out []recode.Chunk) {
		for c := range chunks {
			for i := range ts {
				ts[i], vs[i] = int64(c*120+i)*15_000, float64(seed*i*i)/7
			}
			e.Floats(ts, vs)
		}
		return append(out, e.Chunks()...)
	}
	first := encode(1, 200) // more than a slab
	want := make([][]byte, len(first))
	for i, c := range first {
		want[i] = bytes.Clone(c.Data)
	}
	for _, c := range first { // which is to have no room for what is appended
		_ = append(c.Data, 0xff)
	}
	encode(2, 300)
	for i, c := range first {
		testutil.Equals(t, want[i], c.Data, "chunk %d", i)
	}

	e.Floats(ts[:3], vs[:3]) // which Reset forgets
	e.Reset()
	for i, c := range encode(1, 200) {
		testutil.Equals(t, want[i], c.Data, "chunk %d", i)
	}
	e.Reset()
	allocs := testing.AllocsPerRun(10, func() {
		for range 200 {
			e.Floats(ts, vs)
		}
		e.Chunks()
		e.Reset()
	})
	testutil.Equals(t, 0.0, allocs)
}
