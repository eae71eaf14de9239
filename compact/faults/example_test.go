package faults_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// upload puts five blocks of two hours into a bucket.
func upload(ctx context.Context, bkt objstore.Bucket, dir string) error {
	for k := range int64(5) {
		meta := (&blocktest.Options{MinTime: epoch + 2*k*hour, MaxTime: epoch + 2*(k+1)*hour}).Meta()
		meta, err := block.WriteBlock(dir, meta, []block.Series{
			blocktest.Series(labels.FromStrings("__name__", "up"), blocktest.Sample{T: meta.MinTime, F: 1}),
		}, nil)
		if err != nil {
			return err
		}
		if _, err := block.Upload(ctx, bkt, filepath.Join(dir, meta.ULID.String()), nil); err != nil {
			return err
		}
	}
	return nil
}

// run is one life of a compactor.
func run(ctx context.Context, bkt *blocktest.Bucket, dir string) (report *compact.Report, err error) {
	c, err := compact.New(bkt, dir, &compact.Options{ConsistencyDelay: -1})
	if err != nil {
		return nil, err
	}
	defer errcapture.Do(&err, c.Close, "close compactor")
	return c.RunOnce(step.With(ctx, bkt.Step))
}

// A compactor dies when it is about to mark the first source, and the next one goes
// on.
func Example() {
	ctx, bkt := context.Background(), blocktest.NewBucket(objstore.NewInMemBucket())
	dir, err := os.MkdirTemp("", "faults")
	if err == nil {
		err = upload(ctx, bkt, dir)
	}
	if err != nil {
		fmt.Println(err)
	}
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpUpload && filepath.Base(r.Name) == block.DeletionMarkFile {
			bkt.Cut(1, blocktest.Before)
			return blocktest.ErrDead
		}
		return nil
	})
	_, err = run(ctx, bkt, filepath.Join(dir, "work"))
	fmt.Println("dead:", errors.Is(err, blocktest.ErrDead))
	bkt.Fail(nil)
	bkt.Revive()
	report, err := run(ctx, bkt, filepath.Join(dir, "work"))
	fmt.Println("compactions:", report.Compactions, "marked, since they have been replaced already:", len(report.Marked), err)
	fmt.Println(os.RemoveAll(dir))
	// Output:
	// dead: true
	// compactions: 0 marked, since they have been replaced already: 4 <nil>
	// <nil>
}
