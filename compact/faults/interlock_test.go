package faults_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// While nothing can be downsampled, for a day and longer, raw blocks stay whose time
// has come; when it can be again, they are downsampled and go.
func TestRetentionWaitsForOutage(t *testing.T) {
	t.Parallel()
	o := fixture(
		t,
		spec{n: 1, labels: "a", from: 0, hours: 48, level: 4},
		spec{n: 2, labels: "a", from: 48, hours: 6, level: 3},
	)
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(o.bucket(t))
		opts := compact.Options{Retention: compact.Retention{Raw: 3 * 24 * time.Hour}}
		c := newCompactor(t, bkt, t.TempDir(), opts)
		bkt.Fail(func(r blocktest.Request) error {
			if r.Op == objstore.OpGet && strings.Contains(r.Name, "chunks/") {
				return blocktest.ErrFault
			}
			return nil
		})
		for range 5 {
			r, err := c.RunOnce(t.Context())
			testutil.Equals(t, compact.ClassBucket, compact.ClassOf(err), "%v", err)
			testutil.Equals(t, 0, len(r.Marked)+len(r.Deleted))
			testutil.Equals(t, 2, len(r.Plan.Held))
			<-time.After(24 * time.Hour)
		}
		bkt.Fail(nil)
		for range 3 {
			_, err := c.RunOnce(t.Context())
			testutil.Ok(t, err)
			for _, n := range []int{1, 2} {
				testutil.Assert(t, slices.ContainsFunc(live(t, bkt), func(m *block.Meta) bool {
					return m.Resolution() == block.FiveMinutes && slices.Contains(m.Compaction.Sources, newID(n))
				}), "%s", list(t, bkt))
			}
			<-time.After(49 * time.Hour)
		}
		v := newReader().visible(t, bkt)
		testutil.Assert(t, !slices.ContainsFunc(v, func(m *block.Meta) bool { return m.Resolution() == block.Raw }), "%s", list(t, bkt))
	})
}

// What cannot be downsampled is held for as long as MaxHold says, and what must not
// be is not held: both are counted when they go, and nothing else is. Without the
// interlock nothing is held, nor downsampled first.
func TestMaxHold(t *testing.T) {
	t.Parallel()
	o := fixture(
		t,
		spec{n: 1, labels: "good", from: 0, hours: 6, level: 3},
		spec{n: 2, labels: "bad", from: 0, hours: 6, level: 3},
		spec{n: 3, labels: "unwanted", from: 0, hours: 6, level: 3},
	)
	flip(o, block.ObjectName(newID(2), "chunks/000001"), -20)
	const days = 24 * time.Hour
	ended := time.UnixMilli(epoch + 6*hour).Add(50 * days)
	marked := func(t *testing.T, bkt objstore.Bucket, n int) string {
		mark, err := block.ReadMark(t.Context(), bkt, newID(n), block.DeletionMark)
		if errors.Is(err, block.ErrNotFound) {
			return ""
		}
		testutil.Ok(t, err)
		return mark.Details
	}
	opts := func() (compact.Options, *prometheus.Registry) {
		reg := prometheus.NewRegistry()
		return compact.Options{Retention: compact.Retention{Raw: 50 * days}, MaxHold: 4 * days, Registerer: reg}, reg
	}
	metrics := func(t *testing.T, reg *prometheus.Registry, held, seconds, uncovered int) {
		t.Helper()
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
# HELP thanoskit_compact_held_blocks Blocks past retention that are kept until a coarser resolution covers them.
# TYPE thanoskit_compact_held_blocks gauge
thanoskit_compact_held_blocks %d
# HELP thanoskit_compact_held_seconds How long the first of them has been held.
# TYPE thanoskit_compact_held_seconds gauge
thanoskit_compact_held_seconds %d
# HELP thanoskit_compact_uncovered_blocks_total Blocks past retention marked for deletion though no coarser resolution has what is in them, since they must or can not be downsampled.
# TYPE thanoskit_compact_uncovered_blocks_total counter
thanoskit_compact_uncovered_blocks_total %d
`, held, seconds, uncovered)), "thanoskit_compact_held_blocks", "thanoskit_compact_held_seconds", "thanoskit_compact_uncovered_blocks_total"))
	}
	uploaded := func(t *testing.T) objstore.Bucket {
		bkt := o.bucket(t)
		_, err := block.PutMark(t.Context(), bkt, block.Mark{Kind: block.NoDownsampleMark, Block: newID(3), Reason: block.ReasonManual})
		testutil.Ok(t, err)
		return bkt
	}
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(ended.Add(time.Hour)))
		bkt := uploaded(t)
		o, reg := opts()
		c := newCompactor(t, bkt, t.TempDir(), o)
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Assert(t, strings.Contains(marked(t, bkt, 1), "all of it is there in 5m"), "%s", marked(t, bkt, 1))
		testutil.Equals(t, "", marked(t, bkt, 2))
		testutil.Assert(t, strings.Contains(marked(t, bkt, 3), "not in 5m, since it is marked manual"), "%s", marked(t, bkt, 3))
		testutil.Equals(t, 1, len(r.Plan.Held))
		testutil.Equals(t, ended.Add(4*days).UTC(), r.Plan.Held[0].Until.UTC())
		metrics(t, reg, 1, 3600, 1)

		<-time.After(time.Until(ended.Add(4 * days)))
		_, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, "", marked(t, bkt, 2), "at the very end of MaxHold")
		metrics(t, reg, 1, 4*86400, 1)
		<-time.After(time.Second)
		_, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Assert(t, strings.Contains(marked(t, bkt, 2), "held for 96h0m0s"), "%s", marked(t, bkt, 2))
		metrics(t, reg, 0, 0, 2)
	})
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(ended.Add(time.Hour)))
		bkt := uploaded(t)
		o, reg := opts()
		o.Interlock = compact.InterlockOff
		r, err := newCompactor(t, bkt, t.TempDir(), o).RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, r.Downsamplings+len(r.Quarantined))
		for n := range 3 {
			testutil.Assert(t, strings.Contains(marked(t, bkt, n+1), "nothing is waited for"), "%s", marked(t, bkt, n+1))
		}
		metrics(t, reg, 0, 0, 0)
	})
}

// A block of which nothing is left when it is downsampled is marked so, and
// deleted when its time has come: nothing waits for it.
func TestNothingToDownsample(t *testing.T) {
	t.Parallel()
	o := fixtureOf(t, spec{n: 1, labels: "a", from: 0, hours: 48, level: 4}, func(s []block.Series) {
		for i := range s {
			s[i] = blocktest.Series(s[i].Labels, blocktest.Sample{T: epoch, F: nan()})
		}
	})
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := o.bucket(t)
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{Retention: compact.Retention{Raw: 3 * 24 * time.Hour}})
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		mark, err := block.ReadMark(t.Context(), bkt, newID(1), block.NoDownsampleMark)
		testutil.Ok(t, err)
		testutil.Equals(t, compact.ReasonNothingLeft, mark.Reason)
		testutil.Equals(t, 1, len(r.Marked))
		testutil.Equals(t, 0, len(live(t, bkt)))
	})
}

// Where the index of what is made is larger than may be, the source with the
// largest one is marked as Thanos does, and the rest is compacted without it.
func TestIndexTooLarge(t *testing.T) {
	t.Parallel()
	var specs []spec
	for k := range 5 {
		specs = append(specs, spec{n: k + 1, labels: "a", from: int64(2 * k), hours: 2, level: 2, series: 40, first: 40 * k})
	}
	o := fixture(t, specs...)
	meta, err := block.ParseMeta(o[block.ObjectName(newID(1), block.MetaFile)])
	testutil.Ok(t, err)
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := o.bucket(t)
		r := newReader()
		want := samplesOf(t, r, o)
		// Two fit, going by their sizes.
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{MaxIndexBytes: 3 * meta.IndexSize()})
		_, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		v := fetch(t, bkt, nil)
		marked := 0
		for id := range v.Metas {
			if mark, err := v.Mark(id, block.NoCompactMark); mark != nil {
				testutil.Ok(t, err)
				testutil.Equals(t, block.ReasonIndexSize, mark.Reason)
				marked++
			}
		}
		testutil.Assert(t, marked > 0 && marked < 4, "%s", list(t, bkt))
		r.sees(t, bkt, want, "after a run")
	})
}
