package compact_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// inTempDir runs an example in a directory of its own.
func inTempDir(example func(dir string) error) error {
	dir, err := os.MkdirTemp("", "compact")
	if err != nil {
		return err
	}
	return errors.Join(example(dir), os.RemoveAll(dir))
}

// uploadDay uploads a day in blocks of two hours, one of which is damaged.
func uploadDay(ctx context.Context, bkt objstore.Bucket, dir string) error {
	const hour = int64(time.Hour / time.Millisecond)
	day := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for from := day; from < day+24*hour; from += 2 * hour {
		meta := (&blocktest.Options{
			MinTime: from, MaxTime: from + 2*hour, Source: block.SourceSidecar, ExternalLabels: labels.FromStrings("cluster", "eu1"),
		}).Meta()
		meta, err := block.WriteBlock(dir, meta, []block.Series{
			blocktest.Series(labels.FromStrings("__name__", "up"), blocktest.Sample{T: from, F: 1}, blocktest.Sample{T: from + hour, F: 1}),
		}, nil)
		if err != nil {
			return err
		}
		if _, err := block.Upload(ctx, bkt, filepath.Join(dir, meta.ULID.String()), nil); err != nil {
			return err
		}
		if from == day+10*hour {
			if err := bkt.Delete(ctx, block.ObjectName(meta.ULID, "chunks/000001")); err != nil {
				return err
			}
		}
	}
	return nil
}

func ExampleCompactor() {
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	err := inTempDir(func(dir string) (err error) {
		if err := uploadDay(ctx, bkt, filepath.Join(dir, "sidecar")); err != nil {
			return err
		}
		c, err := compact.New(bkt, filepath.Join(dir, "work"), &compact.Options{ConsistencyDelay: -1})
		if err != nil {
			return err
		}
		defer errcapture.Do(&err, c.Close, "close compactor")
		plan, err := c.Plan(ctx) // What would be done.
		if err != nil {
			return err
		}
		for _, job := range plan.Jobs {
			fmt.Printf("would %s %d blocks of %s\n", job.Kind, len(job.Sources), job.Group)
		}
		report, err := c.RunOnce(ctx) // c.Run goes on.
		if err != nil {
			return err
		}
		for _, m := range report.Uploaded {
			fmt.Printf("made a block of %s from %s\n", time.Duration(m.MaxTime-m.MinTime)*time.Millisecond, time.UnixMilli(m.MinTime).UTC().Format("15:04"))
		}
		for _, q := range report.Quarantined {
			fmt.Printf("went round a block that is %s\n", q.Reason)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// would Compact 4 blocks of 0@{cluster="eu1"}
	// would Compact 4 blocks of 0@{cluster="eu1"}
	// made a block of 8h0m0s from 00:00
	// made a block of 4h0m0s from 12:00
	// went round a block that is block-corrupt
	// <nil>
}
