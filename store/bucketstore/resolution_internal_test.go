package bucketstore

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

const (
	raw  = block.Raw
	fine = block.FiveMinutes
	hour = block.OneHour
)

// span is a block: its range, half-open, and resolution.
type span struct {
	res        block.Resolution
	mint, maxt int64
}

func setOf(t *testing.T, spans ...span) *blockSet {
	t.Helper()
	s := &blockSet{}
	for i, x := range spans {
		m := &block.Meta{ULID: ulid.ULID{15: byte(i)}, MinTime: x.mint, MaxTime: x.maxt}
		m.Thanos.Downsample.Resolution = x.res
		testutil.Ok(t, s.add(&loadedBlock{meta: m}))
	}
	return s
}

func spansOf(bs []*loadedBlock) []span {
	out := make([]span, len(bs))
	for i, b := range bs {
		out[i] = span{b.meta.Resolution(), b.meta.MinTime, b.meta.MaxTime}
	}
	return sortSpans(out)
}

func sortSpans(s []span) []span {
	slices.SortFunc(s, func(a, b span) int {
		return slices.Compare([]int64{a.mint, a.maxt, int64(a.res)}, []int64{b.mint, b.maxt, int64(b.res)})
	})
	return s
}

// TestChooseAsThanos has the blocks and expectations of Thanos' own test of
// bucketBlockSet.getFor, v0.42.4.
func TestChooseAsThanos(t *testing.T) {
	t.Parallel()
	raws := []span{
		{raw, 0, 100}, {raw, 100, 200}, {raw, 100, 200}, {raw, 200, 299}, {raw, 200, 300}, {raw, 300, 400}, {raw, 300, 600}, {raw, 400, 500},
	}
	set := setOf(t, append(slices.Clone(raws),
		span{fine, 0, 100}, span{fine, 100, 200}, span{fine, 200, 300}, span{fine, 300, 400},
		span{hour, 100, 200}, span{hour, 200, 300},
	)...)
	for _, tc := range []struct {
		mint, maxt int64
		most       block.Resolution
		want       []span
	}{
		{-100, 1000, raw, raws},
		{100, 400, fine - 1, raws[1:]}, // the block from 400 has a sample at 400
		{100, 500, fine, []span{{fine, 100, 200}, {fine, 200, 300}, {fine, 300, 400}, {raw, 300, 600}, {raw, 400, 500}}},
		{0, 500, hour, []span{{fine, 0, 100}, {hour, 100, 200}, {hour, 200, 300}, {fine, 300, 400}, {raw, 300, 600}, {raw, 400, 500}}},
		{0, 500, 10 * hour, []span{{fine, 0, 100}, {hour, 100, 200}, {hour, 200, 300}, {fine, 300, 400}, {raw, 300, 600}, {raw, 400, 500}}},
		{200, 100, hour, nil},
		{600, 700, raw, nil},
	} {
		got := spansOf(set.choose(nil, tc.mint, tc.maxt, tc.most, nil))
		testutil.Assert(t, slices.Equal(sortSpans(slices.Clone(tc.want)), got), "%d..%d at %s: %v", tc.mint, tc.maxt, tc.most, got)
	}
}

// gap is a range with both ends inclusive.
type gap struct{ mint, maxt int64 }

// model chooses level by level: of each resolution the blocks that overlap a gap
// of the coarser ones; what they leave of it are the next gaps.
func model(spans []span, mint, maxt int64, most block.Resolution) []span {
	gaps, chosen := []gap{{mint, maxt}}, map[int]span{}
	for _, res := range []block.Resolution{hour, fine, raw} {
		if res > most && res != raw {
			continue
		}
		var next []gap
		for _, g := range gaps {
			at := g.mint
			if at > g.maxt {
				continue
			}
			for i, x := range spans { // which ascend
				if x.res != res || x.maxt <= g.mint || x.mint > g.maxt {
					continue
				}
				chosen[i] = x
				next = append(next, gap{at, x.mint - 1})
				at = x.maxt
			}
			next = append(next, gap{at, g.maxt})
		}
		gaps = slices.DeleteFunc(next, func(g gap) bool { return g.mint > g.maxt })
	}
	var out []span
	for _, x := range chosen {
		out = append(out, x)
	}
	return sortSpans(out)
}

func TestChooseProperties(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(1))
	for range 20_000 / RaceDivisor {
		spans := make([]span, r.Intn(10))
		for i := range spans {
			from := r.Int63n(30)
			spans[i] = span{[]block.Resolution{raw, fine, hour}[r.Intn(3)], from, from + 1 + r.Int63n(12)}
		}
		sortSpans(spans)
		set := setOf(t, spans...)
		mint := r.Int63n(40) - 5
		maxt := mint + r.Int63n(20) - 1
		most := []block.Resolution{-1, raw, fine, hour}[r.Intn(4)]
		chosen := set.choose(nil, mint, maxt, most, nil)
		got := spansOf(chosen)
		what := fmt.Sprintf("%v, %d..%d at %d: %v", spans, mint, maxt, most, got)

		testutil.Assert(t, slices.Equal(model(spans, mint, maxt, most), got), what)
		for i, b := range chosen {
			testutil.Assert(t, !slices.Contains(chosen[i+1:], b), "twice: %s", what)
			testutil.Assert(t, b.meta.Resolution() == raw || b.meta.Resolution() <= most, "too coarse: %s", what)
			testutil.Assert(t, b.overlaps(mint, maxt), "outside: %s", what)
		}
		// Whatever time has a block that may be chosen has one that is.
		for at := mint; at <= maxt; at++ {
			in := func(x span) bool { return x.mint <= at && at < x.maxt && (x.res == raw || x.res <= most) }
			testutil.Equals(t, slices.ContainsFunc(spans, in), slices.ContainsFunc(got, in), "at %d: %s", at, what)
		}
		// Without a block, the others fill in.
		if len(chosen) > 0 {
			lost := chosen[r.Intn(len(chosen))]
			without := set.choose(nil, mint, maxt, most, func(b *loadedBlock) bool { return b != lost })
			set.remove(lost)
			testutil.Equals(t, spansOf(set.choose(nil, mint, maxt, most, nil)), spansOf(without), what)
		}
	}
}

func TestBlockSetRefusesResolutions(t *testing.T) {
	t.Parallel()
	m := &block.Meta{}
	m.Thanos.Downsample.Resolution = 1000
	err := (&blockSet{}).add(&loadedBlock{meta: m})
	testutil.NotOk(t, err)
	testutil.Equals(t, "block 00000000000000000000000000: meta.json: resolution 1000 not supported", err.Error())
}

// TestChooseOfManyGaps has as many gaps as blocks: each is filled without a look
// at all others, also when blocks have gone.
func TestChooseOfManyGaps(t *testing.T) {
	t.Parallel()
	const n = 20_000 / RaceDivisor
	s := &blockSet{}
	var some []*loadedBlock
	for i := range int64(n) {
		for j, res := range []block.Resolution{hour, fine, raw} {
			m := &block.Meta{ULID: ulid.ULID{0: byte(j), 14: byte(i >> 8), 15: byte(i)}, MinTime: i * 10, MaxTime: i*10 + 9 - int64(j)}
			m.Thanos.Downsample.Resolution = res
			b := &loadedBlock{meta: m}
			testutil.Ok(t, s.add(b))
			if i%100 == 0 {
				some = append(some, b)
			}
		}
	}
	choose := func(want int) (took time.Duration) {
		start := time.Now()
		got := len(s.choose(nil, 0, n*10, hour, nil))
		took = time.Since(start)
		testutil.Equals(t, want, got)
		return took
	}
	took := choose(n)
	for _, b := range some {
		testutil.Assert(t, !s.remove(b))
	}
	took += choose(n - n/100)
	testutil.Assert(t, took < 3*time.Second, "took %v", took)
}

// TestReach adds and removes blocks of any length, and has their reach at any
// time.
func TestReach(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(1))
	s := &blockSet{}
	var all []*loadedBlock
	for i := range 3000 {
		if n := len(all); n > 20 || n > 0 && r.Intn(3) == 0 {
			at := r.Intn(n)
			testutil.Equals(t, n == 1, s.remove(all[at]))
			all = slices.Delete(all, at, at+1)
		} else {
			from := r.Int63n(100)
			m := &block.Meta{ULID: ulid.ULID{14: byte(i >> 8), 15: byte(i)}, MinTime: from, MaxTime: from + 1 + r.Int63n(50)}
			b := &loadedBlock{meta: m}
			testutil.Ok(t, s.add(b))
			all = append(all, b)
		}
		blocks, reach := s.blocks[len(resolutions)-1], s.reach[len(resolutions)-1]
		testutil.Equals(t, len(blocks), len(reach))
		most := int64(0)
		for j, b := range blocks {
			most = max(most, b.meta.MaxTime)
			testutil.Equals(t, most, reach[j])
		}
	}
}
