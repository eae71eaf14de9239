package recode_test

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/thanoskit/thanoskit/internal/recode"
)

// histograms are two chunks of histograms, of which the second begins with a
// reset.
func histograms(t testing.TB) []recode.Chunk {
	t.Helper()
	var e recode.Encoder
	for i, n := range []int64{5, 6, 1} {
		testutil.Ok(t, e.Histogram(int64(i), tsdbutil.GenerateTestHistogram(n)))
	}
	out := e.Chunks()
	testutil.Equals(t, 2, len(out))
	return out
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		e    chunkenc.Encoding
		data []byte
		want error
	}{
		"no bytes":          {chunkenc.EncXOR, nil, recode.ErrShort},
		"no flags":          {chunkenc.EncHistogram, []byte{0, 1}, recode.ErrShort},
		"unknown":           {9, []byte{0, 1, 0}, recode.ErrEncoding},
		"aggregates":        {0xff, []byte{0, 0, 0, 0, 0}, recode.ErrEncoding},
		"no layout":         {chunkenc.EncFloatHistogram, []byte{0, 1, 0}, recode.ErrMalformed},
		"a billion buckets": {chunkenc.EncHistogram, []byte{0, 1, 0, 0, 0b0101_1111, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, recode.ErrMalformed},
	} {
		_, err := recode.Open(tc.e, tc.data)
		testutil.Assert(t, errors.Is(err, tc.want), "%s: %v", name, err)
	}
	_, err := recode.Open(chunkenc.EncHistogram, []byte{0, 0, 0})
	testutil.Ok(t, err) // no samples, no layout
}

// TestSafely: what panics inside of the library is an error.
func TestSafely(t *testing.T) {
	t.Parallel()
	buckets := make([]int64, 3)
	i := len(os.Args) + 7
	err := recode.Safely(func() error { buckets[i]++; return nil })
	testutil.Assert(t, errors.Is(err, recode.ErrMalformed), "%v", err)
	testutil.Equals(t, os.ErrClosed, recode.Safely(func() error { return os.ErrClosed }))
	testutil.Ok(t, recode.Safely(func() error { return nil }))
}

// FuzzOpen: whatever the bytes, reading takes memory in proportion to them and
// ends.
func FuzzOpen(f *testing.F) {
	for _, c := range histograms(f) {
		f.Add(uint8(c.Encoding), c.Data)
	}
	f.Add(uint8(chunkenc.EncXOR), []byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, e uint8, data []byte) {
		c, err := recode.Open(chunkenc.Encoding(e), data)
		if err != nil {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n := 0
		_ = recode.Safely(func() error {
			it := c.Iterator(nil)
			for ; it.Next() != chunkenc.ValNone; n++ {
			}
			return it.Err()
		})
		runtime.ReadMemStats(&after)
		testutil.Assert(t, n <= 1<<16)
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(1<<20+1000*len(data)) {
			t.Fatalf("%d bytes take %d", len(data), used)
		}
	})
}
