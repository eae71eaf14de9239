package compactplan_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	promtestutil "github.com/prometheus/client_golang/prometheus/testutil"
	theirblock "github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	theircompact "github.com/thanos-io/thanos/pkg/compact"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

func gauges() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, []string{"state"})
}

func ranges() []int64 {
	var out []int64
	for _, r := range compact.DefaultRanges() {
		out = append(out, r.Milliseconds())
	}
	return out
}

// groups are the blocks by group, in the order of time.
func (b *blocks) groups() map[string][]*block.Meta {
	out := map[string][]*block.Meta{}
	for _, m := range b.all {
		out[m.GroupKey()] = append(out[m.GroupKey()], m)
	}
	for _, g := range out {
		slices.SortFunc(g, func(x, y *block.Meta) int {
			return cmp.Or(cmp.Compare(x.MinTime, y.MinTime), cmp.Compare(x.MaxTime, y.MaxTime), x.ULID.Compare(y.ULID))
		})
	}
	return out
}

// theirPlan returns what Thanos' planner, with its filter of large indexes, has
// compacted next in each group, and notes what it marks.
func (b *blocks) theirPlan(t testing.TB, maxIndex int64) map[string][]ulid.ULID {
	t.Helper()
	bkt := b.bucket(t)
	filter := theircompact.NewGatherNoCompactionMarkFilter(log.NewNopLogger(), bkt, 1)
	testutil.Ok(t, filter.Filter(t.Context(), b.metas(t), gauges(), gauges()))
	tsdb := theircompact.NewPlanner(log.NewNopLogger(), ranges(), filter)
	planner := theircompact.WithLargeTotalIndexSizeFilter(tsdb, bkt, maxIndex, prometheus.NewCounter(prometheus.CounterOpts{}))
	out := map[string][]ulid.ULID{}
	for key, group := range b.groups() {
		if len(group) == 1 {
			continue
		}
		var metas []*metadata.Meta
		for _, m := range group {
			metas = append(metas, theirs(t, m))
		}
		planned, err := planner.Plan(t.Context(), metas, nil, nil)
		testutil.Ok(t, err)
		for _, m := range planned {
			out[key] = append(out[key], m.ULID)
		}
	}
	for id := range b.all {
		there, err := bkt.Exists(t.Context(), block.ObjectName(id, block.NoCompactMarkFile))
		testutil.Ok(t, err)
		if there {
			b.mark[id] = true
		}
	}
	return out
}

// TestSameBlocksAreCompacted merges what Thanos' planner picks until it picks
// nothing, and what ours picks until it picks nothing.
func TestSameBlocksAreCompacted(t *testing.T) {
	t.Parallel()
	o := &compact.Options{Downsampling: compact.DownsampleNone, ConsistencyDelay: -1, MaxIndexBytes: 800}
	merged, marked := 0, 0
	for seed := range uint64(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			b := random(r, seed%2 == 1)
			b.now = b.now.Add(1000 * day)
			ours := b.clone()
			for first := true; ; first = false {
				before := b.clone()
				picked := b.theirPlan(t, o.MaxIndexBytes)
				p := before.plan(t, o)
				if first {
					// The first job of each group is theirs.
					for key, ids := range picked {
						testutil.Assert(t, slices.ContainsFunc(p.Jobs, func(j compact.Job) bool {
							return j.Group == key && slices.EqualFunc(j.Sources, ids, func(m *block.Meta, id ulid.ULID) bool { return m.ULID == id })
						}), "%s: %v is not planned", key, ids)
					}
				}
				if len(picked) == 0 {
					break
				}
				b.mergeAll(picked)
				merged += len(picked)
			}
			for {
				p := ours.plan(t, o)
				for _, m := range p.Marks {
					testutil.Equals(t, compact.MarkIndexSize, m.Cause)
					ours.mark[m.Meta.ULID] = true
					marked++
				}
				for _, j := range p.Jobs {
					ours.merge(j.Sources)
				}
				if len(p.Jobs) == 0 {
					break
				}
			}
			testutil.Equals(t, b.String(), ours.String())
		})
	}
	t.Logf("%d compactions, %d blocks marked for the size of the index", merged, marked)
	testutil.Assert(t, merged > 1000 && marked > 10)
}

// TestSameBlocksAreDownsampled compares how many blocks are to be downsampled, of
// buckets with nothing left to compact. Raw and 5m are looked at apart, and no two
// blocks of a resolution have sources in common: else ours makes fewer, since it
// leaves out what another one of the same plan makes.
func TestSameBlocksAreDownsampled(t *testing.T) {
	t.Parallel()
	total := 0
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := random(r, false)
		b.mark = map[ulid.ULID]bool{}
		for _, m := range b.all {
			b.mark[m.ULID] = true // Nothing is compacted.
		}
		b.shareSources(r, false)
		for id, m := range b.all {
			switch {
			case seed%2 == 0 && m.Resolution() == block.FiveMinutes:
				m.MaxTime = m.MinTime + time.Hour.Milliseconds()
			case seed%2 == 1 && m.Resolution() == block.Raw:
				delete(b.all, id)
			}
		}
		_, duplicates := b.theirDuplicates(t)
		for id := range duplicates {
			delete(b.all, id)
		}
		gs := b.theirGroups(t)
		reg := prometheus.NewRegistry()
		testutil.Ok(t, theircompact.NewDownsampleProgressCalculator(reg).ProgressCalculate(t.Context(), gs))
		want := gauge(t, reg, "thanos_compact_todo_downsample_blocks")
		p := b.plan(t, &compact.Options{ConsistencyDelay: -1})
		testutil.Equals(t, want, len(p.Jobs), "seed %d", seed)
		total += want
	}
	testutil.Assert(t, total > 250, "only %d blocks are downsampled", total)
}

// shareSources has some downsampled blocks be of raw ones, all or a part of them. If
// shared is set, blocks of one resolution have sources in common, too.
func (b *blocks) shareSources(r *rand.Rand, shared bool) {
	var raw []*block.Meta
	sorted := slices.SortedFunc(maps.Keys(b.all), ulid.ULID.Compare)
	for _, id := range sorted {
		m := b.all[id]
		if m.Resolution() != block.Raw {
			continue
		}
		if other := ulid.MustNew(m.ULID.Time(), r2{r}); r.IntN(4) == 0 && len(raw) > 0 {
			if shared {
				other = raw[r.IntN(len(raw))].ULID
			}
			m.Compaction.Sources = append(slices.Clone(m.Compaction.Sources), other)
		}
		raw = append(raw, m)
	}
	left := map[block.Resolution][]*block.Meta{block.FiveMinutes: slices.Clone(raw), block.OneHour: slices.Clone(raw)}
	for _, id := range sorted {
		m := b.all[id]
		of := left[m.Resolution()]
		if len(of) == 0 || r.IntN(2) == 0 {
			continue
		}
		m.Compaction.Sources = nil
		for range min(1+r.IntN(3), len(of)) {
			i := r.IntN(len(of))
			m.Compaction.Sources = append(m.Compaction.Sources, of[i].Compaction.Sources[r.IntN(len(of[i].Compaction.Sources)):]...)
			if !shared {
				of = slices.Delete(of, i, i+1)
			}
		}
		left[m.Resolution()] = of
		slices.SortFunc(m.Compaction.Sources, ulid.ULID.Compare)
		m.Compaction.Sources = slices.Compact(m.Compaction.Sources)
	}
}

func (b *blocks) theirGroups(t testing.TB) []*theircompact.Group {
	t.Helper()
	c := prometheus.NewCounter(prometheus.CounterOpts{})
	grouper := theircompact.NewDefaultGrouper(log.NewNopLogger(), b.bucket(t), false, true, nil, c, c, c, metadata.NoneFunc, 1, 1)
	gs, err := grouper.Groups(b.metas(t))
	testutil.Ok(t, err)
	return gs
}

func gauge(t testing.TB, reg *prometheus.Registry, name string) int {
	t.Helper()
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// theirDuplicates returns the blocks that Thanos has replaced.
func (b *blocks) theirDuplicates(t testing.TB) (string, map[ulid.ULID]bool) {
	t.Helper()
	f := theirblock.NewDeduplicateFilter(1)
	testutil.Ok(t, f.Filter(t.Context(), b.metas(t), gauges(), gauges()))
	out := map[ulid.ULID]bool{}
	for _, id := range f.DuplicateIDs() {
		out[id] = true
	}
	return fmt.Sprint(slices.SortedFunc(maps.Keys(out), ulid.ULID.Compare)), out
}

func TestSameBlocksAreReplaced(t *testing.T) {
	t.Parallel()
	total := 0
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := random(r, false)
		b.shareSources(r, true)
		want, ids := b.theirDuplicates(t)
		total += len(ids)
		got := map[ulid.ULID]bool{}
		for _, m := range b.plan(t, &compact.Options{ConsistencyDelay: -1}).Marks {
			if m.Cause == compact.MarkReplaced {
				got[m.Meta.ULID] = true
			}
		}
		testutil.Equals(t, want, fmt.Sprint(slices.SortedFunc(maps.Keys(got), ulid.ULID.Compare)))
	}
	testutil.Assert(t, total > 150, "only %d blocks are replaced", total)
}

// TestSameBlocksAreExpired compares what is marked because of retention, without
// the interlock that Thanos does not have.
func TestSameBlocksAreExpired(t *testing.T) {
	t.Parallel()
	total := 0
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 4))
		b := random(r, false)
		_, duplicates := b.theirDuplicates(t)
		testutil.Equals(t, 0, len(duplicates))
		b.now = time.Now()
		for _, m := range b.all {
			// Some minutes away from where it is decided: Thanos looks at a later clock.
			m.MaxTime = b.now.Add(-40*day).UnixMilli() + r.Int64N(1000) + int64(r.IntN(6)*2-5)*1000*600
			m.MinTime = m.MaxTime - time.Hour.Milliseconds()
			b.mark[m.ULID] = true
		}
		o := &compact.Options{
			ConsistencyDelay: -1, Interlock: compact.InterlockOff,
			Retention: compact.Retention{Raw: 40 * day, FiveMinutes: 40*day + 20*time.Minute},
		}
		bkt, counter := b.bucket(t), prometheus.NewCounter(prometheus.CounterOpts{})
		testutil.Ok(t, theircompact.ApplyRetentionPolicyByResolution(t.Context(), log.NewNopLogger(), bkt, b.metas(t), map[theircompact.ResolutionLevel]time.Duration{
			theircompact.ResolutionLevelRaw: o.Retention.Raw, theircompact.ResolutionLevel5m: o.Retention.FiveMinutes,
		}, counter))
		var want, got []string
		for id := range b.all {
			there, err := bkt.Exists(t.Context(), block.ObjectName(id, block.DeletionMarkFile))
			testutil.Ok(t, err)
			if there {
				want = append(want, id.String())
			}
		}
		p := b.plan(t, o)
		for _, m := range p.Marks {
			got = append(got, m.Meta.ULID.String())
		}
		slices.Sort(want)
		slices.Sort(got)
		testutil.Equals(t, want, got)
		testutil.Equals(t, len(want), p.Remaining.Deletions)
		testutil.Equals(t, len(want), int(promtestutil.ToFloat64(counter)))
		total += len(want)
	}
	testutil.Assert(t, total > 500, "only %d blocks have had their time", total)
}

// TestSameRemaining compares the estimates of what is left to compact with what
// Thanos' planner then picks. Thanos' own estimate is never more, but often less: it
// gives all blocks that it makes in one second the same ULID, and takes one for the
// other.
func TestSameRemaining(t *testing.T) {
	t.Parallel()
	less := 0
	for seed := range uint64(25) {
		b := random(rand.New(rand.NewPCG(seed, 5)), false)
		b.mark = map[ulid.ULID]bool{}
		for _, m := range b.all {
			m.Stats.NumTombstones, m.Compaction.Failed = 0, false
		}
		reg := prometheus.NewRegistry()
		planner := theircompact.NewTSDBBasedPlanner(log.NewNopLogger(), ranges())
		testutil.Ok(t, theircompact.NewCompactionProgressCalculator(reg, planner).ProgressCalculate(t.Context(), b.theirGroups(t)))
		p := b.plan(t, &compact.Options{ConsistencyDelay: -1, Downsampling: compact.DownsampleNone})
		want := compact.Remaining{}
		for picked := b.theirPlan(t, 1<<40); len(picked) > 0; picked = b.theirPlan(t, 1<<40) {
			for _, ids := range picked {
				want.Compactions++
				want.CompactionBlocks += len(ids)
			}
			b.mergeAll(picked)
		}
		testutil.Equals(t, want, p.Remaining)
		estimate := gauge(t, reg, "thanos_compact_todo_compactions")
		testutil.Assert(t, estimate <= want.Compactions)
		if estimate < want.Compactions {
			less++
		}
	}
	testutil.Assert(t, less > 0, "Thanos' estimate is right")
}
