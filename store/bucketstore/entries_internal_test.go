package bucketstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

var symbolTable = []string{"", "__name__", "a", "b", "up", "x", "y", "zone"}

func symbolAt(ref uint32) ([]byte, error) {
	if int(ref) >= len(symbolTable) {
		return nil, fmt.Errorf("no symbol %d", ref)
	}
	return []byte(symbolTable[ref]), nil
}

// encodeEntry writes a series entry as Prometheus does.
func encodeEntry(refs []uint32, metas []chunks.Meta) []byte {
	b := binary.AppendUvarint(nil, uint64(len(refs)/2))
	for _, r := range refs {
		b = binary.AppendUvarint(b, uint64(r))
	}
	b = binary.AppendUvarint(b, uint64(len(metas)))
	for i, m := range metas {
		if i == 0 {
			b = binary.AppendVarint(b, m.MinTime)
			b = binary.AppendUvarint(b, uint64(m.MaxTime-m.MinTime))
			b = binary.AppendUvarint(b, uint64(m.Ref))
			continue
		}
		b = binary.AppendUvarint(b, uint64(m.MinTime-metas[i-1].MaxTime))
		b = binary.AppendUvarint(b, uint64(m.MaxTime-m.MinTime))
		b = binary.AppendVarint(b, int64(m.Ref)-int64(metas[i-1].Ref))
	}
	return b
}

// newEntries returns entries for a block without external labels.
func newEntries(mint, maxt int64, sizes chunkSizes, rest ...*labels.Matcher) *entries {
	e := &entries{mint: mint, maxt: maxt}
	a := newAlgebra(labels.EmptyLabels(), func(string) bool { return false }, nil, nil)
	e.begin(&a, &sizes, symbolAt, rest)
	return e
}

// FuzzEntryContents reads any bytes: what is accepted, Prometheus reads alike.
func FuzzEntryContents(f *testing.F) {
	f.Add(encodeEntry([]uint32{1, 4, 2, 5}, []chunks.Meta{{MinTime: -5, MaxTime: 9, Ref: 8}, {MinTime: 10, MaxTime: 20, Ref: 108}, {MinTime: 20, MaxTime: 21, Ref: 1<<32 + 8}}))
	f.Add(encodeEntry(nil, []chunks.Meta{{MinTime: 1, MaxTime: 2, Ref: 8}}))
	f.Add([]byte{2, 1, 4, 1, 4, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e := newEntries(math.MinInt64, math.MaxInt64, chunkSizes{})
		if e.add(b) != nil {
			return
		}
		e.complete()
		d := index.Decoder{LookupSymbol: func(_ context.Context, ref uint32) (string, error) {
			s, err := symbolAt(ref)
			return string(s), err
		}}
		var metas []chunks.Meta
		sb := labels.NewScratchBuilder(0)
		testutil.Ok(t, d.Series(b, &sb, &metas))
		testutil.Equals(t, len(metas) > 0, len(e.all) > 0)
		if len(metas) == 0 {
			return
		}
		want := encoded.AppendLabels(nil, sb.Labels().WithoutEmpty())
		testutil.Equals(t, string(want), string(e.labels))
		testutil.Ok(t, encoded.CheckLabels(e.labels))
		testutil.Equals(t, len(metas), len(e.chunks))
		for i, m := range metas {
			c := e.chunks[i]
			testutil.Equals(t, [3]int64{m.MinTime, m.MaxTime, int64(m.Ref)}, [3]int64{c.mint, c.maxt, int64(c.ref)})
			testutil.Assert(t, c.size > 0)
		}
		// Once more, when all of its labels are those of the series before.
		testutil.Ok(t, e.add(b))
		testutil.Equals(t, string(want)+string(want), string(e.labels))
	})
}

func TestEntryErrors(t *testing.T) {
	t.Parallel()
	one := []chunks.Meta{{MinTime: 1, MaxTime: 2, Ref: 8}}
	for name, tc := range map[string]struct {
		before, entry []byte
		want          error
	}{
		"empty":              {entry: nil, want: errEntryShort},
		"labels end early":   {entry: []byte{2, 1, 4}, want: errEntryShort},
		"chunks end early":   {entry: []byte{1, 1, 4, 2, 0, 0, 0}, want: errEntryShort},
		"labels not sorted":  {entry: encodeEntry([]uint32{2, 4, 1, 4}, one), want: errLabelOrder},
		"label twice":        {entry: encodeEntry([]uint32{2, 4, 2, 5}, one), want: errLabelOrder},
		"series not sorted":  {before: encodeEntry([]uint32{2, 5}, one), entry: encodeEntry([]uint32{2, 4}, one), want: errEntryOrder},
		"chunk ends early":   {entry: []byte{0, 1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 8}, want: errChunkRange},
		"reference too high": {entry: encodeEntry(nil, []chunks.Meta{{MinTime: 1, MaxTime: 2, Ref: 1 << 63}}), want: errRefOverflow},
		"number too large":   {entry: []byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, want: errEntryShort},
	} {
		e := newEntries(0, 100, chunkSizes{})
		if tc.before != nil {
			testutil.Ok(t, e.add(tc.before), name)
		}
		err := e.add(tc.entry)
		testutil.Assert(t, errors.Is(err, tc.want), "%s: %v", name, err)
	}
	testutil.NotOk(t, newEntries(0, 100, chunkSizes{}).add(encodeEntry([]uint32{1, 99}, one)))
}

// TestEntrySizes has chunks side by side, at the end of a series, of a segment and
// of the block, and far apart.
func TestEntrySizes(t *testing.T) {
	t.Parallel()
	metas := func(refs ...uint64) (out []chunks.Meta) {
		for i, r := range refs {
			out = append(out, chunks.Meta{MinTime: int64(10 * i), MaxTime: int64(10*i + 5), Ref: chunks.ChunkRef(r)})
		}
		return out
	}
	sizes := func(e *entries) (out []uint32) {
		for _, c := range e.chunks {
			out = append(out, c.size)
		}
		return out
	}
	for _, tc := range []struct {
		name  string
		sizes chunkSizes
		refs  [][]uint64 // of each series
		want  []uint32
	}{
		{"one after the other", chunkSizes{}, [][]uint64{{8, 308, 508}, {700}}, []uint32{300, 200, 192, plainGuess}},
		{"like the others", chunkSizes{}, [][]uint64{{8, 308, 508}}, []uint32{300, 200, 300*3/2 + smallestGuess}},
		{"not more than the largest", chunkSizes{largest: 310}, [][]uint64{{8, 308, 508}}, []uint32{300, 200, 310}},
		{"next segment", chunkSizes{average: 100}, [][]uint64{{8, 1<<32 + 8}}, []uint32{300, 300}},
		{"other chunks between", chunkSizes{largest: 400}, [][]uint64{{8}, {4000, 4100}}, []uint32{400, 100, 214}},
		{"far beyond a guess", chunkSizes{}, [][]uint64{{8}, {9000, 9100}}, []uint32{plainGuess, 100, 214}},
		{"far apart", chunkSizes{}, [][]uint64{{8, 1 << 30}}, []uint32{plainGuess, plainGuess}},
		{"not ascending", chunkSizes{average: 500}, [][]uint64{{9000, 8000}}, []uint32{1500, 1500}},
	} {
		e := newEntries(0, 100, tc.sizes)
		for _, refs := range tc.refs {
			testutil.Ok(t, e.add(encodeEntry(nil, metas(refs...))))
		}
		testutil.Equals(t, tc.want, sizes(e), tc.name)
	}
	// What is outside of the range is not read, but bounds what is.
	e := newEntries(10, 15, chunkSizes{})
	testutil.Ok(t, e.add(encodeEntry(nil, metas(8, 308, 508))))
	testutil.Equals(t, []uint32{200}, sizes(e))
}

// TestEntriesInParts drops entries in all kinds of parts while others are added,
// with external labels that make groups.
func TestEntriesInParts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(1))
	one := []chunks.Meta{{MinTime: 1, MaxTime: 2, Ref: 8}}
	var series [][]uint32
	for name := uint32(4); name < 7; name++ {
		series = append(series, []uint32{1, name})
		for a := uint32(4); a < 7; a++ {
			series = append(series, []uint32{1, name, 2, a}, []uint32{1, name, 2, a, 7, 4})
		}
	}
	for range 500 {
		external := []labels.Labels{labels.EmptyLabels(), labels.FromStrings("a", "over"), labels.FromStrings("b", "added")}[r.Intn(3)]
		a := newAlgebra(external, func(n string) bool { return n == "__name__" || n == "a" || n == "zone" }, []string{"zone"}[:r.Intn(2)], nil)
		e := &entries{maxt: 100}
		e.begin(&a, &chunkSizes{}, symbolAt, nil)
		var got, want [][]byte
		drop := func(n int) {
			for _, x := range e.all[e.dropped:][:n] {
				testutil.Equals(t, 1, x.chunks.to-x.chunks.from)
				testutil.Equals(t, uint64(8), e.chunks[x.chunks.from].ref)
				got = append(got, slices.Clone(e.labels[x.labels.from:x.labels.to]))
			}
			e.drop(n)
		}
		for _, refs := range series {
			testutil.Ok(t, e.add(encodeEntry(refs, one)))
			b := labels.NewScratchBuilder(0)
			for i := 0; i < len(refs); i += 2 {
				b.Add(symbolTable[refs[i]], symbolTable[refs[i+1]])
			}
			want = append(want, a.rewrite.Append(nil, encoded.AppendLabels(nil, b.Labels())))
			waiting, left := e.waiting()
			testutil.Assert(t, waiting == left && waiting == len(want)-len(got), "%d series, %d chunks", waiting, left)
			if n := e.ready(); n > 0 && r.Intn(3) == 0 {
				drop(1 + r.Intn(n))
			}
		}
		e.complete()
		drop(e.ready())
		slices.SortFunc(want, encoded.CompareLabels)
		testutil.Equals(t, want, got)
	}
}

// TestEntriesDroppedOneByOne has a large group that goes in small batches: its
// entries are not moved each time.
func TestEntriesDroppedOneByOne(t *testing.T) {
	t.Parallel()
	const n = 100_000
	e := newEntries(0, 100, chunkSizes{})
	entry := encodeEntry([]uint32{1, 4}, []chunks.Meta{{MinTime: 1, MaxTime: 2, Ref: 8}})
	for range n {
		testutil.Ok(t, e.add(entry))
	}
	moved := 0
	for i := range n {
		if e.ready() != n-i {
			t.Fatalf("%d are ready of %d", e.ready(), n-i)
		}
		e.drop(1)
		if e.dropped == 0 {
			moved += len(e.all)
		}
	}
	testutil.Assert(t, moved <= n, "%d entries were moved", moved)
	testutil.Equals(t, 0, len(e.all))
}

// TestEntryOfManyBytes has an entry that refers to a large symbol again and
// again.
func TestEntryOfManyBytes(t *testing.T) {
	t.Parallel()
	large := make([]byte, 1<<20)
	e := newEntries(0, 100, chunkSizes{})
	e.symbol = func(ref uint32) ([]byte, error) {
		if ref == 0 {
			return large, nil
		}
		return fmt.Appendf(nil, "l%06d", ref), nil
	}
	var refs []uint32
	for i := range uint32(1000) {
		refs = append(refs, i+1, 0)
	}
	err := e.add(encodeEntry(refs, []chunks.Meta{{MinTime: 1, MaxTime: 2, Ref: 8}}))
	testutil.Assert(t, errors.Is(err, errLabelBytes), "%v", err)
	testutil.Assert(t, cap(e.own) <= 4*maxLabelBytes, "%d bytes", cap(e.own))
}
