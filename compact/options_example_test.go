package compact_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// A bucket that is away: nothing is lost, and the next run goes on.
func ExampleClassOf() {
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	bkt.Fail(blocktest.EveryNth(1, errors.New("503 slow down")))
	c, err := compact.New(bkt, "compactor", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_, err = c.Plan(context.Background())
	fmt.Println(compact.ClassOf(err), errors.Is(err, compact.ErrBucket))
	// Output: bucket true
}

// All blocks of a stream, whatever their replica and resolution, are one shard's.
func ExampleShardOf() {
	for _, cluster := range []string{"eu", "us", "ap"} {
		stream := labels.FromStrings("cluster", cluster) // without replica labels
		fmt.Println(cluster, compact.ShardOf(stream, 2))
	}
	// Output:
	// eu 1
	// us 0
	// ap 0
}

// Blocks of some external labels are kept for another time than the others. The plan
// is of the golden blocks: ten days, raw and downsampled, and two hours more that are
// raw alone.
func ExampleRetentionRule() {
	const day = 24 * time.Hour
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	if _, err := blocktest.Golden(ctx, bkt, nil); err != nil {
		fmt.Println(err)
		return
	}
	fetcher, err := block.NewFetcher(bkt, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	view, err := fetcher.Fetch(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	state := compact.NewState(view, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	plan, err := compact.MakePlan(state, &compact.Options{
		Retention: compact.Retention{Raw: 7 * day, FiveMinutes: 30 * day, OneHour: 365 * day},
		RetentionRules: []compact.RetentionRule{{ // Raw for 30 days, and the others for ever.
			Matchers:  []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "cluster", "golden")},
			Retention: compact.Retention{Raw: 30 * day},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range plan.Marks {
		fmt.Println(m.Cause, m.Meta.Resolution(), "block:", m.Why)
	}
	for _, h := range plan.Held {
		fmt.Println("held", h.Meta.Resolution(), "block:", h.Why)
	}
	// Output:
	// retention raw block: retention of 720h0m0s for raw ended 2023-12-25 03:59:00Z; all of it is there in 5m
	// held raw block: downsampled to 5m now
}
