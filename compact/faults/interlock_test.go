package faults_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
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
