package blockmeta_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/thanos-io/objstore"
	thanosblock "github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	thanosmodel "github.com/thanos-io/thanos/pkg/model"

	"github.com/thanoskit/thanoskit/block"
)

const (
	relabelConfig = `
- {action: hashmod, source_labels: [cluster, replica, __block_id], modulus: 3, target_label: shard}
- {action: keep, source_labels: [shard], regex: "0|1"}
- {action: drop, source_labels: [tenant], regex: b}
`
	consistencyDelay = 30 * time.Minute
	deletionDelay    = 24 * time.Hour
)

// fill makes a bucket of random blocks around now, of few sources, with marks.
func fill(t *testing.T, seed uint64, now time.Time) *objstore.InMemBucket {
	t.Helper()
	r, bkt, ctx := newRandom(seed), objstore.NewInMemBucket(), context.Background()
	for range 80 {
		m := r.meta()
		// Of no sources we say on purpose something else than Thanos.
		for len(m.Compaction.Sources) == 0 {
			m.Compaction.Sources = r.ids(4, 12)
		}
		// A few hours each way, never so near to a bound that the clock decides.
		hours := func(n int) time.Duration { return time.Duration(r.IntN(2*n)-n)*time.Hour + 20*time.Minute }
		m.MinTime = timestamp.FromTime(now.Add(hours(48)))
		m.MaxTime = m.MinTime + r.Int64N(20)*3_600_000
		testutil.Ok(t, m.ULID.SetTime(ulid.Timestamp(now.Add(-time.Duration(r.IntN(2))*time.Hour))))
		if !m.Thanos.UploadTime.IsZero() {
			m.Thanos.UploadTime = now.Add(-time.Duration(r.IntN(3)) * 20 * time.Minute).Add(-time.Minute).UTC()
		}
		testutil.Ok(t, bkt.Upload(ctx, m.ULID.String()+"/meta.json", bytes.NewReader(theirs(t, m))))
		if r.chance(30) {
			_, err := block.PutMark(ctx, bkt, block.Mark{Kind: block.DeletionMark, Block: m.ULID, Time: now.Add(-time.Duration(r.IntN(3)) * 12 * time.Hour).Add(-time.Hour)})
			testutil.Ok(t, err)
		}
	}
	testutil.Ok(t, bkt.Upload(ctx, r.id(99).String()+"/index", bytes.NewReader(nil)))
	testutil.Ok(t, bkt.Upload(ctx, r.id(99).String()+"/meta.json", bytes.NewReader([]byte("{"))))
	return bkt
}

// theirView is what Thanos' fetcher says, with its filters in its order.
func theirView(t *testing.T, bkt objstore.Bucket, replica []string, now time.Time, recursive bool) (map[ulid.ULID]*metadata.Meta, map[ulid.ULID]error) {
	t.Helper()
	logger, ib := log.NewNopLogger(), objstore.WithNoopInstr(bkt)
	configs, err := thanosblock.ParseRelabelConfig([]byte(relabelConfig), thanosblock.SelectorSupportedRelabelActions)
	testutil.Ok(t, err)
	lo, hi := now.Add(-24*time.Hour), now.Add(24*time.Hour)
	filters := []thanosblock.MetadataFilter{
		thanosblock.NewTimePartitionMetaFilter(thanosmodel.TimeOrDurationValue{Time: &lo}, thanosmodel.TimeOrDurationValue{Time: &hi}),
		thanosblock.NewLabelShardedMetaFilter(configs, replica...),
		thanosblock.NewConsistencyDelayMetaFilterWithoutMetrics(logger, consistencyDelay),
		thanosblock.NewIgnoreDeletionMarkFilter(logger, ib, deletionDelay, 4),
		thanosblock.NewReplicaLabelRemover(logger, replica),
		thanosblock.NewDeduplicateFilter(2),
	}
	var lister thanosblock.Lister = thanosblock.NewConcurrentLister(logger, ib)
	if recursive {
		lister = thanosblock.NewRecursiveLister(logger, ib)
	}
	f, err := thanosblock.NewMetaFetcher(logger, 4, ib, lister, "", nil, filters)
	testutil.Ok(t, err)
	metas, partial, err := f.Fetch(context.Background())
	testutil.Ok(t, err)
	return metas, partial
}

func ourView(t *testing.T, bkt objstore.Bucket, replica []string, now time.Time, lister block.Lister) *block.View {
	t.Helper()
	configs, err := block.ParseRelabel([]byte(relabelConfig))
	testutil.Ok(t, err)
	filters, err := block.StandardFilters(&block.FilterOptions{
		MinTime: block.TimeAt(now.Add(-24 * time.Hour)), MaxTime: block.TimeAt(now.Add(24 * time.Hour)),
		Relabel: configs, ConsistencyDelay: consistencyDelay, DeletionDelay: deletionDelay, ReplicaLabels: replica,
	})
	testutil.Ok(t, err)
	f, err := block.NewFetcher(bkt, t.TempDir(), &block.FetcherOptions{Lister: lister, Filters: filters})
	testutil.Ok(t, err)
	v, err := f.Fetch(context.Background())
	testutil.Ok(t, err)
	testutil.Ok(t, v.Incomplete)
	return v
}

func keys[V any](m map[ulid.ULID]V) []ulid.ULID {
	var ids []ulid.ULID
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ulid.ULID.Compare)
	return ids
}

// Both see the same blocks in the same bucket, with the same labels.
func TestViews(t *testing.T) {
	t.Parallel()
	reasons := map[string]int{}
	for seed := range uint64(40) {
		now := time.Now()
		bkt := fill(t, seed, now)
		replica := [][]string{nil, {"replica"}, {"tenant", "replica", "cluster", "ü"}}[seed%3]
		theirs, theirPartial := theirView(t, bkt, replica, now, seed%2 == 0)
		for _, lister := range []block.Lister{block.RecursiveLister(), block.BlockLister(3)} {
			v := ourView(t, bkt, replica, now, lister)
			testutil.Equals(t, keys(theirs), keys(v.Metas), fmt.Sprintf("seed %d", seed))
			testutil.Equals(t, keys(theirPartial), keys(v.Partial))
			for id, m := range theirs {
				testutil.Assert(t, maps.Equal(m.Thanos.Labels, v.Metas[id].Thanos.Labels), "%v, not %v", v.Metas[id].Thanos.Labels, m.Thanos.Labels)
			}
			for _, reason := range v.Excluded {
				reasons[reason]++
			}
		}
	}
	for _, reason := range []string{block.StateTimeExcluded, block.StateLabelExcluded, block.StateTooFresh, block.StateMarked, block.StateDuplicate} {
		testutil.Assert(t, reasons[reason] > 20, "the test has hardly anything %s: %v", reason, reasons)
	}
}

// Where we differ on purpose: a block without sources is a duplicate of any other
// for Thanos.
func TestNoSources(t *testing.T) {
	t.Parallel()
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	for n := range 2 {
		m := newRandom(uint64(n)).meta()
		m.Thanos.Labels, m.Thanos.Downsample.Resolution = map[string]string{"cluster": "a"}, 0
		m.Compaction.Sources = nil
		if n == 1 {
			m.Compaction.Sources = []ulid.ULID{m.ULID}
		}
		testutil.Ok(t, bkt.Upload(ctx, m.ULID.String()+"/meta.json", bytes.NewReader(theirs(t, m))))
	}
	logger, ib := log.NewNopLogger(), objstore.WithNoopInstr(bkt)
	f, err := thanosblock.NewMetaFetcher(logger, 1, ib, thanosblock.NewConcurrentLister(logger, ib), "", nil, []thanosblock.MetadataFilter{thanosblock.NewDeduplicateFilter(1)})
	testutil.Ok(t, err)
	metas, _, err := f.Fetch(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(metas))
	ours, err := block.NewFetcher(bkt, "", &block.FetcherOptions{Filters: []block.Filter{block.Duplicates()}})
	testutil.Ok(t, err)
	v, err := ours.Fetch(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, 2, len(v.Metas))
}

// Either starts from what the other has cached.
func TestCacheDirectory(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	bkt := fill(t, 1, time.Now())
	logger, ib := log.NewNopLogger(), objstore.WithNoopInstr(bkt)
	theirs := func(bkt objstore.InstrumentedBucketReader) map[ulid.ULID]*metadata.Meta {
		f, err := thanosblock.NewMetaFetcher(logger, 2, bkt, thanosblock.NewConcurrentLister(logger, bkt), dir, nil, nil)
		testutil.Ok(t, err)
		metas, _, err := f.Fetch(ctx)
		testutil.Ok(t, err)
		return metas
	}
	want := keys(theirs(ib))
	f, err := block.NewFetcher(bkt, dir, nil)
	testutil.Ok(t, err)
	v, err := f.Fetch(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, want, keys(v.Metas))
	testutil.Equals(t, want, keys(theirs(ib)))
}
