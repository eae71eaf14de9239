package compact_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// randomBucket returns a bucket with up to three streams of blocks with gaps, from
// up to three replicas, some late, some marked.
func randomBucket(r *rand.Rand, replicas bool) *bucket {
	b := newBucket(start)
	spans := []time.Duration{2 * hour, 2 * hour, 2 * hour, 8 * hour, hour, 2 * day}
	for s := range 1 + r.IntN(3) {
		copies := 1
		if replicas {
			copies = 1 + r.IntN(3)
		}
		for c := range copies {
			at, end := time.Duration(r.IntN(40))*hour, time.Duration(r.IntN(40))*day
			for at < end {
				span := spans[r.IntN(len(spans))]
				at = at.Truncate(span) + span
				if r.IntN(12) == 0 {
					at += time.Duration(r.IntN(60)) * hour
					at = at.Truncate(hour)
				}
				from := at
				if replicas && r.IntN(30) == 0 {
					from -= time.Duration(r.IntN(10)) * hour
				}
				b.now = start.Add(at + span)
				id := b.add(from, at+span, withLabels("stream", fmt.Sprint(s), "replica", fmt.Sprint(c)))
				switch r.IntN(80) {
				case 0:
					b.mark(id, block.NoCompactMark, block.ReasonManual)
				case 1:
					b.mark(id, block.NoCompactMark, compact.ReasonUnsupported)
				case 2:
					b.mark(id, block.NoDownsampleMark, compact.ReasonCorrupt)
				case 3:
					b.mark(id, block.NoDownsampleMark, block.ReasonOutOfOrderChunks)
				}
			}
		}
	}
	b.now = start.Add(41 * day)
	return b
}

// randomOptions are any that lose nothing.
func randomOptions(r *rand.Rand) *compact.Options {
	o := &compact.Options{ReplicaLabels: []string{"replica"}, Downsampling: compact.Downsampling(r.IntN(3))}
	if r.IntN(4) == 0 {
		o.ReplicaLabels = nil
	}
	if r.IntN(4) == 0 {
		o.MaxIndexBytes = 6 << 20
	}
	if r.IntN(2) == 0 {
		any := func() time.Duration { return time.Duration(r.IntN(3)) * time.Duration(r.IntN(20)) * day }
		o.Retention = compact.Retention{Raw: any(), FiveMinutes: any(), OneHour: any()}
	}
	return o
}

// kept reports whether what ends at a time is kept at a resolution.
func kept(o *compact.Options, res block.Resolution, maxTime int64, now time.Time) bool {
	keep := o.Retention.Of(res)
	return keep == 0 || !now.After(time.Unix(maxTime/1000, 0).Add(keep))
}

func made(o *compact.Options, res block.Resolution) bool {
	switch res {
	case block.Raw:
	case block.FiveMinutes:
		return o.Downsampling != compact.DownsampleNone
	case block.OneHour:
		return o.Downsampling == compact.DownsampleAll
	}
	return true
}

// checkNothingLost fails unless each block that was ever uploaded is, with all of
// its range, in a block that stays: for each resolution at which it is to be kept,
// at that one or a finer one.
func (b *bucket) checkNothingLost(t *testing.T, o *compact.Options) {
	t.Helper()
	live := b.live()
	bySource := map[ulid.ULID][]*block.Meta{}
	for _, m := range live {
		for _, s := range m.Compaction.Sources {
			bySource[s] = append(bySource[s], m)
		}
	}
	for id, origin := range b.origin {
		for _, res := range []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour} {
			if !made(o, res) || !kept(o, res, origin.MaxTime, b.now) {
				continue
			}
			if !slices.ContainsFunc(bySource[id], func(m *block.Meta) bool {
				return m.Resolution() <= res && m.MinTime <= origin.MinTime && m.MaxTime >= origin.MaxTime
			}) {
				t.Fatalf("%s is nowhere at %s or finer, %s", origin, res, b.now.Sub(start))
			}
		}
	}
}

// checkNoneContained fails if the sources of a block that stays are all in another
// one of its group.
func (b *bucket) checkNoneContained(t *testing.T, o *compact.Options) {
	t.Helper()
	live := b.live()
	key := func(m *block.Meta) string {
		l := m.Thanos.Labels
		if len(o.ReplicaLabels) > 0 {
			return fmt.Sprint(m.Resolution(), l["stream"])
		}
		return m.GroupKey()
	}
	for _, x := range live {
		for _, y := range live {
			if x != y && key(x) == key(y) && !slices.ContainsFunc(x.Compaction.Sources, func(s ulid.ULID) bool {
				return !slices.Contains(y.Compaction.Sources, s)
			}) {
				t.Fatalf("the sources of %s are all in %s", x, y)
			}
		}
	}
}

// checkJobs fails unless the jobs of a plan do not depend on each other, and make
// nothing that there is already.
func (b *bucket) checkJobs(t *testing.T, p *compact.Plan) {
	t.Helper()
	used := map[ulid.ULID]bool{}
	has := map[block.Resolution]map[ulid.ULID]bool{block.FiveMinutes: {}, block.OneHour: {}}
	for _, m := range b.live() {
		for _, s := range m.Compaction.Sources {
			if m.Resolution() > 0 {
				has[m.Resolution()][s] = true
			}
		}
	}
	for i := range p.Jobs {
		j := &p.Jobs[i]
		if i > 0 && p.Jobs[i-1].Kind > j.Kind {
			t.Fatal("a compaction comes after a downsampling")
		}
		fresh := map[block.Resolution]bool{}
		for _, m := range j.Sources {
			testutil.Assert(t, !used[m.ULID], "two jobs have %s", m)
			used[m.ULID] = true
			testutil.Assert(t, j.MinTime <= m.MinTime && m.MaxTime <= j.MaxTime, "%s is not within the output", m)
			for _, res := range j.Outputs {
				for _, s := range m.Compaction.Sources {
					fresh[res] = fresh[res] || !has[res][s]
				}
			}
		}
		for i, res := range j.Outputs {
			if j.Kind == compact.Compact && i == 0 {
				testutil.Equals(t, j.Sources[0].Resolution(), res)
				continue
			}
			testutil.Assert(t, res > j.Sources[0].Resolution(), "%s of %s", res, j.Sources[0])
			// A block that was merged across a gap has a range that what was made of its
			// parts has not: retention has it downsampled again.
			again := j.Kind == compact.DownsampleOnly && strings.HasPrefix(j.Why, "retention")
			testutil.Assert(t, fresh[res] || again, "%s is made of %s again", res, j.Sources[0])
		}
	}
}

// TestPlansLoseNothingAndEnd carries out plans on random buckets, cut off at random,
// while time goes on, until nothing is left to do.
func TestPlansLoseNothingAndEnd(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60 / raceDivisor) {
		r := rand.New(rand.NewPCG(seed, 6))
		o := randomOptions(r)
		b := randomBucket(r, r.IntN(2) == 0)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			// Retention that has been there from the beginning takes only what has had
			// its time: nothing must be lost before that.
			if o.Retention != (compact.Retention{}) {
				b.forgetOld(o)
			}
			var old *compact.Plan
			for range 12 {
				old = b.interrupted(t, r, o, old)
				b.now = b.now.Add(time.Duration(r.IntN(30)) * hour)
			}
			p := b.settle(t, o)
			b.checkNothingLost(t, o)
			b.checkNoneContained(t, o)
			testutil.Equals(t, 0, p.Remaining.Compactions)
			testutil.Equals(t, 0, p.Remaining.Downsamplings)
			for _, h := range p.Held {
				testutil.Assert(t, b.blocks[h.Meta.ULID].Marks[block.NoDownsampleMark].There, "%s is held: %s", h.Meta, h.Why)
			}
		}) {
			return
		}
	}
}

// forgetOld has nothing expected of blocks that had had their time at every
// resolution before there was a first plan.
func (b *bucket) forgetOld(o *compact.Options) {
	for id, m := range b.origin {
		gone := true
		for _, res := range []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour} {
			gone = gone && !(made(o, res) && kept(o, res, m.MaxTime, b.now))
		}
		if gone {
			delete(b.origin, id)
		}
	}
}

// interrupted carries out a part of a plan, jobs in any order and not to their end,
// and jobs of the plan before, as another compactor does that is late. It returns
// the plan.
func (b *bucket) interrupted(t *testing.T, r *rand.Rand, o *compact.Options, old *compact.Plan) *compact.Plan {
	p := b.plan(t, o)
	b.checkJobs(t, p)
	if old != nil {
		for i := range old.Jobs {
			if r.IntN(6) == 0 {
				b.run(&old.Jobs[i])
				b.checkNothingLost(t, o)
			}
		}
	}
	if r.IntN(3) > 0 {
		b.apply(p)
		b.checkNothingLost(t, o)
	}
	for _, i := range r.Perm(len(p.Jobs)) {
		j := &p.Jobs[i]
		switch r.IntN(5) {
		case 0: // Not run.
		case 1: // Cut off between uploads.
			for _, k := range r.Perm(len(j.Outputs))[:r.IntN(len(j.Outputs)+1)] {
				b.upload(j, j.Outputs[k])
			}
		case 2: // Cut off between marks.
			for _, res := range j.Outputs {
				b.upload(j, res)
			}
			if j.Kind == compact.Compact {
				b.mark(j.Sources[r.IntN(len(j.Sources))].ULID, block.DeletionMark, "")
			}
		default:
			b.run(j)
		}
		b.checkNothingLost(t, o)
	}
	return p
}
