package block_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtestutil "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// So many requests at a time, and not more.
func TestFetcherConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bkt := world(t, objstore.NewInMemBucket())
		bkt.Delay(blocktest.Latency(time.Second)) // until all have asked that may
		fetch(t, bkt, &block.FetcherOptions{Concurrency: 3})
		testutil.Equals(t, 3, bkt.Stats().Concurrent)
	})
}

func TestFetcherMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	inner := objstore.NewInMemBucket()
	bkt := world(t, inner)
	f := newFetcher(t, bkt, "", &block.FetcherOptions{Registerer: reg, Filters: []block.Filter{
		block.DeletionMarks(0), block.ReplicaLabels("replica"),
		block.FilterFunc(func(_ context.Context, v *block.View) error {
			if len(v.Metas) == 4 {
				v.Exclude(newID(0), "mine")
			}
			return nil
		}),
	}})
	bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Name == block.ObjectName(newID(2), "meta.json") }))
	fetchWith(t, f)
	bkt.Fail(nil)
	testutil.Ok(t, inner.ChangeLastModified(block.ObjectName(newID(1), "meta.json"), time.Now().Add(time.Hour)))
	fetchWith(t, f)
	bkt.Fail(blocktest.Deny(nil))
	_, err := f.Fetch(context.Background())
	testutil.NotOk(t, err)
	testutil.Ok(t, promtestutil.GatherAndCompare(reg, strings.NewReader(`
# HELP thanos_blocks_meta_base_cache_busts_total Total cached meta.json files that were read again because they were written since.
# TYPE thanos_blocks_meta_base_cache_busts_total counter
thanos_blocks_meta_base_cache_busts_total 1
# HELP thanos_blocks_meta_modified Number of blocks whose metadata changed.
# TYPE thanos_blocks_meta_modified gauge
thanos_blocks_meta_modified{modified="replica-label-removed"} 4
# HELP thanos_blocks_meta_sync_failures_total Total blocks metadata synchronization failures, incomplete views among them.
# TYPE thanos_blocks_meta_sync_failures_total counter
thanos_blocks_meta_sync_failures_total 2
# HELP thanos_blocks_meta_synced Number of blocks by what became of them in the last synchronization.
# TYPE thanos_blocks_meta_synced gauge
thanos_blocks_meta_synced{state="corrupted-meta-json"} 1
thanos_blocks_meta_synced{state="duplicate"} 0
thanos_blocks_meta_synced{state="failed"} 0
thanos_blocks_meta_synced{state="label-excluded"} 0
thanos_blocks_meta_synced{state="loaded"} 3
thanos_blocks_meta_synced{state="marked-for-deletion"} 1
thanos_blocks_meta_synced{state="marked-for-no-compact"} 1
thanos_blocks_meta_synced{state="marked-for-no-downsample"} 1
thanos_blocks_meta_synced{state="mine"} 1
thanos_blocks_meta_synced{state="no-meta-json"} 1
thanos_blocks_meta_synced{state="time-excluded"} 0
thanos_blocks_meta_synced{state="too-fresh"} 0
thanos_blocks_meta_synced{state="unsupported-meta-json"} 1
# HELP thanos_blocks_meta_syncs_total Total blocks metadata synchronization attempts.
# TYPE thanos_blocks_meta_syncs_total counter
thanos_blocks_meta_syncs_total 3
`), "thanos_blocks_meta_base_cache_busts_total", "thanos_blocks_meta_modified", "thanos_blocks_meta_sync_failures_total", "thanos_blocks_meta_synced", "thanos_blocks_meta_syncs_total"))
	// A second one shares them.
	newFetcher(t, bkt, "", &block.FetcherOptions{Registerer: reg})
	other := prometheus.NewRegistry()
	other.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "thanos_blocks_meta_synced"}))
	_, err = block.NewFetcher(bkt, "", &block.FetcherOptions{Registerer: other})
	testutil.NotOk(t, err)
}
