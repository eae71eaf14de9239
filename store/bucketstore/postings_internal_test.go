package bucketstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/encoding"
	"github.com/prometheus/prometheus/tsdb/index"
)

// someIDs returns ascending numbers: each below n with that likelihood.
func someIDs(rnd *rand.Rand, n int, share float64) []uint32 {
	ids := []uint32{}
	for i := range n {
		if rnd.Float64() < share {
			ids = append(ids, uint32(i))
		}
	}
	return ids
}

// TestSets compares what is done with lists to what it means.
func TestSets(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	shares := []float64{0, 0.001, 0.01, 0.1, 0.5, 1}
	for range 500 {
		n := 1 + rnd.IntN(3000)
		a := someIDs(rnd, n, shares[rnd.IntN(len(shares))])
		b := someIDs(rnd, n, shares[rnd.IntN(len(shares))])
		l := list(appendList(nil, b))
		testutil.Equals(t, len(b), l.len())
		testutil.Equals(t, b, l.decode([]uint32{}))
		both, only := []uint32{}, []uint32{}
		for _, id := range a {
			if slices.Contains(b, id) {
				both = append(both, id)
			} else {
				only = append(only, id)
			}
		}
		if got := intersect(slices.Clone(a), l); !slices.Equal(got, both) {
			t.Fatalf("intersection of %d and %d has %d, not %d", len(a), len(b), len(got), len(both))
		}
		if got := subtract(slices.Clone(a), l); !slices.Equal(got, only) {
			t.Fatalf("%d without %d are %d, not %d", len(a), len(b), len(got), len(only))
		}
		for range 10 {
			from, id := rnd.IntN(len(b)+1), uint32(rnd.IntN(n+2))
			want := from
			for want < len(b) && b[want] < id {
				want++
			}
			testutil.Equals(t, want, l.seek(from, id))
			testutil.Equals(t, want, seekIDs(b, from, id))
		}
	}
}

func TestUnite(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		spread := uint32(1)
		if i%2 == 0 {
			spread = 5000 // So that a bitmap would be mostly empty.
		}
		var lists []list
		var want []uint32
		for range rnd.IntN(6) {
			ids := someIDs(rnd, 1000, rnd.Float64()/10)
			for i := range ids {
				ids[i] *= spread
			}
			lists = append(lists, appendList(nil, ids))
			want = append(want, ids...)
		}
		slices.Sort(want)
		want = slices.Compact(want)
		if got := unite(lists); !slices.Equal(got, want) {
			t.Fatalf("%d lists: %d, not %d", len(lists), len(got), len(want))
		}
	}
	// Lists that do not ascend are no reason to panic.
	_ = unite([]list{appendList(nil, []uint32{5, 1, 9}), appendList(nil, []uint32{7, 100, 2})})
	_ = intersect([]uint32{1, 2, 3}, appendList(nil, []uint32{5, 1, 9}))
}

// encodeList encodes a list as it is in an index.
func encodeList(ids []uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+4*len(ids)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(ids)))
	b = appendList(b, ids)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[4:], castagnoli))
}

func TestParseList(t *testing.T) {
	t.Parallel()
	b := encodeList([]uint32{1, 5, 9})
	l, err := parseList(append(b, 1, 2, 3))
	testutil.Ok(t, err)
	testutil.Equals(t, []uint32{1, 5, 9}, l.decode(nil))
	for i := range b {
		_, err := parseList(b[:i])
		testutil.NotOk(t, err)
		flipped := slices.Clone(b)
		flipped[i] ^= 1
		_, err = parseList(flipped)
		testutil.NotOk(t, err)
	}
	l, err = parseList(encodeList(nil))
	testutil.Ok(t, err)
	testutil.Equals(t, 0, l.len())
}

// FuzzLists parses whatever may stand where a list should, and does with it what
// is done with lists.
func FuzzLists(f *testing.F) {
	f.Add(encodeList([]uint32{1, 5, 9}), encodeList([]uint32{5}))
	f.Add(encodeList(nil), []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		fix := func(b []byte) list {
			b = slices.Clone(b)
			if len(b) >= 12 {
				b = b[:len(b)/4*4]
				binary.BigEndian.PutUint32(b, uint32(len(b)-8))
				binary.BigEndian.PutUint32(b[4:], uint32(len(b)-12)/4)
				binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[4:len(b)-4], castagnoli))
			}
			l, err := parseList(b)
			if err == nil && 4*l.len() != len(b)-12 {
				t.Fatalf("%d entries in %d bytes", l.len(), len(b))
			}
			return l
		}
		_, _ = parseList(a)
		la, lb := fix(a), fix(b)
		ids := la.decode(nil)
		if slices.IsSorted(ids) && slices.IsSorted(lb.decode(nil)) {
			if n := len(intersect(slices.Clone(ids), lb)) + len(subtract(slices.Clone(ids), lb)); n != len(ids) {
				t.Fatalf("%d of %d", n, len(ids))
			}
		}
		_ = intersect(slices.Clone(ids), lb)
		_ = subtract(slices.Clone(ids), lb)
		_ = unite([]list{la, lb, la})
	})
}

// BenchmarkIntersect beside Prometheus' own iterators over the same bytes.
func BenchmarkIntersect(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	large := appendList(nil, someIDs(rnd, 2_000_000, 0.5))
	for _, share := range []float64{0.5, 0.05, 0.0005} {
		ids := someIDs(rnd, 2_000_000, share)
		b.Run(fmt.Sprintf("%d/ours", len(ids)), func(b *testing.B) {
			buf := make([]uint32, len(ids))
			b.ReportAllocs()
			b.SetBytes(int64(4*len(ids) + len(large)))
			for b.Loop() {
				copy(buf, ids)
				intersect(buf, large)
			}
		})
		b.Run(fmt.Sprintf("%d/prometheus", len(ids)), func(b *testing.B) {
			raw := encodeList(ids)[4 : 8+4*len(ids)]
			other := encodeList(list(large).decode(nil))[4 : 8+len(large)]
			b.ReportAllocs()
			b.SetBytes(int64(4*len(ids) + len(large)))
			for b.Loop() {
				_, p, err := index.DecodePostingsRaw(encoding.Decbuf{B: raw})
				testutil.Ok(b, err)
				_, q, err := index.DecodePostingsRaw(encoding.Decbuf{B: other})
				testutil.Ok(b, err)
				it := index.Intersect(p, q)
				var out []storage.SeriesRef
				for it.Next() {
					out = append(out, it.At())
				}
				testutil.Ok(b, it.Err())
				testutil.Assert(b, len(out) <= len(ids))
			}
		})
	}
}

func BenchmarkUnite(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{2, 1000} {
		parts := make([][]uint32, n)
		for i := range 1_000_000 {
			j := rnd.IntN(n)
			parts[j] = append(parts[j], uint32(10*i))
		}
		lists := make([]list, n)
		for i, p := range parts {
			lists[i] = appendList(nil, p)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				unite(lists)
			}
		})
	}
}
