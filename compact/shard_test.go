package compact_test

import (
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// Which shard a group belongs to is written down by nobody: it must be the same
// for all compactors, of all versions, however they are built.
func TestShardOf(t *testing.T) {
	t.Parallel()
	for _, tcase := range []struct {
		labels []string
		want   [5]int // of 1, 2, 3, 16, 1000
	}{
		{nil, [5]int{0, 1, 0, 9, 921}},
		{[]string{"cluster", "a"}, [5]int{0, 0, 0, 2, 122}},
		{[]string{"cluster", "b"}, [5]int{0, 0, 1, 4, 812}},
		{[]string{"a", "1", "b", "2"}, [5]int{0, 1, 1, 3, 739}},
		{[]string{"a", "1b", "b", "2"}, [5]int{0, 1, 0, 7, 63}},
		{[]string{"a", "1\xffb\xff2"}, [5]int{0, 1, 2, 11, 715}},
		{[]string{"région", "île-de-france", "tenant", "0b5b3ef0-9f3a-4c3e-8f5e-2f3d3e0c5f6a"}, [5]int{0, 0, 2, 12, 620}},
	} {
		lset := labels.FromStrings(tcase.labels...)
		for i, n := range []int{1, 2, 3, 16, 1000} {
			testutil.Equals(t, tcase.want[i], compact.ShardOf(lset, n), "%s of %d", lset, n)
		}
	}
	testutil.Equals(t, 0, compact.ShardOf(labels.FromStrings("a", "b"), 0))
	// By hand: a field 1 with the fields 1 and 2 of each label.
	sum := xxhash.Sum64String("\n\f\n\acluster\x12\x01a")
	testutil.Equals(t, int(sum%1000), compact.ShardOf(labels.FromStrings("cluster", "a"), 1000))
}

// All resolutions and replicas of a stream belong to one shard, all shards
// together are everything, and what others do is shown.
func TestShardsDivideWork(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	for i := range 20 {
		l := []string{"cluster", fmt.Sprint(i), "replica", fmt.Sprint(i % 2)}
		b.fill(0, 2*day+2*hour, 2*day, withLabels(l...))
		b.fill(20*day, 20*day+10*hour, 2*hour, withLabels(l...))
		b.add(0, 2*day, withLabels(l...), func(m *block.Meta) { m.Thanos.Downsample.Resolution = block.FiveMinutes })
		b.mark(b.add(50*day, 51*day, withLabels(l...)), block.DeletionMark, "")
	}
	b.now = b.now.Add(100 * day)
	s := b.state()
	for range 20 {
		s.Partials = append(s.Partials, compact.Partial{Block: b.id(), Err: block.ErrPartial, Newest: start})
	}
	plan := func(o *compact.Options) *compact.Plan {
		p, err := compact.MakePlan(s, o)
		testutil.Ok(t, err)
		return p
	}
	o := func(shard, shards int) *compact.Options {
		return &compact.Options{Shard: shard, Shards: shards, ReplicaLabels: []string{"replica"}, Retention: compact.Retention{FiveMinutes: 30 * day}, Downsampling: compact.DownsampleFiveMinutes}
	}
	whole := plan(o(0, 1))
	testutil.Equals(t, 0, len(whole.Foreign))
	var (
		sum   compact.Plan
		busy  int
		owner = map[string]int{}
	)
	for shard := range 3 {
		p := plan(o(shard, 3))
		testutil.Equals(t, len(whole.Jobs), len(p.Jobs)+len(p.Foreign))
		for _, j := range p.Jobs {
			stream := fmt.Sprint(j.Labels)
			if was, ok := owner[stream]; ok {
				testutil.Equals(t, was, shard)
			}
			owner[stream] = shard
		}
		if len(p.Jobs) > 0 {
			busy++
		}
		sum.Jobs = append(sum.Jobs, p.Jobs...)
		sum.Marks = append(sum.Marks, p.Marks...)
		sum.Deletes = append(sum.Deletes, p.Deletes...)
	}
	testutil.Equals(t, 3, busy)
	testutil.Equals(t, len(whole.Jobs), len(sum.Jobs))
	testutil.Equals(t, len(whole.Marks), len(sum.Marks))
	testutil.Equals(t, len(whole.Deletes), len(sum.Deletes))
	testutil.Equals(t, 40, len(sum.Deletes))
}
