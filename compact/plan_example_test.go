package compact_test

import (
	"fmt"
	"os"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// A plan is made from meta.json files alone: here, those of five blocks of two
// hours, and of one that has had its time and was never downsampled.
func ExampleMakePlan() {
	day := 24 * time.Hour
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	s := &compact.State{Now: now}
	add := func(n byte, from time.Time, d time.Duration) {
		id := ulid.ULID{15: n}
		s.Blocks = append(s.Blocks, compact.Block{Meta: &block.Meta{
			ULID: id, Version: 1, MinTime: from.UnixMilli(), MaxTime: from.Add(d).UnixMilli(),
			Compaction: block.Compaction{Level: 1, Sources: []ulid.ULID{id}},
			Thanos:     block.Thanos{Labels: map[string]string{"cluster": "eu"}, UploadTime: from.Add(d)},
		}})
	}
	add(1, now.Add(-40*day), 6*time.Hour)
	for i := range 5 {
		add(byte(2+i), now.Add(-day+time.Duration(i)*2*time.Hour), 2*time.Hour)
	}
	plan, err := compact.MakePlan(s, &compact.Options{Retention: compact.Retention{Raw: 30 * day}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, j := range plan.Jobs {
		fmt.Println(j.Kind, len(j.Sources), "->", j.Outputs, "because:", j.Why)
	}
	for _, h := range plan.Held {
		fmt.Println("held:", h.Meta.ULID, "since", h.Since.UTC().Format(time.DateOnly), "and", h.Why)
	}
	fmt.Printf("%+v\n", plan.Remaining)
	// Output:
	// Compact 4 -> [raw] because: 4 blocks of one range of 8h0m0s
	// Downsample 1 -> [5m] because: retention for raw ended 2026-02-20 06:00:00Z, and it is not in 5m
	// held: 00000000000000000000000001 since 2026-02-20 and downsampled to 5m now
	// {Compactions:1 CompactionBlocks:4 Downsamplings:1 Deletions:1}
}

// A dry run shows what would be done.
func ExamplePlan_WriteTable() {
	id := ulid.ULID{15: 1}
	s := &compact.State{
		Now:      time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
		Partials: []compact.Partial{{Block: id, Err: block.ErrPartial, Newest: time.Date(2026, 2, 27, 0, 0, 0, 0, time.UTC)}},
	}
	plan, err := compact.MakePlan(s, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := plan.WriteTable(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// DELETIONS
	// BLOCK                       CAUSE    SINCE                 WHY
	// 00000000000000000000000001  partial  2026-02-27 00:00:00Z  no whole meta.json, and nothing has been written since 2026-02-27 00:00:00Z
	//
	// Until nothing is left to do: 0 compactions of 0 blocks, 0 downsampled blocks made. 0 blocks past retention.
}
