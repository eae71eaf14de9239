package block_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// Two gateways share a bucket by blocks, as with Thanos'
// --selector.relabel-config: this one takes those of shard 1.
func ExampleLabelShard() {
	configs, err := block.ParseRelabel([]byte(`
- {action: hashmod, source_labels: [__block_id], modulus: 2, target_label: shard}
- {action: keep, source_labels: [shard], regex: 1}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	shard, err := block.LabelShard(configs)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	if _, err := blocktest.Golden(ctx, bkt, nil); err != nil {
		fmt.Println(err)
		return
	}
	fetcher, err := block.NewFetcher(bkt, "", &block.FetcherOptions{Filters: []block.Filter{shard}})
	if err != nil {
		fmt.Println(err)
		return
	}
	view, err := fetcher.Fetch(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range view.Metas {
		fmt.Println(m.Resolution(), m.Labels())
	}
	fmt.Println(len(view.Excluded), "of another shard")
	// Output:
	// raw {cluster="golden", replica="a"}
	// raw {cluster="golden", replica="a"}
	// 2 of another shard
}

// A bound that moves, as Thanos' --min-time and --max-time take it.
func ExampleParseTimeBound() {
	now := time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)
	for _, text := range []string{"-2w", "2026-01-01T00:00:00Z", ""} {
		b, err := block.ParseTimeBound(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		if ms, ok := b.UnixMilli(now); ok {
			fmt.Println(time.UnixMilli(ms).UTC())
		} else {
			fmt.Println("no bound")
		}
	}
	// Output:
	// 2026-03-01 12:00:00 +0000 UTC
	// 2026-01-01 00:00:00 +0000 UTC
	// no bound
}

// What is wrong with a meta.json is told by the field.
func ExampleParseMeta() {
	_, err := block.ParseMeta([]byte(`{"ulid": "01EMS4F6G00000000000000001", "version": 1, "minTime": 1000, "maxTime": 0}`))
	var wrong *block.MetaError
	fmt.Println(errors.Is(err, block.ErrCorrupt), errors.As(err, &wrong) && wrong.Field == "minTime")
	fmt.Println(err)
	// Output:
	// true true
	// block 01EMS4F6G00000000000000001: meta.json is corrupt: minTime: 1000 is after maxTime 0
}

// A block that has been repaired may be compacted again.
func ExampleRemoveMark() {
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	id := ulid.MustParse("01EMS4F6G00000000000000001")
	if _, err := block.PutMark(ctx, bkt, block.Mark{Kind: block.NoCompactMark, Block: id, Reason: block.ReasonManual}); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		fmt.Println(block.RemoveMark(ctx, bkt, id, block.NoCompactMark))
	}
	// Output:
	// true <nil>
	// false <nil>
}

// A filter of one's own, which takes out what is downsampled.
func ExampleFilterFunc() {
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	if _, err := blocktest.Golden(ctx, bkt, nil); err != nil {
		fmt.Println(err)
		return
	}
	raw := block.FilterFunc(func(_ context.Context, v *block.View) error {
		for id, m := range v.Metas {
			if m.Resolution() != block.Raw {
				v.Exclude(id, "downsampled")
			}
		}
		return nil
	})
	fetcher, err := block.NewFetcher(bkt, "", &block.FetcherOptions{Filters: []block.Filter{raw}})
	if err != nil {
		fmt.Println(err)
		return
	}
	view, err := fetcher.Fetch(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(view.Metas), "blocks, and:")
	for _, state := range view.Excluded {
		fmt.Println(state)
	}
	// Output:
	// 2 blocks, and:
	// downsampled
	// downsampled
}

// Marks come with the view, and cost no further request.
func ExampleView_Mark() {
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	metas, err := blocktest.Golden(ctx, bkt, func(m *block.Meta) bool { return m.Resolution() == block.OneHour })
	if err != nil {
		fmt.Println(err)
		return
	}
	id := metas[0].ULID
	mark := block.Mark{Kind: block.DeletionMark, Block: id, Time: time.Unix(1_700_000_000, 0), Details: "too large"}
	if _, err := block.PutMark(ctx, bkt, mark); err != nil {
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
	fmt.Println(view.Marked(id, block.DeletionMark), view.Marked(id, block.NoCompactMark))
	m, err := view.Mark(id, block.DeletionMark)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Time.UTC(), m.Details)
	// Output:
	// true false
	// 2023-11-14 22:13:20 +0000 UTC too large
}
