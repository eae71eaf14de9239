package bucketstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// everySeries returns the offsets of all series.
func everySeries(t testing.TB, x *indexReader) []uint64 {
	t.Helper()
	refs, _, err := x.postings(context.Background(), nil)
	testutil.Ok(t, err)
	return refs
}

// checkSeries reads series, and compares each with Prometheus' reader. It returns
// how many hints at the next series there were.
func checkSeries(t testing.TB, x *indexed, r *indexReader, refs []uint64) (hints int) {
	t.Helper()
	next := 0
	testutil.Ok(t, r.series(context.Background(), refs, func(i int, entry []byte, after uint64) error {
		testutil.Equals(t, next, i)
		next++
		b := labels.NewScratchBuilder(0)
		var metas []chunks.Meta
		testutil.Ok(t, x.oracle.Series(storage.SeriesRef(refs[i]/r.header.SeriesUnit()), &b, &metas))
		testutil.Equals(t, b.Labels().String(), labelsOf(t, r, entry).String())
		if after != 0 {
			hints++
			if len(metas) > 0 && after != uint64(metas[len(metas)-1].Ref)+100 {
				t.Fatalf("chunks of the next series at %d, those of this one end at %d", after, metas[len(metas)-1].Ref+100)
			}
		}
		return nil
	}))
	testutil.Equals(t, len(refs), next)
	return hints
}

// TestSeries reads all, some and one, of small and of large entries, with caches
// that have none, some or all of them.
func TestSeries(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	lsets := randomSeries(rnd, 500)
	for name, chunksOf := range map[string]func(int) int{
		"one chunk": oneChunk,
		"few large": func(i int) int {
			if i%50 == 0 {
				return 2000
			}
			return 1
		},
		"no chunks": func(int) int { return 0 },
	} {
		for _, largest := range []int64{0, 100, 1 << 20} { // Not known, wrong, too large.
			for _, cost := range []int64{1, 1 << 10, 1 << 30} {
				t.Run(fmt.Sprintf("%s/%d/%d", name, largest, cost), func(t *testing.T) {
					t.Parallel()
					x := newIndexed(t, writeIndex(t, lsets, chunksOf), largest)
					cache, err := NewMemoryCache(10<<20, nil)
					testutil.Ok(t, err)
					for _, c := range []Cache{nil, cache} {
						s := x.source(t, c, rangeOptions{requestCost: cost})
						r := x.reader(t, s, nil)
						all := everySeries(t, r)
						checkSeries(t, x, r, all[7:8])
						var some []uint64
						for i := 0; i < len(all); i += 1 + i%5 {
							some = append(some, all[i])
						}
						checkSeries(t, x, r, some)
						hints := checkSeries(t, x, r, all)
						if name == "one chunk" {
							testutil.Equals(t, len(all)-1, hints)
						}
						checkSeries(t, x, r, all)
						checkSeries(t, x, r, nil)
					}
				})
			}
		}
	}
}

// TestSeriesCached asks for what was asked for before, and so for nothing.
func TestSeriesCached(t *testing.T) {
	t.Parallel()
	x := newIndexed(t, writeIndex(t, randomSeries(rand.New(rand.NewPCG(1, 2)), 1000), oneChunk), 0)
	cache, err := NewMemoryCache(10<<20, nil)
	testutil.Ok(t, err)
	s := x.source(t, cache, rangeOptions{})
	st := new(callStats)
	r := x.reader(t, s, st)
	all := everySeries(t, r)
	even, odd := []uint64{}, []uint64{}
	for i, ref := range all {
		if i%2 == 0 {
			even = append(even, ref)
		} else {
			odd = append(odd, ref)
		}
	}
	checkSeries(t, x, r, even)
	checkSeries(t, x, r, odd)
	x.bkt.Reset()
	checkSeries(t, x, r, all)
	testutil.Equals(t, 0, x.bkt.Stats().Requests)
	testutil.Equals(t, int64(1000), st.kinds[kindSeries].cacheHits.Load())
	testutil.Equals(t, int64(2000), st.kinds[kindSeries].touched.Load())
	testutil.Equals(t, int64(1000), st.kinds[kindSeries].fetched.Load())
}

// TestSeriesBytes holds one series to few bytes and one request.
func TestSeriesBytes(t *testing.T) {
	t.Parallel()
	raw := writeIndex(t, randomSeries(rand.New(rand.NewPCG(1, 2)), 1000), func(int) int { return 20 })
	for _, largest := range []int64{0, 250} {
		x := newIndexed(t, raw, largest)
		r := x.reader(t, x.source(t, nil, rangeOptions{}), nil)
		all := everySeries(t, r)
		x.bkt.Reset()
		testutil.Equals(t, 1, checkSeries(t, x, r, all[500:501]))
		gets := x.bkt.Stats().Gets()
		testutil.Equals(t, 1, gets.Requests)
		bound := int64(2000) // Thanos reads 64 KiB.
		if largest > 0 {
			bound = largest + 80
		}
		testutil.Assert(t, gets.Read <= bound, "%d bytes", gets.Read)
	}
}

func TestSeriesCorrupt(t *testing.T) {
	t.Parallel()
	raw := writeIndex(t, randomSeries(rand.New(rand.NewPCG(1, 2)), 40), oneChunk)
	for name, change := range map[string]func(b []byte, at int64) []byte{
		"length": func(b []byte, at int64) []byte {
			copy(b[at:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
			return b
		},
		"too long": func(b []byte, at int64) []byte { copy(b[at:], []byte{0xff, 0xff, 0x7f}); return b },
		"contents": func(b []byte, at int64) []byte { b[at+3] ^= 1; return b },
		"cut":      func(b []byte, at int64) []byte { return b[:at+4] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newIndexed(t, slices.Clone(raw), 0)
			r := x.reader(t, x.source(t, nil, rangeOptions{}), nil)
			all := everySeries(t, r)
			bad := change(slices.Clone(raw), int64(all[30]))
			testutil.Ok(t, x.bkt.Upload(t.Context(), block.ObjectName(testID, block.IndexFile), bytes.NewReader(bad)))
			err := r.series(t.Context(), all[30:31], func(int, []byte, uint64) error { return nil })
			var corrupt *block.CorruptError
			testutil.Assert(t, errors.As(err, &corrupt), "%v", err)
			testutil.Equals(t, testID, corrupt.Block)
			testutil.Equals(t, 0, x.bkt.OpenBodies())
		})
	}
}

func TestSeriesErrors(t *testing.T) {
	t.Parallel()
	x := newIndexed(t, writeIndex(t, randomSeries(rand.New(rand.NewPCG(1, 2)), 40), oneChunk), 0)
	r := x.reader(t, x.source(t, nil, rangeOptions{requestCost: 1}), nil)
	all := everySeries(t, r)
	stop := errors.New("stop")
	err := r.series(t.Context(), all, func(i int, _ []byte, _ uint64) error {
		if i == 3 {
			return stop
		}
		return nil
	})
	testutil.Assert(t, errors.Is(err, stop))
	x.bkt.Fail(blocktest.EveryNth(1, blocktest.ErrFault))
	err = r.series(t.Context(), all, func(int, []byte, uint64) error { return nil })
	testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
	_, _, err = r.postings(t.Context(), nil)
	testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
}

// FuzzEntry parses whatever may stand where a series should.
func FuzzEntry(f *testing.F) {
	f.Add([]byte{4, 1, 0, 1, 0, 0, 0, 0, 0}, []byte{})
	f.Add([]byte{}, []byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, b, page []byte) {
		entry, size, err := parseEntry(b)
		if err == nil && (size > len(b) || len(entry) > size) {
			t.Fatalf("%d of %d bytes", size, len(b))
		}
		_ = firstChunk(b)
		at := -1
		for c := (pageCursor{b: page}); c.next(); {
			if c.at >= seriesPage || len(c.entry) > len(page) {
				t.Fatalf("entry at %d", c.at)
			}
			at = c.at
		}
		_ = at
		key := expandedKey{ms: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")}}
		if ids, rest, ok := key.decode(page); ok && (len(ids)%4 != 0 || len(rest) > len(key.ms)) {
			t.Fatalf("%d bytes, %d matchers", len(ids), len(rest))
		}
	})
}

func TestFirstChunk(t *testing.T) {
	t.Parallel()
	entry := []byte{2, 1, 2, 3, 4, 1} // Two labels, one chunk.
	entry = binary.AppendVarint(entry, -5)
	entry = binary.AppendUvarint(entry, 10)
	entry = binary.AppendUvarint(entry, 1<<33+8)
	b := append([]byte{byte(len(entry))}, entry...)
	testutil.Equals(t, uint64(1<<33+8), firstChunk(b))
	for i := range b {
		testutil.Equals(t, uint64(0), firstChunk(b[:i]), "%d bytes", i)
	}
	testutil.Equals(t, uint64(0), firstChunk(make([]byte, 100)))
}
