package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/examples/internal/program"
)

// downsampleBlocks makes 5m and 1h of the blocks that are due, once or again and
// again.
func downsampleBlocks(flags *flag.FlagSet) func(context.Context, *tool) error {
	opts := &downsample.BucketOptions{}
	dir := flags.String("data-dir", "./data", "directory for blocks that are worked on; nothing else is to be in it")
	program.Count(flags, &opts.Concurrency, "downsample.concurrency", 1, 1, "how many blocks are downsampled at a time")
	program.Count(flags, &opts.FileConcurrency, "block-files-concurrency", 1, 1, "how many files of a block are downloaded or uploaded at a time")
	flags.Func("hash-func", "SHA256, for meta.json to have the hash of each file (default none)", func(v string) error {
		if v != "" && v != string(block.HashSHA256) {
			return errors.New("not SHA256")
		}
		opts.Hash = block.HashFunc(v)
		return nil
	})
	var wait time.Duration
	program.Duration(flags, &wait, "wait-interval", 5*time.Minute, "time from the end of one run to the next; 0s for one run")
	return func(ctx context.Context, t *tool) error {
		opts.Logger = t.log
		for {
			err := t.downsample(ctx, *dir, opts)
			if wait == 0 {
				return err
			}
			if err != nil && ctx.Err() == nil {
				t.log.Error("not all blocks were downsampled, to be tried again", "err", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
		}
	}
}

// downsample is one run. What was made is printed, also if not all was.
func (t *tool) downsample(ctx context.Context, dir string, opts *downsample.BucketOptions) error {
	made, err := downsample.Bucket(ctx, t.bkt, dir, opts)
	for _, m := range made {
		if _, err := fmt.Fprintf(t.out, "%s made: %s, %d series and %d chunks\n", m.ULID, m.Resolution(), m.Stats.NumSeries, m.Stats.NumChunks); err != nil {
			return err
		}
	}
	return err
}
