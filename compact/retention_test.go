package compact_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// fill uploads blocks of one range after the other.
func (b *bucket) fill(from, to, span time.Duration, change ...func(*block.Meta)) (ids []ulid.ULID) {
	for ; from < to; from += span {
		b.now = start.Add(from + span)
		ids = append(ids, b.add(from, from+span, change...))
	}
	b.now = start.Add(to).Add(2 * hour)
	return ids
}

// marks shows marks by cause: "retention 0-2".
func marks(p *compact.Plan) (out []string) {
	for _, m := range p.Marks {
		out = append(out, fmt.Sprintf("%s %d-%d", m.Cause, (m.Meta.MinTime-start.UnixMilli())/3600000, (m.Meta.MaxTime-start.UnixMilli())/3600000))
	}
	return out
}

// A cluster that died after 6 hours never fills a range from which on blocks are
// downsampled. Thanos deletes it with the retention of raw.
func TestInterlockDeadCluster(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	b.fill(0, 6*hour, 2*hour)
	o := &compact.Options{Retention: compact.Retention{Raw: 7 * day, FiveMinutes: 30 * day}}
	b.settle(t, o)
	testutil.Equals(t, "0-2 2-4 4-6", b.ranges(block.Raw))
	testutil.Equals(t, "", b.ranges(block.FiveMinutes))

	b.now = start.Add(7*day + 7*hour)
	p := b.plan(t, o)
	testutil.Equals(t, []string{"0-2 -> 5m", "2-4 -> 5m", "4-6 -> 5m"}, jobs(p.Jobs))
	testutil.Equals(t, 0, len(p.Marks))
	testutil.Equals(t, 3, len(p.Held))
	testutil.Equals(t, "downsampled to 5m now", p.Held[0].Why)
	testutil.Equals(t, start.Add(7*day+2*hour).Unix(), p.Held[0].Since.Unix())
	b.run(&p.Jobs[1])
	testutil.Equals(t, []string{"retention 2-4"}, marks(b.plan(t, o)))
	b.settle(t, o)
	testutil.Equals(t, "", b.ranges(block.Raw))
	testutil.Equals(t, "0-2 2-4 4-6", b.ranges(block.FiveMinutes))

	// 1h is made of them when they have had their time.
	b.now = start.Add(31 * day)
	b.settle(t, o)
	testutil.Equals(t, "", b.ranges(block.FiveMinutes))
	testutil.Equals(t, "0-2 2-4 4-6", b.ranges(block.OneHour))

	// Without the interlock nothing is left.
	b = newBucket(start)
	b.fill(0, 6*hour, 2*hour)
	b.now = start.Add(7*day + 7*hour)
	o.Interlock = compact.InterlockOff
	b.settle(t, o)
	testutil.Equals(t, 0, len(b.live()))
}

func TestInterlockQuarantinedBlock(t *testing.T) {
	t.Parallel()
	bad := func(reason string) (*bucket, ulid.ULID) {
		b := newBucket(start)
		ids := b.fill(0, 6*hour, 2*hour)
		b.mark(ids[1], block.NoDownsampleMark, reason)
		b.now = start.Add(7*day + 7*hour)
		return b, ids[1]
	}
	o := func(maxHold time.Duration) *compact.Options {
		return &compact.Options{Retention: compact.Retention{Raw: 7 * day}, MaxHold: maxHold}
	}

	// What cannot be downsampled stays, for as long as MaxHold says.
	for _, reason := range []string{compact.ReasonCorrupt, compact.ReasonUnsupported, block.ReasonOutOfOrderChunks, block.ReasonIndexSize} {
		b, id := bad(reason)
		p := b.settle(t, o(0))
		testutil.Equals(t, "2-4", b.ranges(block.Raw))
		testutil.Equals(t, "0-2 4-6", b.ranges(block.FiveMinutes))
		testutil.Equals(t, 1, len(p.Held))
		testutil.Equals(t, id, p.Held[0].Meta.ULID)
		testutil.Equals(t, "cannot be downsampled: marked "+reason, p.Held[0].Why)
		testutil.Assert(t, p.Held[0].Until.IsZero())
		b.now = b.now.Add(1000 * day)
		b.settle(t, o(0))
		testutil.Equals(t, "2-4", b.ranges(block.Raw))
	}
	b, _ := bad(compact.ReasonCorrupt)
	p := b.settle(t, o(day))
	testutil.Equals(t, start.Add(8*day+4*hour).Unix(), p.Held[0].Until.Unix())
	b.now = start.Add(8*day + 4*hour + time.Second)
	testutil.Equals(t, []string{"retention-uncovered 2-4"}, marks(b.plan(t, o(day))))

	// What somebody does not want to be downsampled goes, and is told apart.
	for _, reason := range []string{block.ReasonManual, compact.ReasonNothingLeft} {
		b, _ := bad(reason)
		testutil.Equals(t, []string{"retention-uncovered 2-4"}, marks(b.plan(t, o(0))))
	}

	// A job that failed is no reason to delete anything.
	b, id := bad(block.ReasonManual)
	b.blocks[id].Marks[block.NoDownsampleMark] = compact.Mark{}
	b.blocks[id].NoDownsample = "disk is full"
	p = b.plan(t, o(0))
	testutil.Equals(t, 0, len(p.Marks))
	testutil.Equals(t, []string{"0-2 -> 5m", "4-6 -> 5m"}, jobs(p.Jobs))
}

// Of 5m that is damaged nothing is known, so that the raw block stays until there
// is another one.
func TestInterlockIsNotSatisfiedByDamage(t *testing.T) {
	t.Parallel()
	for _, mark := range []block.MarkKind{block.NoCompactMark, block.NoDownsampleMark} {
		b := newBucket(start)
		raw := b.fill(0, 2*day, 2*day)[0]
		b.now = start.Add(3 * day)
		damaged := b.add(0, 2*day, withSources(block.FiveMinutes, raw))
		b.mark(damaged, mark, compact.ReasonCorrupt)
		o := &compact.Options{Retention: compact.Retention{Raw: 7 * day}}
		b.settle(t, o)
		testutil.Equals(t, 2, len(b.live()))

		b.now = start.Add(10 * day)
		p := b.plan(t, o)
		testutil.Equals(t, 0, len(p.Marks))
		testutil.Equals(t, []string{"0-48 -> 5m"}, jobs(p.Jobs))
		b.run(&p.Jobs[0])
		p = b.plan(t, o)
		testutil.Equals(t, []string{"replaced 0-48", "retention 0-48"}, marks(p))
		testutil.Equals(t, damaged, p.Marks[0].Meta.ULID)
		testutil.Equals(t, raw, p.Marks[1].Meta.ULID)
		b.settle(t, o)
		testutil.Equals(t, 1, len(b.live()))
	}
}

// 5m that is to be deleted is as good as gone, whether it still keeps its place or
// not.
func TestInterlockIsNotSatisfiedByWhatIsGoing(t *testing.T) {
	t.Parallel()
	for _, marked := range []time.Duration{hour, 23 * hour, 30 * hour} {
		b := newBucket(start)
		raw := b.fill(0, 2*day, 2*day)[0]
		five := b.add(0, 2*day, withSources(block.FiveMinutes, raw))
		b.now = start.Add(10 * day)
		o := &compact.Options{Retention: compact.Retention{Raw: 7 * day}}
		testutil.Equals(t, []string{"retention 0-48"}, marks(b.plan(t, o)))
		b.mark(five, block.DeletionMark, "")
		b.now = b.now.Add(marked)
		p := b.plan(t, o)
		testutil.Equals(t, 0, len(p.Marks), "%s", marked)
		testutil.Equals(t, []string{"0-48 -> 5m"}, jobs(p.Jobs), "%s", marked)
		b.settle(t, o)
		testutil.Equals(t, "", b.ranges(block.Raw))
		testutil.Equals(t, "0-48", b.ranges(block.FiveMinutes))
	}
}

// 5m with a mark that cannot be read may be damaged: the mark may say so.
func TestInterlockIsNotSatisfiedByDoubt(t *testing.T) {
	t.Parallel()
	for _, kind := range []block.MarkKind{block.NoCompactMark, block.NoDownsampleMark} {
		b := newBucket(start)
		raw := b.fill(0, 2*day, 2*day)[0]
		five := b.add(0, 2*day, withSources(block.FiveMinutes, raw))
		b.now = start.Add(10 * day)
		o := &compact.Options{Retention: compact.Retention{Raw: 7 * day}}
		testutil.Equals(t, []string{"retention 0-48"}, marks(b.plan(t, o)))
		b.blocks[five].Marks[kind] = compact.Mark{There: true, Err: block.ErrIncomplete}
		testutil.Equals(t, 0, len(b.plan(t, o).Marks))
		b.settle(t, o)
		b.checkNothingLost(t, o)
		testutil.Equals(t, "0-48", b.ranges(block.FiveMinutes))
		testutil.Assert(t, b.blocks[five].Marks[block.DeletionMark].There, "another one was made, and has replaced it")
	}
}

func TestInterlockDownsamplingOff(t *testing.T) {
	t.Parallel()
	retention := compact.Retention{Raw: 7 * day, FiveMinutes: 8 * day, OneHour: 9 * day}
	for name, tcase := range map[string]struct {
		downsampling compact.Downsampling
		after8, last string
	}{
		"all":  {compact.DownsampleAll, "0-8", "0-8"},
		"5m":   {compact.DownsampleFiveMinutes, "0-8", ""},
		"none": {compact.DownsampleNone, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBucket(start)
			b.add(0, 8*hour)
			o := &compact.Options{Downsampling: tcase.downsampling, Retention: retention}
			b.now = start.Add(7*day + 9*hour)
			b.settle(t, o)
			testutil.Equals(t, "", b.ranges(block.Raw))
			testutil.Equals(t, tcase.after8, b.ranges(block.FiveMinutes))
			b.now = start.Add(8*day + 9*hour)
			b.settle(t, o)
			testutil.Equals(t, "", b.ranges(block.FiveMinutes))
			testutil.Equals(t, tcase.last, b.ranges(block.OneHour))
			b.now = start.Add(9*day + 9*hour)
			b.settle(t, o)
			testutil.Equals(t, 0, len(b.live()))
		})
	}
}

// A day, or a month, without a compactor while raw expires: nothing may be missing
// afterwards. From thanos#7908.
func TestInterlockDayWithoutDownsampling(t *testing.T) {
	t.Parallel()
	o := &compact.Options{Retention: compact.Retention{Raw: 7 * day, FiveMinutes: 60 * day}}
	for _, pause := range []time.Duration{day, 30 * day} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			b := newBucket(start)
			for at := time.Duration(0); at < 10*day; at += 2 * hour {
				b.fill(at, at+2*hour, 2*hour)
				b.settle(t, o)
				b.checkNothingLost(t, o)
			}
			b.fill(10*day, 10*day+pause, 2*hour)
			b.settle(t, o)
			b.checkNothingLost(t, o)
			b.now = b.now.Add(20 * day)
			b.settle(t, o)
			b.checkNothingLost(t, o)
			testutil.Equals(t, "", b.ranges(block.Raw))
		})
	}
}

// The first 48 hours of a bucket may be less than 40 hours of an aligned range of
// two days: Thanos does not downsample these before they are a part of 14 days, when
// a short retention has deleted them.
func TestInterlockFreshInstall(t *testing.T) {
	t.Parallel()
	o := &compact.Options{Retention: compact.Retention{Raw: 3 * day}}
	b := newBucket(start)
	for at := 20 * hour; at < 6*day; at += 2 * hour {
		b.fill(at, at+2*hour, 2*hour)
		b.settle(t, o)
		b.checkNothingLost(t, o)
	}
	testutil.Equals(t, "20-48 48-96", b.ranges(block.FiveMinutes))
	testutil.Equals(t, "48-96 96-104 104-112 112-120 120-128 128-136 136-138 138-140 140-142 142-144", b.ranges(block.Raw))
}

// 1h of a block whose 5m has had its time as well is made of that 5m, where there
// is any, else without writing any.
func TestInterlockByWayOf5m(t *testing.T) {
	t.Parallel()
	o := &compact.Options{Retention: compact.Retention{Raw: 7 * day, FiveMinutes: 7 * day}}
	b := newBucket(start)
	raw := b.add(0, 2*day)
	b.now = start.Add(10 * day)
	testutil.Equals(t, []string{"0-48 -> 1h"}, jobs(b.plan(t, o).Jobs))

	five := b.add(0, 2*day, withSources(block.FiveMinutes, raw))
	p := b.plan(t, o)
	testutil.Equals(t, []string{"0-48 -> 1h"}, jobs(p.Jobs))
	testutil.Equals(t, five, p.Jobs[0].Sources[0].ULID)
	testutil.Equals(t, 2, len(p.Held))

	// 5m that has not had its time, but is all that raw waits for.
	b = newBucket(start)
	raw = b.add(0, 2*day)
	next := b.add(2*day, 4*day)
	b.now = start.Add(10 * day)
	five = b.add(0, 4*day, withSources(block.FiveMinutes, raw, next))
	p = b.plan(t, o)
	testutil.Equals(t, []string{"0-96 -> 1h"}, jobs(p.Jobs))
	testutil.Equals(t, five, p.Jobs[0].Sources[0].ULID)

	// 5m that cannot be downsampled.
	b.mark(five, block.NoDownsampleMark, block.ReasonManual)
	p = b.plan(t, o)
	testutil.Equals(t, []string{"0-48 -> 1h"}, jobs(p.Jobs))
	testutil.Equals(t, raw, p.Jobs[0].Sources[0].ULID)
}

// Sources alone do not cover: a block may hold only a part of what they had.
func TestInterlockCoversTimeToo(t *testing.T) {
	t.Parallel()
	o := &compact.Options{Retention: compact.Retention{Raw: 7 * day}, Downsampling: compact.DownsampleFiveMinutes}
	b := newBucket(start)
	raw := b.add(0, 2*day)
	before, after := b.add(-2*day, 0), b.add(2*day, 4*day)
	b.add(0, day, withSources(block.FiveMinutes, raw, before))
	b.now = start.Add(9*day + hour)
	p := b.plan(t, o)
	testutil.Equals(t, "0-48 -> 5m", jobs(p.Jobs)[1])
	testutil.Equals(t, 0, len(p.Marks))
	rest := b.add(day+hour, 2*day, withSources(block.FiveMinutes, raw, after))
	testutil.Equals(t, 0, len(b.plan(t, o).Marks)) // An hour is missing.
	b.blocks[rest].Meta.MinTime -= hour.Milliseconds() - 1
	testutil.Equals(t, 0, len(b.plan(t, o).Marks)) // A millisecond is.
	b.blocks[rest].Meta.MinTime--
	b.blocks[rest].Meta.MaxTime--
	testutil.Equals(t, 0, len(b.plan(t, o).Marks)) // Another one.
	b.blocks[rest].Meta.MaxTime++
	testutil.Equals(t, []string{"retention 0-48"}, marks(b.plan(t, o)))

	// Sources that are said to be in a block of another time are not there.
	b = newBucket(start)
	x, y := b.add(0, hour), b.add(hour, 2*hour)
	b.add(0, 2*hour, withSources(block.Raw, x, y))
	b.add(0, 2*hour, withSources(block.FiveMinutes, x))
	other := b.add(20*hour, 22*hour, withSources(block.FiveMinutes, y))
	b.now = start.Add(9*day + hour)
	testutil.Equals(t, []string{"replaced 0-1", "replaced 1-2"}, marks(b.plan(t, o))[:2])
	testutil.Assert(t, !slices.Contains(marks(b.plan(t, o)), "retention 0-2"))
	b.blocks[other].Meta.MinTime = start.UnixMilli()
	testutil.Assert(t, slices.Contains(marks(b.plan(t, o)), "retention 0-2"))
}

// A raw block that cannot be downsampled waits for 1h that is made of its 5m.
func TestInterlockOfQuarantinedByWayOf5m(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	x, y := b.add(0, 2*day), b.add(2*day, 4*day)
	five := b.add(0, 4*day, withSources(block.FiveMinutes, x, y))
	b.mark(x, block.NoDownsampleMark, compact.ReasonCorrupt)
	b.now = start.Add(10 * day)
	o := &compact.Options{Retention: compact.Retention{Raw: 5 * day, FiveMinutes: 7 * day}}
	p := b.plan(t, o)
	testutil.Equals(t, []string{"0-96 -> 1h"}, jobs(p.Jobs))
	testutil.Equals(t, five, p.Jobs[0].Sources[0].ULID)
	testutil.Equals(t, "its 5m is downsampled to 1h first", p.Held[0].Why)
	b.settle(t, o)
	testutil.Assert(t, b.blocks[x].Marks[block.DeletionMark].There)
}

// What 5m has given up to 1h, it need not have again.
func TestInterlockOfPartlyExpired(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	first := b.add(0, 7*day)
	second := b.add(7*day, 14*day)
	raw := b.add(0, 14*day, withSources(block.Raw, first, second))
	b.add(7*day, 14*day, withSources(block.FiveMinutes, second))
	b.add(0, 7*day, withSources(block.OneHour, first))
	b.now = start.Add(30 * day)
	o := &compact.Options{Retention: compact.Retention{Raw: 15 * day, FiveMinutes: 20 * day}}
	p := b.plan(t, o)
	testutil.Equals(t, raw, p.Marks[len(p.Marks)-1].Meta.ULID)
	testutil.Equals(t, []string{"replaced 0-168", "replaced 168-336", "retention 0-336"}, marks(p))
	testutil.Equals(t, 0, len(p.Jobs))
}

// A part that is damaged is missing, whatever else is there.
func TestInterlockPartlyDamaged(t *testing.T) {
	t.Parallel()
	o := &compact.Options{Retention: compact.Retention{Raw: 7 * day, FiveMinutes: 60 * day}}
	b := newBucket(start)
	x, y := b.add(0, 2*day), b.add(2*day, 4*day)
	raw := b.add(0, 4*day, withSources(block.Raw, x, y))
	for _, id := range []ulid.ULID{x, y} {
		delete(b.blocks, id)
	}
	b.add(0, 4*day, withSources(block.FiveMinutes, x))
	b.now = start.Add(12 * day)
	damaged := b.add(0, 4*day, withSources(block.FiveMinutes, y))
	testutil.Equals(t, raw, b.plan(t, o).Marks[0].Meta.ULID)
	b.mark(damaged, block.NoCompactMark, compact.ReasonCorrupt)
	testutil.Equals(t, 0, len(b.plan(t, o).Marks))

	// 1h does not make good for 5m that is still to be kept.
	b = newBucket(start)
	x = b.add(0, 4*day)
	b.now = start.Add(12 * day)
	b.add(0, 4*day, withSources(block.OneHour, x))
	testutil.Equals(t, 0, len(b.plan(t, o).Marks))
	damaged = b.add(0, 4*day, withSources(block.FiveMinutes, x))
	testutil.Equals(t, 1, len(b.plan(t, o).Marks))
	b.mark(damaged, block.NoCompactMark, compact.ReasonCorrupt)
	testutil.Equals(t, 0, len(b.plan(t, o).Marks))
}

// What is compacted first is not downsampled apart.
func TestInterlockLeavesTimeToCompact(t *testing.T) {
	t.Parallel()
	o := &compact.Options{Retention: compact.Retention{Raw: 7 * day}}
	b := newBucket(start)
	ids := b.fill(0, 10*hour, 2*hour)
	b.now = start.Add(30 * day)
	p := b.plan(t, o)
	testutil.Equals(t, []string{"0-2+2-4+4-6+6-8 -> raw", "8-10 -> 5m"}, jobs(p.Jobs))
	testutil.Equals(t, "compacted first", p.Held[0].Why)
	b.blocks[ids[1]].NoCompact = "disk is full"
	testutil.Equals(t, []string{"4-6+6-8 -> raw", "0-2 -> 5m", "2-4 -> 5m", "8-10 -> 5m"}, jobs(b.plan(t, o).Jobs))
}

func TestRetentionRules(t *testing.T) {
	t.Parallel()
	matcher := func(name, value string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, name, value) }
	o := &compact.Options{
		ReplicaLabels: []string{"replica"},
		Downsampling:  compact.DownsampleNone,
		Retention:     compact.Retention{Raw: 10 * day},
		RetentionRules: []compact.RetentionRule{
			{Matchers: []*labels.Matcher{matcher("tenant", "short"), matcher("env", "dev")}, Retention: compact.Retention{Raw: day}},
			{Matchers: []*labels.Matcher{matcher("tenant", "short")}, Retention: compact.Retention{Raw: 5 * day}},
			{Matchers: []*labels.Matcher{matcher("tenant", "forever")}},
			{Matchers: []*labels.Matcher{matcher("replica", "0")}, Retention: compact.Retention{Raw: hour}},
		},
	}
	b := newBucket(start)
	add := func(pairs ...string) ulid.ULID { return b.add(0, 2*hour, withLabels(append(pairs, "replica", "0")...)) }
	dev, short, forever, other := add("tenant", "short", "env", "dev"), add("tenant", "short"), add("tenant", "forever"), add("tenant", "other")
	expired := func(age time.Duration) (ids []ulid.ULID) {
		b.now = start.Add(2*hour + age)
		for _, m := range b.plan(t, o).Marks {
			ids = append(ids, m.Meta.ULID)
		}
		return ids
	}
	testutil.Equals(t, 0, len(expired(day)))
	testutil.Equals(t, []ulid.ULID{dev}, expired(day+time.Second))
	testutil.Equals(t, []ulid.ULID{dev, short}, expired(6*day))
	testutil.Equals(t, []ulid.ULID{dev, short, other}, expired(1000*day))
	_ = forever
}

func TestRetentionOptions(t *testing.T) {
	t.Parallel()
	o := &compact.Options{
		Interlock:      compact.InterlockOff,
		Retention:      compact.Retention{Raw: day, FiveMinutes: -1},
		RetentionRules: []compact.RetentionRule{{Retention: compact.Retention{FiveMinutes: 9 * day}}},
		MaxHold:        -1,
		Ranges:         []time.Duration{2 * hour, 3 * hour, 0},
		Shard:          3, Shards: 3,
		PartialAge: -1, MaxIndexBytes: -1, Concurrency: -1, Overlap: 7, Downsampling: 8, WaitInterval: -1,
	}
	_, err := compact.MakePlan(&compact.State{}, o)
	testutil.NotOk(t, err)
	testutil.Equals(t, `make plan: option Ranges: 3h0m0s is no multiple of the range before
option Ranges: 0s is no range
option Ranges: 0s is no multiple of the range before
option PartialAge: -1ns is negative
option MaxIndexBytes: -1 is negative
option Overlap: 7 is not known
option Downsampling: 8 is not known
option MaxHold: -1ns is negative
option WaitInterval: -1ns is negative
option Shard: 3 is not one of 3
option Concurrency: -1 is negative
option Retention: -1ns of 5m is negative
option Retention: 24h0m0s of raw is less than the 40h0m0s from which on blocks are downsampled to 5m
option RetentionRules[0]: no matchers`, err.Error())

	// What Thanos refuses, too, unless nothing can be lost.
	o = &compact.Options{Interlock: compact.InterlockOff, Retention: compact.Retention{Raw: 39 * hour, FiveMinutes: 9 * day}}
	_, err = compact.MakePlan(&compact.State{}, o)
	testutil.Equals(t, `make plan: option Retention: 39h0m0s of raw is less than the 40h0m0s from which on blocks are downsampled to 5m
option Retention: 216h0m0s of 5m is less than the 240h0m0s from which on blocks are downsampled to 1h`, err.Error())
	o.Interlock = compact.InterlockOn
	_, err = compact.MakePlan(&compact.State{}, o)
	testutil.Ok(t, err)
}
