package block_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

// filtered returns a view of blocks through filters, and their numbers.
func filtered(t *testing.T, metas []*block.Meta, marks []block.Mark, filters ...block.Filter) (*block.View, []int) {
	t.Helper()
	bkt := objstore.NewInMemBucket()
	for _, m := range metas {
		putMeta(t, bkt, m)
	}
	for _, m := range marks {
		mark(t, bkt, m)
	}
	v := fetch(t, bkt, &block.FetcherOptions{Filters: filters})
	testutil.Equals(t, len(metas), len(v.Metas)+len(v.Excluded))
	return v, ids(v.Metas)
}

func TestTimePartition(t *testing.T) {
	t.Parallel()
	at := func(ms int64) block.TimeBound { return block.TimeAt(time.UnixMilli(ms)) }
	blocks := []*block.Meta{newMeta(0), newMeta(1), newMeta(2)} // [0, 2h), [2h, 4h), [4h, 6h)
	const h = 3_600_000
	for _, tc := range []struct {
		name   string
		lo, hi block.TimeBound
		want   []int
	}{
		{"none", block.TimeBound{}, block.TimeBound{}, []int{0, 1, 2}},
		{"one that ends at the bound stays", at(2 * h), block.TimeBound{}, []int{0, 1, 2}},
		{"one that ended before goes", at(2*h + 1), block.TimeBound{}, []int{1, 2}},
		{"one that begins at the bound stays", block.TimeBound{}, at(2 * h), []int{0, 1}},
		{"one that begins later goes", block.TimeBound{}, at(2*h - 1), []int{0}},
		{"within one", at(5 * h), at(5 * h), []int{2}},
		{"the widest", mustBound(t, "0000-01-01T00:00:00Z"), mustBound(t, "9999-12-31T23:59:59Z"), []int{0, 1, 2}},
		{"long ago", mustBound(t, "-2w"), block.TimeBound{}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v, got := filtered(t, blocks, nil, block.TimePartition(tc.lo, tc.hi))
			testutil.Equals(t, tc.want, got)
			for _, state := range v.Excluded {
				testutil.Equals(t, "time-excluded", state)
			}
		})
	}
}

func mustBound(t testing.TB, s string) block.TimeBound {
	t.Helper()
	b, err := block.ParseTimeBound(s)
	testutil.Ok(t, err)
	return b
}

// Bounds that move are worked out for each view.
func TestTimePartitionMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bkt := objstore.NewInMemBucket()
		now := time.Now().UnixMilli()
		putMeta(t, bkt, newMeta(1, func(m *block.Meta) { m.MinTime, m.MaxTime = now-10_000, now-5_000 }))
		f := newFetcher(t, bkt, "", &block.FetcherOptions{Filters: []block.Filter{block.TimePartition(block.TimeFromNow(-time.Minute), mustBound(t, "-5s"))}})
		testutil.Equals(t, 1, len(fetchWith(t, f).Metas))
		<-time.After(54 * time.Second)
		testutil.Equals(t, 1, len(fetchWith(t, f).Metas))
		<-time.After(2 * time.Second)
		testutil.Equals(t, 0, len(fetchWith(t, f).Metas))
	})
}

func TestTimeBound(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000_000)
	for _, tc := range []struct {
		in, out string
		want    int64
	}{
		{"1970-01-01T00:00:10Z", "1970-01-01T00:00:10Z", 10_000},
		{"1970-01-01T01:00:10+01:00", "1970-01-01T01:00:10+01:00", 10_000},
		{"0s", "0s", 1_000_000_000},
		{"-90s", "-1m30s", 999_910_000},
		{"1d", "1d", 1_086_400_000},
		{"-1w", "-1w", 395_200_000},
	} {
		var b block.TimeBound
		testutil.Ok(t, b.Set(tc.in))
		got, ok := b.UnixMilli(now)
		testutil.Assert(t, ok && !b.IsZero())
		testutil.Equals(t, tc.want, got, tc.in)
		testutil.Equals(t, tc.out, b.String())
	}
	b := mustBound(t, "")
	_, ok := b.UnixMilli(now)
	testutil.Assert(t, !ok && b.IsZero() && b.String() == "")
	for _, in := range []string{"-", "x", "1", "--1d", "2020-01-01"} {
		_, err := block.ParseTimeBound(in)
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), in), "%q: %v", in, err)
	}
}

func TestConsistencyDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		of := func(n int, madeAgo, uploadedAgo time.Duration, source block.SourceType) *block.Meta {
			m := newMeta(n)
			m.Thanos.Source = source
			testutil.Ok(t, m.ULID.SetTime(ulid.Timestamp(now.Add(-madeAgo))))
			if uploadedAgo >= 0 {
				m.Thanos.UploadTime = now.Add(-uploadedAgo)
			}
			return m
		}
		const never = -1
		for _, tc := range []struct {
			name string
			meta *block.Meta
			stay bool
		}{
			{"uploaded now", of(1, 2*time.Hour, 0, block.SourceSidecar), false},
			{"uploaded a little ago", of(1, 2*time.Hour, 29*time.Minute, block.SourceSidecar), false},
			{"uploaded just long enough ago", of(1, 0, 30*time.Minute, block.SourceSidecar), true},
			{"made now", of(1, 0, never, block.SourceSidecar), false},
			{"made long ago", of(1, 31*time.Minute, never, block.SourceReceive), true},
			{"of nobody", of(1, 0, 0, block.SourceUnknown), false},
			{"of a ruler", of(1, 0, 0, block.SourceRuler), false},
			{"of a rewrite", of(1, 0, 0, block.SourceBucketRewrite), false},
			{"of a compactor", of(1, 0, 0, block.SourceCompactor), true},
			{"of a compactor's repair", of(1, 0, never, block.SourceCompactorRepair), true},
			{"of a repair", of(1, 0, 0, block.SourceBucketRepair), true},
		} {
			bkt := objstore.NewInMemBucket()
			putMeta(t, bkt, tc.meta)
			v := fetch(t, bkt, &block.FetcherOptions{Filters: []block.Filter{block.ConsistencyDelay(30 * time.Minute)}})
			testutil.Equals(t, tc.stay, v.Metas[tc.meta.ULID] != nil, tc.name)
			if !tc.stay {
				testutil.Equals(t, "too-fresh", v.Excluded[tc.meta.ULID])
			}
		}
	})
}

func TestDeletionMarks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bkt := objstore.NewInMemBucket()
		putMeta(t, bkt, newMeta(1))
		mark(t, bkt, block.Mark{Kind: block.DeletionMark, Block: newID(1)})
		mark(t, bkt, block.Mark{Kind: block.NoCompactMark, Block: newID(1), Time: time.Now().Add(-time.Hour)})
		f := newFetcher(t, bkt, "", &block.FetcherOptions{Filters: []block.Filter{block.DeletionMarks(24 * time.Hour)}})
		<-time.After(24 * time.Hour)
		testutil.Equals(t, []int{1}, ids(fetchWith(t, f).Metas))
		<-time.After(time.Second)
		v := fetchWith(t, f)
		testutil.Equals(t, 0, len(v.Metas))
		testutil.Equals(t, map[ulid.ULID]string{newID(1): "marked-for-deletion"}, v.Excluded)
		// What was filtered out still is known.
		testutil.Assert(t, v.Marked(newID(1), block.DeletionMark))
		_, err := block.RemoveMark(context.Background(), bkt, newID(1), block.DeletionMark)
		testutil.Ok(t, err)
		testutil.Equals(t, []int{1}, ids(fetchWith(t, f).Metas))
	})
}

func TestLabelShard(t *testing.T) {
	t.Parallel()
	blocks := make([]*block.Meta, 30)
	for n := range blocks {
		blocks[n] = newMeta(n, func(m *block.Meta) {
			m.Thanos.Labels = map[string]string{"cluster": fmt.Sprint("c", n/3), "replica": fmt.Sprint("r", n%3)}
		})
	}
	shard := func(t *testing.T, config string, replica ...string) []int {
		t.Helper()
		configs, err := block.ParseRelabel([]byte(config))
		testutil.Ok(t, err)
		f, err := block.LabelShard(configs, replica...)
		testutil.Ok(t, err)
		v, got := filtered(t, blocks, nil, f)
		for _, state := range v.Excluded {
			testutil.Equals(t, "label-excluded", state)
		}
		return got
	}
	testutil.Equals(t, []int{0, 1, 2}, shard(t, `[{action: keep, source_labels: [cluster], regex: c0}]`))
	testutil.Equals(t, []int{2, 5}, shard(t, `[{action: keep, source_labels: [cluster], regex: "c[01]"}, {action: drop, source_labels: [replica], regex: r0|r1}]`))
	testutil.Equals(t, []int{7}, shard(t, `[{action: keep, source_labels: [__block_id], regex: `+newID(7).String()+`}]`))
	testutil.Equals(t, 30, len(shard(t, `[]`)))
	for _, by := range []string{"__block_id", "cluster, replica"} {
		seen := map[int]int{}
		for i := range 3 {
			for _, n := range shard(t, fmt.Sprintf(`
- {action: hashmod, source_labels: [%s], modulus: 3, target_label: shard}
- {action: keep, source_labels: [shard], regex: %d}`, by, i)) {
				seen[n]++
			}
		}
		testutil.Equals(t, 30, len(seen))
		for n, times := range seen {
			testutil.Equals(t, 1, times, fmt.Sprint(n))
		}
	}
	// Replicas come to one shard, and not all of them to the same.
	perCluster := map[int]int{}
	for _, n := range shard(t, `
- {action: hashmod, source_labels: [cluster, replica], modulus: 2, target_label: shard}
- {action: keep, source_labels: [shard], regex: 0}`, "replica") {
		perCluster[n/3]++
	}
	testutil.Assert(t, len(perCluster) > 0 && len(perCluster) < 10, "%v", perCluster)
	for cluster, n := range perCluster {
		testutil.Equals(t, 3, n, fmt.Sprint(cluster))
	}
}

func TestLabelShardConfigs(t *testing.T) {
	t.Parallel()
	for _, config := range []string{
		`x`, `{}`, `[{action: replace, target_label: x}]`, `[{action: labeldrop, regex: x}]`, `[{action: hashmod, target_label: x}]`,
		`[{action: keep, regex: "("}]`, `[{action: keep, unknown: x}]`, `[null]`,
	} {
		_, err := block.ParseRelabel([]byte(config))
		testutil.NotOk(t, err, config)
	}
	_, err := block.LabelShard([]*relabel.Config{nil})
	testutil.NotOk(t, err)
	_, err = block.LabelShard([]*relabel.Config{{Action: relabel.HashMod}})
	testutil.NotOk(t, err)
	for _, action := range []relabel.Action{"fold", "KEEP"} {
		_, err = block.LabelShard([]*relabel.Config{{Action: relabel.Keep}, {Action: action}})
		testutil.Assert(t, errors.Is(err, errors.ErrUnsupported), "%s: %v", action, err)
	}
	// One that was made by hand, without what a parser fills in, and that is not
	// changed.
	byHand := &relabel.Config{Action: relabel.Keep, SourceLabels: nil}
	f, err := block.LabelShard([]*relabel.Config{byHand})
	testutil.Ok(t, err)
	_, got := filtered(t, []*block.Meta{newMeta(1)}, nil, f)
	testutil.Equals(t, []int{1}, got)
	testutil.Assert(t, byHand.Regex.Regexp == nil)
	_, err = block.StandardFilters(&block.FilterOptions{Relabel: []*relabel.Config{nil}})
	testutil.NotOk(t, err)
}

func TestReplicaLabels(t *testing.T) {
	t.Parallel()
	of := func(n int, ls map[string]string) *block.Meta {
		return newMeta(n, func(m *block.Meta) { m.Thanos.Labels = ls })
	}
	blocks := []*block.Meta{
		of(0, map[string]string{"cluster": "a", "replica": "r"}),
		of(1, map[string]string{"replica": "r", "rule_replica": "x"}),
		of(2, map[string]string{"cluster": "a"}),
		of(3, nil),
	}
	v, _ := filtered(t, blocks, nil, block.ReplicaLabels("replica", "rule_replica"))
	for n, want := range []map[string]string{{"cluster": "a"}, {"replica": "deduped"}, {"cluster": "a"}, {"replica": "deduped"}} {
		testutil.Equals(t, want, v.Metas[newID(n)].Thanos.Labels)
	}
	// What a Fetcher keeps is not changed.
	bkt := objstore.NewInMemBucket()
	putMeta(t, bkt, blocks[0])
	var before map[string]string
	f := newFetcher(t, bkt, "", &block.FetcherOptions{Filters: []block.Filter{
		block.FilterFunc(func(_ context.Context, v *block.View) error {
			before = v.Metas[newID(0)].Thanos.Labels
			return nil
		}), block.ReplicaLabels("replica"),
	}})
	for range 2 {
		fetchWith(t, f)
		testutil.Equals(t, map[string]string{"cluster": "a", "replica": "r"}, before)
	}
	v, _ = filtered(t, blocks, nil, block.ReplicaLabels())
	testutil.Equals(t, "r", v.Metas[newID(0)].Thanos.Labels["replica"])
}

// sources is a block of these sources.
func sources(n int, of ...int) *block.Meta {
	return newMeta(n, func(m *block.Meta) {
		m.Compaction.Sources = nil
		for _, s := range of {
			m.Compaction.Sources = append(m.Compaction.Sources, newID(s))
		}
	})
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	other := func(m *block.Meta, change func(*block.Meta)) *block.Meta {
		change(m)
		return m
	}
	for _, tc := range []struct {
		name   string
		blocks []*block.Meta
		want   []int
	}{
		{"apart", []*block.Meta{sources(1, 1), sources(2, 2)}, []int{1, 2}},
		{"compacted", []*block.Meta{sources(1, 1), sources(2, 2), sources(3, 1, 2)}, []int{3}},
		{"compacted twice", []*block.Meta{sources(1, 1), sources(2, 2), sources(3, 1, 2), sources(4, 1, 2, 5)}, []int{4}},
		{"covered by two together", []*block.Meta{sources(1, 1, 2), sources(2, 2, 3), sources(3, 1, 3)}, []int{1, 2, 3}},
		{"the same sources", []*block.Meta{sources(3, 1, 2), sources(2, 2, 1), sources(4, 1, 2)}, []int{2}},
		{"overlapping", []*block.Meta{sources(1, 1, 2, 3), sources(2, 3, 4)}, []int{1, 2}},
		{"a source twice", []*block.Meta{sources(1, 1, 1, 1), sources(2, 1, 2)}, []int{1, 2}},
		{"none at all", []*block.Meta{sources(1), sources(2), sources(3, 1)}, []int{1, 2, 3}},
		{"other labels", []*block.Meta{sources(1, 1), other(sources(2, 1, 2), func(m *block.Meta) { m.Thanos.Labels = map[string]string{"cluster": "b"} })}, []int{1, 2}},
		{"other resolution", []*block.Meta{sources(1, 1), other(sources(2, 1, 2), func(m *block.Meta) { m.Thanos.Downsample.Resolution = 300_000 })}, []int{1, 2}},
		{"labels that look alike", []*block.Meta{
			other(sources(1, 1), func(m *block.Meta) { m.Thanos.Labels = map[string]string{"a": `1", b="2`} }),
			other(sources(2, 1), func(m *block.Meta) { m.Thanos.Labels = map[string]string{"a": "1", "b": "2"} }),
		}, []int{1, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v, got := filtered(t, tc.blocks, nil, block.Duplicates())
			testutil.Equals(t, tc.want, got)
			for _, state := range v.Excluded {
				testutil.Equals(t, "duplicate", state)
			}
		})
	}
	testutil.Equals(t, `0@{cluster="eu1", replica="a"}`, newMeta(1).GroupKey())
}

// The order of the filters decides: each case would come out otherwise in
// another one.
func TestStandardFilters(t *testing.T) {
	t.Parallel()
	configs, err := block.ParseRelabel([]byte(`[{action: keep, source_labels: [cluster, replica], regex: "eu1;"}]`))
	testutil.Ok(t, err)
	now := time.Now()
	fresh := sources(3, 1, 2)
	fresh.Thanos.UploadTime = now
	replicaB := sources(4, 4, 5)
	replicaB.Thanos.Labels["replica"] = "b"
	elsewhere := sources(6, 6, 7, 8)
	elsewhere.Thanos.Labels["cluster"] = "us1"
	late := sources(9, 1, 2, 4, 5)
	late.MinTime, late.MaxTime = now.UnixMilli(), now.UnixMilli()+1
	blocks := []*block.Meta{
		sources(1, 1), sources(2, 2), fresh, // Not replaced by what is too fresh,
		sources(5, 4), replicaB, // but by what another replica made of it,
		sources(7, 6), elsewhere, // not by another shard's,
		late,                        // by what is out of range,
		sources(10, 1), sources(11), // or by what is marked; with sources the least ULID stays.
		sources(12, 1, 10),
	}
	marks := []block.Mark{{Kind: block.DeletionMark, Block: newID(12), Time: now.Add(-2 * time.Hour)}}
	filters, err := block.StandardFilters(&block.FilterOptions{
		MaxTime: block.TimeFromNow(-time.Hour), Relabel: configs, ConsistencyDelay: time.Minute, DeletionDelay: time.Hour, ReplicaLabels: []string{"replica"},
	})
	testutil.Ok(t, err)
	v, got := filtered(t, blocks, marks, filters...)
	testutil.Equals(t, []int{1, 2, 4, 7, 11}, got)
	testutil.Equals(t, map[ulid.ULID]string{
		newID(3): "too-fresh", newID(5): "duplicate", newID(6): "label-excluded", newID(9): "time-excluded", newID(10): "duplicate", newID(12): "marked-for-deletion",
	}, v.Excluded)

	filters, err = block.StandardFilters(nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 2, len(filters))
}

func TestViewClone(t *testing.T) {
	t.Parallel()
	v, _ := filtered(t, []*block.Meta{newMeta(1), newMeta(2)}, []block.Mark{{Kind: block.NoCompactMark, Block: newID(1)}})
	c := v.Clone()
	c.Exclude(newID(1), "x")
	testutil.Equals(t, []int{1, 2}, ids(v.Metas))
	testutil.Equals(t, 0, len(v.Excluded))
	testutil.Assert(t, c.Marked(newID(1), block.NoCompactMark))
	var own block.View
	own.Exclude(newID(1), "x")
	_, ok := own.Listed(newID(1))
	testutil.Assert(t, !ok && !own.Marked(newID(1), block.DeletionMark) && errors.Is(own.Incomplete, nil))
}

// Relabeling that leaves no label leaves no block.
func TestLabelShardLeavesNothing(t *testing.T) {
	t.Parallel()
	shard, err := block.LabelShard([]*relabel.Config{{Action: relabel.LabelDrop, Regex: relabel.MustNewRegexp(".*"), Separator: ";", Replacement: "$1"}})
	testutil.Ok(t, err)
	v := &block.View{Metas: map[ulid.ULID]*block.Meta{newID(1): newMeta(1)}}
	testutil.Ok(t, shard.Filter(context.Background(), v))
	testutil.Equals(t, 0, len(v.Metas))
	testutil.Equals(t, block.StateLabelExcluded, v.Excluded[newID(1)])
}

// Whatever is made by hand is either applied or an error.
func TestLabelShardByHand(t *testing.T) {
	t.Parallel()
	for _, c := range []relabel.Config{
		{Action: relabel.Replace, TargetLabel: "a"},
		{Action: relabel.Keep},
		{Action: relabel.Drop, SourceLabels: []model.LabelName{"cluster"}, Regex: relabel.MustNewRegexp("none")},
		{Action: relabel.KeepEqual, SourceLabels: []model.LabelName{"cluster"}, TargetLabel: "cluster"},
		{Action: relabel.DropEqual, SourceLabels: []model.LabelName{"cluster"}, TargetLabel: "other"},
		{Action: relabel.HashMod, Modulus: 2, TargetLabel: "a"},
		{Action: relabel.LabelMap, Replacement: "a"},
		{Action: relabel.LabelDrop, Regex: relabel.MustNewRegexp("cluster")},
		{Action: relabel.LabelKeep, Regex: relabel.MustNewRegexp("cluster")},
		{Action: relabel.Lowercase, SourceLabels: []model.LabelName{"cluster"}, TargetLabel: "a"},
		{Action: relabel.Uppercase, SourceLabels: []model.LabelName{"cluster"}, TargetLabel: "a"},
	} {
		shard, err := block.LabelShard([]*relabel.Config{&c})
		testutil.Ok(t, err, string(c.Action))
		_, got := filtered(t, []*block.Meta{newMeta(1, func(m *block.Meta) { m.Thanos.Labels = map[string]string{"cluster": "eu1"} })}, nil, shard)
		testutil.Equals(t, []int{1}, got, string(c.Action))
	}
}
