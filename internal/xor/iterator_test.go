package xor_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/xor"
)

func ExampleIterator() {
	var it xor.Iterator
	it.Reset(xor.Encode(nil, []int64{0, 15_000, 30_000}, []float64{1, 2, 3}))
	for typ := it.Seek(10_000); typ != chunkenc.ValNone; typ = it.Next() {
		fmt.Println(it.At())
	}
	fmt.Println(it.Err())
	// Output:
	// 15000 2
	// 30000 3
	// <nil>
}

// TestIteratorEqualsChunkenc goes the same random way through both.
func TestIteratorEqualsChunkenc(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(21))
	var it xor.Iterator
	for range 2000 {
		ts, vs := samples(r, r.Intn(150))
		b := encode(t, ts, vs)
		c, err := chunkenc.FromData(chunkenc.EncXOR, b)
		testutil.Ok(t, err)
		want := c.Iterator(nil)
		it.Reset(b)
		for want.Err() == nil {
			var typ, wantTyp chunkenc.ValueType
			if r.Intn(3) == 0 && len(ts) > 0 {
				seek := ts[r.Intn(len(ts))] + int64(r.Intn(3)-1)
				typ, wantTyp = it.Seek(seek), want.Seek(seek)
			} else {
				typ, wantTyp = it.Next(), want.Next()
			}
			testutil.Equals(t, wantTyp, typ)
			if typ == chunkenc.ValNone {
				break
			}
			gotT, gotV := it.At()
			wantT, wantV := want.At()
			testutil.Assert(t, gotT == wantT && math.Float64bits(gotV) == math.Float64bits(wantV) && it.AtT() == wantT,
				"%d %v, chunkenc: %d %v", gotT, gotV, wantT, wantV)
		}
		testutil.Ok(t, it.Err())
		testutil.Equals(t, chunkenc.ValNone, it.Next())
	}
}

func TestIteratorOfNothing(t *testing.T) {
	t.Parallel()
	var it xor.Iterator
	testutil.Equals(t, chunkenc.ValNone, it.Seek(0))
	testutil.Equals(t, chunkenc.ValNone, it.Next())
	testutil.Equals(t, int64(math.MinInt64), it.AtT())
	testutil.Ok(t, it.Err())
}

func TestIteratorTruncated(t *testing.T) {
	t.Parallel()
	b := xor.Encode(nil, []int64{0, 10, 20, 30}, []float64{1, 2, 3.5, 4})
	var it xor.Iterator
	it.Reset(b[:len(b)-3])
	n := 0
	for it.Next() == chunkenc.ValFloat {
		testutil.Ok(t, it.Err())
		n++
	}
	testutil.Assert(t, n > 0 && n < 4, "%d samples", n)
	testutil.Assert(t, errors.Is(it.Err(), xor.ErrTruncated), "%v", it.Err())
	testutil.Equals(t, chunkenc.ValNone, it.Seek(0))
	it.Reset(b)
	testutil.Equals(t, chunkenc.ValFloat, it.Seek(30))
	testutil.Ok(t, it.Err())
}
