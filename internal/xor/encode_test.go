package xor_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/xor"
)

func ExampleEncode() {
	chunk := xor.Encode(nil, []int64{0, 15_000, 30_000}, []float64{1, 2, 3})
	ts, vs, err := xor.Decode(chunk, math.MaxInt64, nil, nil)
	fmt.Println(len(chunk), ts, vs, err)
	// Output: 18 [0 15000 30000] [1 2 3] <nil>
}

func TestEncodeEqualsChunkenc(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(11))
	var got []byte
	for i := range 5000 {
		ts, vs := samples(r, i%250)
		got = xor.Encode(got[:0], ts, vs)
		testutil.Assert(t, bytes.Equal(encode(t, ts, vs), got), "%d samples, number %d", len(ts), i)
	}
}

// TestEncodeEqualsChunkencAtBounds has distances at every bound of the codes, and
// values that change in every window.
func TestEncodeEqualsChunkencAtBounds(t *testing.T) {
	t.Parallel()
	var ts []int64
	var vs []float64
	at, step, v := int64(0), int64(1<<21), uint64(0)
	add := func() {
		ts, vs = append(ts, at), append(vs, math.Float64frombits(v))
		at += step
	}
	add()
	for _, n := range []uint{13, 16, 19} {
		for _, d := range []int64{-1<<n - 1, -1 << n, -1<<n + 1, 1<<n - 1, 1 << n, 1<<n + 1, 0, 0} {
			step += d
			add()
		}
	}
	for width := uint(1); width <= 64; width++ {
		for at := uint(0); at+width <= 64; at += 1 + width/3 {
			v ^= (1<<width - 1) << at
			add()
		}
	}
	at = math.MaxInt64 - step // and around
	for range 5 {
		add()
	}
	testutil.Assert(t, len(ts) > 500, "%d samples", len(ts))
	testutil.Assert(t, bytes.Equal(encode(t, ts, vs), xor.Encode(nil, ts, vs)), "differs")
}

func TestEncodeAppendsAndBounds(t *testing.T) {
	t.Parallel()
	testutil.Equals(t, "x\x00\x00", string(xor.Encode([]byte("x"), nil, nil)))
	ts, vs := samples(rand.New(rand.NewSource(12)), xor.MaxSamples)
	b := xor.Encode([]byte("head"), ts, vs)
	gotTs, gotVs, err := xor.Decode(b[4:], math.MaxInt64, nil, nil)
	testutil.Ok(t, err)
	testutil.Assert(t, equal(gotTs, ts, gotVs, vs), "%d of %d samples", len(gotTs), len(ts))
}

func TestEncodeAllocations(t *testing.T) {
	ts, vs := samples(rand.New(rand.NewSource(13)), 120)
	b := xor.Encode(nil, ts, vs)
	testutil.Equals(t, 0.0, testing.AllocsPerRun(100, func() { b = xor.Encode(b[:0], ts, vs) }))
}

// FuzzEncode takes times and values from the input as they come.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("a sample is sixteen bytes long, and this is more than one"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ts []int64
		var vs []float64
		for ; len(b) >= 16; b = b[16:] {
			ts = append(ts, int64(binary.LittleEndian.Uint64(b)))
			vs = append(vs, math.Float64frombits(binary.LittleEndian.Uint64(b[8:])))
		}
		got := xor.Encode(nil, ts, vs)
		if want := encode(t, ts, vs); !bytes.Equal(want, got) {
			t.Fatalf("%v %v:\n%x, chunkenc: %x", ts, vs, got, want)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := rand.New(rand.NewSource(14))
	ts, vs := make([]int64, 120), make([]float64, 120)
	for i := range ts {
		ts[i] = int64(15_000*i) + r.Int63n(4)
		vs[i] = vs[max(i-1, 0)] + float64(r.Intn(50))
	}
	b.Run("batch", func(b *testing.B) {
		var chunk []byte
		b.ReportAllocs()
		for b.Loop() {
			chunk = xor.Encode(chunk[:0], ts, vs)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/120, "ns/sample")
	})
	b.Run("chunkenc", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			app, err := promcompat.NewAppender(chunkenc.NewXORChunk())
			testutil.Ok(b, err)
			for i := range ts {
				app.Append(ts[i], vs[i])
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/120, "ns/sample")
	})
}
