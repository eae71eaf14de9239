package compact_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

func TestPlanLevels(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	o := &compact.Options{}
	b.fill(0, 8*hour, 2*hour)
	// The newest block is left out; the range is not at its end.
	testutil.Equals(t, 0, len(b.plan(t, o).Jobs))
	b.fill(8*hour, 10*hour, 2*hour)
	p := b.plan(t, o)
	testutil.Equals(t, []string{"0-2+2-4+4-6+6-8 -> raw"}, jobs(p.Jobs))
	testutil.Equals(t, `0@{cluster="a"}`, p.Jobs[0].Group)
	testutil.Equals(t, false, p.Jobs[0].Vertical)
	testutil.Equals(t, "4 blocks of one range of 8h0m0s", p.Jobs[0].Why)
	b.settle(t, o)
	b.fill(10*hour, 50*hour, 2*hour)
	b.settle(t, o)
	testutil.Equals(t, "0-48 48-50", b.ranges(block.Raw))
	testutil.Equals(t, "0-48", b.ranges(block.FiveMinutes))

	// 5m goes through the levels on its own, and 1h is made on the way.
	b.fill(50*hour, 14*day+8*hour, 2*hour)
	b.settle(t, o)
	testutil.Equals(t, "0-336 336-338 338-340 340-342 342-344", b.ranges(block.Raw))
	testutil.Equals(t, "0-48 48-96 96-144 144-192 192-240 240-288 288-336", b.ranges(block.FiveMinutes))
	b.fill(14*day+8*hour, 16*day+2*hour, 2*hour)
	p = b.settle(t, o)
	testutil.Equals(t, "0-336 336-384", b.ranges(block.FiveMinutes))
	testutil.Equals(t, "0-336", b.ranges(block.OneHour))
	testutil.Equals(t, compact.Remaining{}, p.Remaining)
}

// What comes late makes all resolutions in one pass.
func TestPlanFused(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	b.fill(0, 14*day, 2*day)
	b.add(14*day, 14*day+2*hour)
	p := b.plan(t, &compact.Options{})
	testutil.Equals(t, []string{"0-48+48-96+96-144+144-192+192-240+240-288+288-336 -> raw,5m,1h"}, jobs(p.Jobs))
	testutil.Equals(t, compact.Remaining{Compactions: 1, CompactionBlocks: 7, Downsamplings: 2}, p.Remaining)

	// 5m that has had its time is not written.
	p = b.plan(t, &compact.Options{Retention: compact.Retention{FiveMinutes: hour}})
	testutil.Equals(t, []string{"0-48+48-96+96-144+144-192+192-240+240-288+288-336 -> raw,1h"}, jobs(p.Jobs))
	p = b.plan(t, &compact.Options{Downsampling: compact.DownsampleFiveMinutes})
	testutil.Equals(t, []string{"0-48+48-96+96-144+144-192+192-240+240-288+288-336 -> raw,5m"}, jobs(p.Jobs))
	p = b.plan(t, &compact.Options{Downsampling: compact.DownsampleNone})
	testutil.Equals(t, []string{"0-48+48-96+96-144+144-192+192-240+240-288+288-336 -> raw"}, jobs(p.Jobs))

	// Not for a source that is marked no-downsample.
	id := p.Jobs[0].Sources[3].ULID
	b.mark(id, block.NoDownsampleMark, block.ReasonManual)
	testutil.Equals(t, "0-48+48-96+96-144+144-192+192-240+240-288+288-336 -> raw", jobs(b.plan(t, &compact.Options{}).Jobs)[0])
	// One that cannot be downsampled is not merged with others, which can.
	b.blocks[id].Marks[block.NoDownsampleMark] = compact.Mark{}
	b.mark(id, block.NoDownsampleMark, compact.ReasonCorrupt)
	testutil.Equals(t, []string{"0-48+48-96+96-144 -> raw,5m", "192-240+240-288+288-336 -> raw,5m"}, jobs(b.plan(t, &compact.Options{}).Jobs))

	// 5m and 1h of one block alone.
	b = newBucket(start)
	b.fill(0, 14*day, 14*day)
	testutil.Equals(t, []string{"0-336 -> 5m,1h"}, jobs(b.plan(t, &compact.Options{}).Jobs))
}

// 5m is compacted on its own when raw is gone, and 1h made of it.
func TestPlanWithoutRaw(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	for at := time.Duration(0); at < 16*day; at += 2 * day {
		b.add(at, at+2*day, func(m *block.Meta) { m.Thanos.Downsample.Resolution = block.FiveMinutes })
	}
	b.now = start.Add(17 * day)
	p := b.plan(t, &compact.Options{})
	testutil.Equals(t, []string{"0-48+48-96+96-144+144-192+192-240+240-288+288-336 -> 5m,1h"}, jobs(p.Jobs))
	testutil.Equals(t, `300000@{cluster="a"}`, p.Jobs[0].Group)
	b = newBucket(start)
	b.add(0, 10*day, func(m *block.Meta) { m.Thanos.Downsample.Resolution = block.FiveMinutes })
	b.now = start.Add(17 * day)
	testutil.Equals(t, []string{"0-240 -> 1h"}, jobs(b.plan(t, &compact.Options{}).Jobs))

	// Where there is raw as well, 1h is made of 5m.
	b = newBucket(start)
	raw := b.add(0, 10*day)
	b.add(0, 10*day, withSources(block.FiveMinutes, raw))
	b.now = start.Add(17 * day)
	p = b.plan(t, &compact.Options{})
	testutil.Equals(t, []string{"0-240 -> 1h"}, jobs(p.Jobs))
	testutil.Equals(t, block.FiveMinutes, p.Jobs[0].Sources[0].Resolution())
}

// What is marked for deletion does not count as there.
func TestPlanMakesAnewWhatIsGoing(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	raw := b.add(0, 2*day)
	b.now = start.Add(3 * day)
	five := b.add(0, 2*day, withSources(block.FiveMinutes, raw))
	testutil.Equals(t, 0, len(b.plan(t, nil).Jobs))
	b.mark(five, block.DeletionMark, "")
	testutil.Equals(t, []string{"0-48 -> 5m"}, jobs(b.plan(t, nil).Jobs))
	b.blocks[five].Marks[block.DeletionMark] = compact.Mark{There: true, Err: block.ErrCorrupt}
	testutil.Equals(t, 0, len(b.plan(t, nil).Jobs))
	// 5m that has had its time is not made again.
	b.blocks[five].Marks[block.DeletionMark] = compact.Mark{}
	b.mark(five, block.DeletionMark, "")
	b.now = start.Add(30 * day)
	testutil.Equals(t, 0, len(b.plan(t, &compact.Options{Retention: compact.Retention{FiveMinutes: 20 * day}}).Jobs))
}

func TestPlanVertical(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	for _, replica := range []string{"0", "1"} {
		for at := time.Duration(0); at < 4*hour; at += 2 * hour {
			b.now = start.Add(at + 2*hour)
			b.add(at, at+2*hour, withLabels("cluster", "a", "replica", replica))
		}
	}
	b.now = start.Add(day)
	testutil.Equals(t, 0, len(b.plan(t, &compact.Options{}).Jobs))

	o := &compact.Options{ReplicaLabels: []string{"replica"}}
	p := b.plan(t, o)
	testutil.Equals(t, []string{"0-2+0-2 -> raw", "2-4+2-4 -> raw"}, jobs(p.Jobs))
	j := p.Jobs[0]
	testutil.Assert(t, j.Vertical)
	testutil.Equals(t, map[string]string{"cluster": "a"}, j.Labels)
	testutil.Equals(t, `0@{cluster="a"}`, j.Group)
	testutil.Equals(t, "0", j.Sources[0].Thanos.Labels["replica"])
	testutil.Equals(t, "1", j.Sources[1].Thanos.Labels["replica"])
	b.settle(t, o)
	testutil.Equals(t, "0-2 2-4", b.ranges(block.Raw))

	// Nothing but a replica label: Thanos keeps the first of them.
	b = newBucket(start)
	b.add(0, 2*hour, withLabels("replica", "0"))
	b.add(0, 2*hour, withLabels("replica", "1"))
	b.now = start.Add(day)
	testutil.Equals(t, map[string]string{"replica": "deduped"}, b.plan(t, o).Jobs[0].Labels)

	// Left alone, and the others go on.
	b = newBucket(start)
	b.fill(0, 8*hour, 2*hour)
	b.add(9*hour, 11*hour)
	b.add(10*hour, 12*hour)
	b.add(20*hour, 22*hour)
	p = b.plan(t, &compact.Options{Overlap: compact.OverlapLeave})
	testutil.Equals(t, []string{"0-2+2-4+4-6+6-8 -> raw"}, jobs(p.Jobs))
	testutil.Equals(t, 2, len(p.Skipped))
	testutil.Equals(t, compact.SkipOverlap, p.Skipped[0].Cause)
	p = b.plan(t, &compact.Options{})
	testutil.Equals(t, []string{"9-11+10-12 -> raw", "0-2+2-4+4-6+6-8 -> raw"}, jobs(p.Jobs))
}

// Downsampled blocks that overlap are merged, where Thanos marks them no-compact.
func TestPlanVerticalDownsampled(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	five := func(m *block.Meta) { m.Thanos.Downsample.Resolution = block.FiveMinutes }
	b.add(0, 2*day, withLabels("replica", "0"), five)
	b.add(0, 2*day, withLabels("replica", "1"), five)
	b.now = start.Add(10 * day)
	p := b.plan(t, &compact.Options{ReplicaLabels: []string{"replica"}})
	testutil.Equals(t, []string{"0-48+0-48 -> 5m"}, jobs(p.Jobs))
	testutil.Equals(t, 0, len(p.Marks))
}

// Marks are told of where they keep a block from something: nothing is made of 1h.
func TestPlanTellsOfMarks(t *testing.T) {
	t.Parallel()
	for res, want := range map[block.Resolution][]compact.SkipCause{
		block.Raw:         {compact.SkipNoCompact, compact.SkipNoDownsample},
		block.FiveMinutes: {compact.SkipNoCompact, compact.SkipNoDownsample},
		block.OneHour:     {compact.SkipNoCompact},
	} {
		b := newBucket(start)
		id := b.add(0, 20*day, withSources(res, b.id()))
		b.mark(id, block.NoCompactMark, block.ReasonManual)
		b.mark(id, block.NoDownsampleMark, block.ReasonManual)
		b.now = start.Add(30 * day)
		p := b.plan(t, &compact.Options{})
		testutil.Equals(t, 0, len(p.Jobs), res.String())
		var got []compact.SkipCause
		for _, s := range p.Skipped {
			testutil.Equals(t, id, s.Block)
			got = append(got, s.Cause)
		}
		testutil.Equals(t, want, got, res.String())
	}
}

func TestPlanIndexSize(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	sized := func(n int64) func(*block.Meta) {
		return func(m *block.Meta) { m.Thanos.Files[1].SizeBytes = n }
	}
	b.add(0, 2*hour, sized(10))
	large := b.add(2*hour, 4*hour, sized(70))
	b.add(4*hour, 6*hour, sized(10))
	b.add(6*hour, 8*hour, sized(10))
	b.add(8*hour, 10*hour)
	b.now = start.Add(day)
	p := b.plan(t, &compact.Options{MaxIndexBytes: 100})
	// 10+70+10 is not less than 85.
	testutil.Equals(t, []string{"4-6+6-8 -> raw"}, jobs(p.Jobs))
	testutil.Equals(t, 1, len(p.Marks))
	testutil.Equals(t, block.Mark{
		Kind: block.NoCompactMark, Block: large, Reason: block.ReasonIndexSize,
		Details: "with it, the index of the block that 4 blocks are merged into could be larger than 100 bytes",
	}, p.Marks[0].Mark)
	testutil.Equals(t, compact.MarkIndexSize, p.Marks[0].Cause)
	// 85% of 118 are 100, what all of them have.
	testutil.Equals(t, 1, len(b.plan(t, &compact.Options{MaxIndexBytes: 118}).Marks))
	testutil.Equals(t, 1, len(b.plan(t, &compact.Options{MaxIndexBytes: 119}).Jobs))
	testutil.Equals(t, 0, len(b.plan(t, &compact.Options{MaxIndexBytes: 119}).Marks))

	// Sizes that meta.json does not say are asked for.
	b.blocks[large].Meta.Thanos.Files = nil
	s := b.state()
	testutil.Equals(t, []ulid.ULID{large}, s.Unsized())
	i := slices.IndexFunc(s.Blocks, func(b compact.Block) bool { return b.Meta.ULID == large })
	s.Blocks[i].IndexBytes = 70
	testutil.Equals(t, 0, len(s.Unsized()))
	p, err := compact.MakePlan(s, &compact.Options{MaxIndexBytes: 100})
	testutil.Ok(t, err)
	testutil.Equals(t, large, p.Marks[0].Meta.ULID)
}

func TestPlanMarksSplitRanges(t *testing.T) {
	t.Parallel()
	for name, tcase := range map[string]struct {
		change func(b *bucket, id ulid.ULID)
		want   []string
	}{
		"no-compact": {func(b *bucket, id ulid.ULID) { b.mark(id, block.NoCompactMark, block.ReasonManual) }, []string{"4-6+6-8 -> raw"}},
		"not readable": {func(b *bucket, id ulid.ULID) {
			b.blocks[id].Marks[block.NoCompactMark] = compact.Mark{There: true, Err: block.ErrCorrupt}
		}, []string{"4-6+6-8 -> raw"}},
		"failed job": {func(b *bucket, id ulid.ULID) { b.blocks[id].NoCompact = "disk is full" }, []string{"4-6+6-8 -> raw"}},
		// It is not seen by everybody yet what replaces it.
		"marked for deletion": {func(b *bucket, id ulid.ULID) { b.mark(id, block.DeletionMark, "") }, []string{"4-6+6-8 -> raw"}},
		"marked long ago":     {func(b *bucket, id ulid.ULID) { b.mark(id, block.DeletionMark, ""); b.now = b.now.Add(25 * hour) }, []string{"0-2+4-6+6-8 -> raw"}},
		"fresh":               {func(b *bucket, id ulid.ULID) { b.blocks[id].Meta.Thanos.UploadTime = b.now.Add(-29 * time.Minute) }, []string{"0-2+4-6+6-8 -> raw"}},
		"not fresh":           {func(b *bucket, id ulid.ULID) { b.blocks[id].Meta.Thanos.UploadTime = b.now.Add(-30 * time.Minute) }, []string{"0-2+2-4+4-6+6-8 -> raw"}},
		"fresh by ULID":       {func(b *bucket, id ulid.ULID) { b.blocks[id].Meta.Thanos.UploadTime = time.Time{} }, []string{"0-2+2-4+4-6+6-8 -> raw"}},
		"fresh, compacted": {func(b *bucket, id ulid.ULID) {
			m := b.blocks[id].Meta
			m.Thanos.UploadTime, m.Thanos.Source = b.now, block.SourceCompactor
		}, []string{"0-2+2-4+4-6+6-8 -> raw"}},
		"fresh, repaired": {func(b *bucket, id ulid.ULID) {
			m := b.blocks[id].Meta
			m.Thanos.UploadTime, m.Thanos.Source = b.now, block.SourceBucketRepair
		}, []string{"0-2+2-4+4-6+6-8 -> raw"}},
		"compaction failed":  {func(b *bucket, id ulid.ULID) { b.blocks[id].Meta.Compaction.Failed = true }, []string{"10-12+12-14+14-16 -> raw"}},
		"unknown resolution": {func(b *bucket, id ulid.ULID) { b.blocks[id].Meta.Thanos.Downsample.Resolution = 1000 }, []string{"0-2+4-6+6-8 -> raw"}},
		"deletion mark not readable": {func(b *bucket, id ulid.ULID) {
			b.blocks[id].Marks[block.DeletionMark] = compact.Mark{There: true, Err: block.ErrUnsupported}
		}, []string{"4-6+6-8 -> raw"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBucket(start)
			ids := b.fill(0, 8*hour, 2*hour)
			b.fill(10*hour, 20*hour, 2*hour)
			tcase.change(b, ids[1])
			p := b.plan(t, &compact.Options{})
			testutil.Equals(t, tcase.want[0], jobs(p.Jobs)[0])
			testutil.Equals(t, 0, len(p.Deletes)+len(p.Marks))
		})
	}
}

// While blocks are not known, no gap is closed that they may fill.
func TestPlanIncompleteView(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	b.fill(0, 4*hour, 2*hour)
	b.fill(6*hour, 8*hour, 2*hour)
	b.fill(10*hour, 12*hour, 2*hour)
	s := b.state()
	p, err := compact.MakePlan(s, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"0-2+2-4+6-8 -> raw"}, jobs(p.Jobs))
	id := b.id()
	s.Unknown = map[ulid.ULID]error{id: errors.New("no access")}
	p, err = compact.MakePlan(s, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"0-2+2-4 -> raw"}, jobs(p.Jobs))
	testutil.Equals(t, []compact.Skip{{Block: id, Cause: compact.SkipUnreadable, Why: "no access"}}, p.Skipped)
}

func TestPlanTombstones(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	b.add(0, 8*hour, func(m *block.Meta) { m.Stats.NumTombstones = 1 })
	b.add(8*hour, 10*hour)
	b.now = start.Add(day)
	p := b.plan(t, nil)
	testutil.Equals(t, []string{"0-8 -> raw"}, jobs(p.Jobs))
	testutil.Equals(t, compact.Compact, p.Jobs[0].Kind)
	testutil.Equals(t, 1, p.Remaining.Compactions)
}

func TestPlanGarbage(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	x, y := b.add(0, 2*hour), b.add(2*hour, 4*hour)
	none := b.add(0, 2*hour, func(m *block.Meta) { m.Compaction.Sources = nil; m.Thanos.Labels["cluster"] = "b" })
	both := b.add(0, 4*hour, withSources(block.Raw, y, x))
	again := b.add(0, 4*hour, withSources(block.Raw, x, y))
	b.add(0, 4*hour, withSources(block.FiveMinutes, x, y))
	b.now = start.Add(day)
	p := b.plan(t, nil)
	var got []ulid.ULID
	for _, m := range p.Marks {
		testutil.Equals(t, compact.MarkReplaced, m.Cause)
		testutil.Equals(t, block.DeletionMark, m.Mark.Kind)
		got = append(got, m.Meta.ULID)
	}
	testutil.Equals(t, []ulid.ULID{x, again, y}, got)
	testutil.Equals(t, "all of its sources are in "+both.String(), p.Marks[0].Why)
	_ = none

	// What is going itself replaces nothing, and neither does what is damaged.
	b.apply(p)
	b.blocks[x].Marks[block.DeletionMark] = compact.Mark{}
	b.mark(both, block.DeletionMark, "")
	testutil.Equals(t, 0, len(b.plan(t, nil).Marks))
	b.blocks[both].Marks[block.DeletionMark] = compact.Mark{}
	b.mark(both, block.NoCompactMark, compact.ReasonCorrupt)
	testutil.Equals(t, 0, len(b.plan(t, nil).Marks))
	// Nor does what may be, which stays, too: whatever is the matter with it will be known.
	quarantine := b.blocks[both].Marks[block.NoCompactMark]
	b.blocks[both].Marks[block.NoCompactMark] = compact.Mark{There: true, Err: block.ErrIncomplete}
	b.blocks[y].Marks[block.DeletionMark] = compact.Mark{}
	testutil.Equals(t, 0, len(b.plan(t, nil).Marks))
	b.blocks[both].Marks[block.NoCompactMark] = quarantine
	// All that should be in it is there.
	p = b.plan(t, nil)
	testutil.Equals(t, 1, len(p.Marks))
	testutil.Equals(t, both, p.Marks[0].Meta.ULID)
}

func TestPlanDeletes(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	old := b.add(0, 2*hour)
	b.mark(old, block.DeletionMark, "")
	since := b.now
	b.now = since.Add(48 * hour)
	p := b.plan(t, nil)
	testutil.Equals(t, 0, len(p.Deletes))
	testutil.Equals(t, compact.SkipMarked, p.Skipped[0].Cause)
	b.now = b.now.Add(time.Second)
	p = b.plan(t, nil)
	testutil.Equals(t, 1, len(p.Deletes))
	testutil.Equals(t, compact.DeleteAction{Block: old, Meta: b.blocks[old].Meta, Cause: compact.DeleteMarked, Since: since, Why: "marked 2024-06-06 00:00:00Z"}, p.Deletes[0])
	b.now = since.Add(time.Second)
	testutil.Equals(t, 1, len(b.plan(t, &compact.Options{DeleteDelay: -1}).Deletes))

	// It is not known since when readers have had time.
	b.now = since.Add(1000 * day)
	b.blocks[old].Marks[block.DeletionMark] = compact.Mark{There: true, Err: block.ErrCorrupt}
	p = b.plan(t, nil)
	testutil.Equals(t, 0, len(p.Deletes))
	testutil.Equals(t, compact.SkipUnreadable, p.Skipped[0].Cause)
}

func TestPlanPartials(t *testing.T) {
	t.Parallel()
	now := start
	old := ulid.MustNew(uint64(now.Add(-1000*day).UnixMilli()), rand.NewChaCha8([32]byte{1}))
	partial := func(change func(*compact.Partial)) *compact.Plan {
		part := compact.Partial{Block: old, Err: block.ErrPartial, Newest: now.Add(-48 * hour)}
		change(&part)
		p, err := compact.MakePlan(&compact.State{Now: now, Partials: []compact.Partial{part}}, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(p.Deletes)+len(p.Skipped))
		return p
	}
	// It was made long ago, and somebody still uploads it.
	testutil.Equals(t, "no whole meta.json; newest object written 2024-06-04 00:00:00Z", partial(func(*compact.Partial) {}).Skipped[0].Why)
	testutil.Equals(t, compact.SkipPartial, partial(func(p *compact.Partial) { p.Newest = time.Time{} }).Skipped[0].Cause)
	p := partial(func(p *compact.Partial) { p.Newest = now.Add(-48*hour - 1) })
	testutil.Equals(t, compact.DeletePartial, p.Deletes[0].Cause)
	testutil.Equals(t, old, p.Deletes[0].Block)
	// What cannot be read is no upload that nobody goes on with.
	testutil.Equals(t, compact.SkipUnreadable, partial(func(p *compact.Partial) { p.Err, p.Newest = block.ErrCorrupt, now.Add(-1000*day) }).Skipped[0].Cause)
	// A deletion that has not ended goes on when it was due.
	marked := func(ago time.Duration) func(*compact.Partial) {
		return func(p *compact.Partial) {
			p.Newest = now.Add(-1000 * day)
			p.Deletion = compact.Mark{There: true, Mark: &block.Mark{Kind: block.DeletionMark, Block: old, Time: now.Add(-ago), Details: "outdated"}}
		}
	}
	testutil.Equals(t, compact.SkipMarked, partial(marked(48 * hour)).Skipped[0].Cause)
	p = partial(marked(49 * hour))
	testutil.Equals(t, compact.DeleteMarked, p.Deletes[0].Cause)
	testutil.Equals(t, "deletion has not ended; marked 2024-06-03 23:00:00Z: outdated", p.Deletes[0].Why)

	testutil.Equals(t, false, compact.PartialAbandoned(now.Add(-hour), now, &compact.Options{PartialAge: hour}))
	testutil.Equals(t, true, compact.PartialAbandoned(now.Add(-hour-1), now, &compact.Options{PartialAge: hour}))
	testutil.Equals(t, false, compact.PartialAbandoned(time.Time{}, now, nil))
}

// A plan does not depend on the order of the blocks, nor on the run.
func TestPlanIsDeterministic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 7))
		b, o := randomBucket(r, true), randomOptions(r)
		s := b.state()
		want, err := compact.MakePlan(s, o)
		testutil.Ok(t, err)
		r.Shuffle(len(s.Blocks), func(i, j int) { s.Blocks[i], s.Blocks[j] = s.Blocks[j], s.Blocks[i] })
		got, err := compact.MakePlan(s, o)
		testutil.Ok(t, err)
		testutil.Equals(t, want, got)
	}
}

// What remains is what is then done, if nothing comes in between.
func TestPlanRemaining(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 8))
		b := randomBucket(r, false)
		o := &compact.Options{}
		b.apply(b.plan(t, o))
		p := b.plan(t, o)
		want, got := p.Remaining, compact.Remaining{}
		for len(p.Jobs) > 0 {
			for i := range p.Jobs {
				j := &p.Jobs[i]
				b.run(j)
				got.Downsamplings += len(j.Outputs)
				if j.Kind == compact.Compact {
					got.Downsamplings--
					got.Compactions++
					got.CompactionBlocks += len(j.Sources)
				}
			}
			p = b.plan(t, o)
		}
		testutil.Equals(t, want, got)
	}
}
