package xor_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/xor"
)

func ExampleDecode() {
	chunk := chunkenc.NewXORChunk()
	app, err := promcompat.NewAppender(chunk)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range int64(4) {
		app.Append(15_000*i, float64(i)/2)
	}
	ts, vs, err := xor.Decode(chunk.Bytes(), 30_000, nil, nil)
	fmt.Println(ts, vs, err)
	// Output: [0 15000 30000] [0 0.5 1] <nil>
}

// samples in which every code of the encoding comes up: distances that are kept,
// that change a little or by more than 20 bits, values that repeat, that change
// in the window of bits that changed before, and in all bits.
func samples(r *rand.Rand, n int) (ts []int64, vs []float64) {
	t, v := r.Int63n(1<<40)-1<<39, 0.0
	for range n {
		ts, vs = append(ts, t), append(vs, v)
		step := int64(15_000)
		switch r.Intn(6) {
		case 0:
			step += r.Int63n(1 << 13)
		case 1:
			step += r.Int63n(1 << 16)
		case 2:
			step += r.Int63n(1 << 19)
		case 3:
			step += r.Int63n(1 << 35)
		}
		t += step
		switch r.Intn(7) {
		case 0, 1:
			v++
		case 2:
			v = math.Float64frombits(r.Uint64())
		case 3:
			v = r.NormFloat64()
		case 4:
			v = math.Float64frombits(0x7ff0000000000002) // the stale marker
		}
	}
	return ts, vs
}

func encode(tb testing.TB, ts []int64, vs []float64) []byte {
	c := chunkenc.NewXORChunk()
	app, err := promcompat.NewAppender(c)
	testutil.Ok(tb, err)
	for i := range ts {
		app.Append(ts[i], vs[i])
	}
	return c.Bytes()
}

func equal(ts, wantTs []int64, vs, wantVs []float64) bool {
	if len(ts) != len(wantTs) || len(vs) != len(wantVs) {
		return false
	}
	for i := range ts {
		if ts[i] != wantTs[i] || math.Float64bits(vs[i]) != math.Float64bits(wantVs[i]) {
			return false
		}
	}
	return true
}

func TestDecodeEqualsWhatWasAppended(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(1))
	var gotTs []int64
	var gotVs []float64
	for i := range 3000 {
		ts, vs := samples(r, i%250)
		var err error
		gotTs, gotVs, err = xor.Decode(encode(t, ts, vs), math.MaxInt64, gotTs[:0], gotVs[:0])
		testutil.Ok(t, err)
		testutil.Assert(t, equal(gotTs, ts, gotVs, vs), "%d samples differ", len(ts))
	}
}

func TestDecodeAppendsUpToMaxTime(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(2))
	for range 200 {
		ts, vs := samples(r, 120)
		b := encode(t, ts, vs)
		for _, k := range []int{0, 1, 2, 60, 119} {
			gotTs, gotVs, err := xor.Decode(b, ts[k], []int64{7}, []float64{8})
			testutil.Ok(t, err)
			testutil.Assert(t, equal(gotTs, append([]int64{7}, ts[:k+1]...), gotVs, append([]float64{8}, vs[:k+1]...)), "samples up to number %d", k)
		}
		gotTs, _, err := xor.Decode(b, ts[0]-1, nil, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(gotTs))
	}
}

// TestDecodeUpToMaxTimeOfTruncated has an end that is missing behind what is wanted,
// and a time that is late before ones that are not.
func TestDecodeUpToMaxTimeOfTruncated(t *testing.T) {
	t.Parallel()
	ts, vs := []int64{10, 20, 50, 30, 40, 60}, []float64{1, 2, 3, 4, 5, math.Pi}
	b := encode(t, ts, vs)
	b = b[:len(b)-1]
	gotTs, gotVs, err := xor.Decode(b, 45, nil, nil)
	testutil.Ok(t, err)
	testutil.Assert(t, equal(gotTs, ts[:2], gotVs, vs[:2]), "%v %v", gotTs, gotVs)
	gotTs, gotVs, err = xor.Decode(b, 55, nil, nil)
	testutil.Assert(t, errors.Is(err, xor.ErrTruncated), "%v", err)
	testutil.Assert(t, equal(gotTs, ts[:5], gotVs, vs[:5]), "%v %v", gotTs, gotVs)
}

func TestDecodeTruncated(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(3))
	ts, vs := samples(r, 120)
	b := encode(t, ts, vs)
	before := 0
	for n := range b {
		gotTs, gotVs, err := xor.Decode(b[:n], math.MaxInt64, nil, nil)
		testutil.Assert(t, errors.Is(err, xor.ErrTruncated), "%d of %d bytes: %v", n, len(b), err)
		testutil.Assert(t, len(gotTs) >= before && equal(gotTs, ts[:len(gotTs)], gotVs, vs[:len(gotVs)]), "%d bytes give other samples", n)
		before = len(gotTs)
	}
	testutil.Assert(t, before > 100, "only %d samples were read", before)
}

// iterate decodes with chunkenc, which panics on chunks without a header.
func iterate(b []byte) (ts []int64, vs []float64, err error) {
	c, err := chunkenc.FromData(chunkenc.EncXOR, b)
	if err != nil {
		return nil, nil, err
	}
	it := c.Iterator(nil)
	for it.Next() != chunkenc.ValNone {
		t, v := it.At()
		ts, vs = append(ts, t), append(vs, v)
	}
	return ts, vs, it.Err()
}

// FuzzDecode holds Decode to chunkenc. That one goes on with zeros behind the
// end of some truncated chunks, so there Decode may have an error alone.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewSource(4))
	for _, n := range []int{0, 1, 2, 3, 30, 120} {
		ts, vs := samples(r, n)
		f.Add(encode(f, ts, vs))
	}
	f.Add([]byte{0, 3, 0})
	f.Add([]byte("\xff\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"))
	f.Fuzz(sameAsChunkenc)
}

// TestDecodeDamaged does what FuzzDecode does with chunks of which bits are turned
// over, that are cut off, or that go on behind their end.
func TestDecodeDamaged(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(6))
	for range 5_000 {
		ts, vs := samples(r, 2+r.Intn(60))
		b := encode(t, ts, vs)
		for range r.Intn(4) {
			b[r.Intn(len(b))] ^= byte(1 << r.Intn(8))
		}
		switch r.Intn(3) {
		case 0:
			b = b[:r.Intn(len(b)+1)]
		case 1:
			b = append(b, make([]byte, r.Intn(90))...)
			_, _ = r.Read(b[len(b)-r.Intn(len(b)):])
		}
		sameAsChunkenc(t, b)
	}
}

func sameAsChunkenc(t *testing.T, b []byte) {
	ts, vs, err := xor.Decode(b, math.MaxInt64, nil, nil)
	if len(b) < 2 {
		testutil.NotOk(t, err)
		return
	}
	if len(ts) != len(vs) || cap(ts) > 1+4*len(b)+8*1024 {
		t.Fatalf("%d bytes: %d times in room for %d, %d values", len(b), len(ts), cap(ts), len(vs))
	}
	wantTs, wantVs, wantErr := iterate(b)
	if wantErr != nil && err == nil {
		t.Fatalf("no error; chunkenc has %v", wantErr)
	}
	if err != nil && len(ts) <= len(wantTs) {
		wantTs, wantVs = wantTs[:len(ts)], wantVs[:len(ts)]
	}
	if !equal(ts, wantTs, vs, wantVs) {
		t.Fatalf("%v %v (%v)\nchunkenc: %v %v (%v)", ts, vs, err, wantTs, wantVs, wantErr)
	}
}

func BenchmarkDecode(b *testing.B) {
	ts, vs := make([]int64, 120), make([]float64, 120)
	r := rand.New(rand.NewSource(5))
	for name, next := range map[string]func(i int, v float64) float64{
		"counter":  func(_ int, v float64) float64 { return v + float64(r.Intn(50)) },
		"gauge":    func(int, float64) float64 { return math.Round(r.Float64()*1e4) / 100 },
		"constant": func(int, float64) float64 { return 1 },
	} {
		for i := range ts {
			ts[i] = int64(15_000*i) + r.Int63n(4)
			vs[i] = next(i, vs[max(i-1, 0)])
		}
		chunk := encode(b, ts, vs)
		b.Run(name+"/batch", func(b *testing.B) {
			var ts []int64
			var vs []float64
			b.ReportAllocs()
			for b.Loop() {
				ts, vs, _ = xor.Decode(chunk, math.MaxInt64, ts[:0], vs[:0])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/120, "ns/sample")
		})
		b.Run(name+"/chunkenc", func(b *testing.B) {
			c := chunkenc.NewXORChunk()
			c.Reset(chunk)
			var it chunkenc.Iterator
			var sum float64
			b.ReportAllocs()
			for b.Loop() {
				for it = c.Iterator(it); it.Next() != chunkenc.ValNone; {
					_, v := it.At()
					sum += v
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/120, "ns/sample")
		})
	}
}
