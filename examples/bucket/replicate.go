package main

import (
	"context"
	"flag"
	"fmt"

	objectstore "github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/examples/internal/objstore"
	"github.com/thanoskit/thanoskit/examples/internal/program"
)

// replicate copies blocks to another bucket.
func replicate(flags *flag.FlagSet) func(context.Context, *tool) error {
	sel := newSelector(flags)
	to := objstore.NewConfig(flags, "objstore-to")
	var concurrency int
	program.Count(flags, &concurrency, "concurrency", 4, 1, "how many objects are copied at a time")
	unmarked := flags.Bool("ignore-marked-for-deletion", false, "leave out blocks that are marked for deletion")
	return func(ctx context.Context, t *tool) error {
		if !to.Given() {
			return &usageError{"--objstore-to.config or --objstore-to.config-file is needed"}
		}
		return withBucket(to.Open, t.log, func(other objectstore.Bucket) error {
			done, err := block.Replicate(ctx, t.bkt, other, sel, &block.ReplicateOptions{Concurrency: concurrency, IgnoreMarked: *unmarked})
			for _, id := range done {
				if _, err := fmt.Fprintf(t.out, "%s copied\n", id); err != nil {
					return err
				}
			}
			return err
		})
	}
}
