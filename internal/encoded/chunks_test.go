package encoded_test

import (
	"cmp"
	"math/rand"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
)

func data(e chunkenc.Encoding, s string) encoded.Data {
	return encoded.Data{Encoding: e, Bytes: []byte(s)}
}

// TestCompareChunks has chunks in the order in which Thanos' proxy sends them.
func TestCompareChunks(t *testing.T) {
	t.Parallel()
	x := func(s string) encoded.Data { return data(chunkenc.EncXOR, s) }
	var none encoded.Data
	aggr := func(a encoded.Aggregates) encoded.Chunk { return encoded.Chunk{MinTime: 2, MaxTime: 3, Aggregates: &a} }
	raw := func(mint, maxt int64, d encoded.Data) encoded.Chunk {
		return encoded.Chunk{MinTime: mint, MaxTime: maxt, Raw: d}
	}
	ordered := []encoded.Chunk{
		raw(-5, 9, x("a")),
		raw(1, 2, x("a")),
		raw(1, 3, x("a")),
		raw(2, 2, x("a")),
		raw(2, 3, x("b")), // the greater bytes first
		raw(2, 3, x("ab")),
		raw(2, 3, x("a")),
		raw(2, 3, data(chunkenc.EncHistogram, "z")),
		raw(2, 3, data(chunkenc.EncFloatHistogram, "z")),
		aggr(encoded.Aggregates{Count: x("b"), Sum: x("a")}),
		aggr(encoded.Aggregates{Count: x("b")}),
		aggr(encoded.Aggregates{Count: x("a"), Sum: x("a")}),
		aggr(encoded.Aggregates{Sum: x("a"), Min: x("a")}),
		aggr(encoded.Aggregates{Sum: x("a"), Max: x("a")}),
		aggr(encoded.Aggregates{Sum: x("a"), Counter: x("a")}),
		raw(2, 3, none),
		raw(3, 3, x("z")),
	}
	for i := range ordered {
		for j := range ordered {
			testutil.Equals(t, cmp.Compare(i, j), encoded.CompareChunks(&ordered[i], &ordered[j]), "%d and %d", i, j)
		}
	}
	empty := aggr(encoded.Aggregates{})
	testutil.Equals(t, 0, encoded.CompareChunks(&empty, &ordered[len(ordered)-2]))
}

func randomChunks(r *rand.Rand) []encoded.Chunk {
	out := make([]encoded.Chunk, r.Intn(30))
	for i := range out {
		c := encoded.Chunk{MinTime: int64(r.Intn(8)), MaxTime: 8 + int64(r.Intn(2))}
		if r.Intn(2) == 0 {
			c.Raw = data(chunkenc.EncXOR+chunkenc.Encoding(r.Intn(2)), string(rune('a'+r.Intn(2))))
		}
		if r.Intn(3) == 0 {
			c.Aggregates = &encoded.Aggregates{}
			if r.Intn(2) == 0 {
				c.Aggregates.Max = data(chunkenc.EncXOR, "m")
			}
		}
		out[i] = c
	}
	if r.Intn(3) > 0 {
		slices.SortFunc(out, func(a, b encoded.Chunk) int { return encoded.CompareChunks(&a, &b) })
	}
	return out
}

func TestChunkMerger(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(1))
	var m encoded.ChunkMerger
	var arena []encoded.Chunk
	for range 1000 {
		var want []encoded.Chunk
		lists := make([][]encoded.Chunk, r.Intn(6))
		for i := range lists {
			lists[i] = randomChunks(r)
			if i > 0 && r.Intn(4) == 0 {
				lists[i] = lists[i-1]
			}
			want = append(want, lists[i]...)
			m.Add(lists[i])
		}
		slices.SortFunc(want, func(a, b encoded.Chunk) int { return encoded.CompareChunks(&a, &b) })
		want = slices.CompactFunc(want, func(a, b encoded.Chunk) bool {
			same := wire.SameChunk(&a, &b)
			if same != (encoded.CompareChunks(&a, &b) == 0) {
				t.Fatalf("compare and same disagree on %v and %v", a, b)
			}
			return same
		})
		var got []encoded.Chunk
		got, arena = m.Merge(arena)
		if len(arena) > 500 {
			arena = nil
		}
		testutil.Equals(t, len(want), len(got))
		for i := range want {
			testutil.Assert(t, wire.SameChunk(&want[i], &got[i]))
		}
	}
}
