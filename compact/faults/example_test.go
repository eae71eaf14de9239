package faults_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// A compactor dies when it is about to mark the first source, and the next one goes
// on.
func Example() {
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	for k := range int64(5) {
		meta := (&blocktest.Options{MinTime: epoch + 2*k*hour, MaxTime: epoch + 2*(k+1)*hour}).Meta()
		meta, err := block.WriteBlock(dir, meta, []block.Series{
			blocktest.Series(labels.FromStrings("__name__", "up"), blocktest.Sample{T: meta.MinTime, F: 1}),
		}, nil)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := block.Upload(context.Background(), bkt, filepath.Join(dir, meta.ULID.String()), nil); err != nil {
			log.Fatal(err)
		}
	}

	run := func() {
		c, err := compact.New(bkt, filepath.Join(dir, "work"), &compact.Options{ConsistencyDelay: -1, DeleteDelay: 48 * time.Hour})
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		report, err := c.RunOnce(step.With(context.Background(), bkt.Step))
		if err != nil {
			fmt.Println("dead:", errors.Is(err, blocktest.ErrDead))
			return
		}
		fmt.Println("compactions:", report.Compactions, "marked:", len(report.Marked))
	}
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpUpload && filepath.Base(r.Name) == block.DeletionMarkFile {
			bkt.Cut(1, blocktest.Before)
			return blocktest.ErrDead
		}
		return nil
	})
	run()
	bkt.Fail(nil)
	bkt.Revive()
	run() // The sources have been replaced already.
	// Output:
	// dead: true
	// compactions: 0 marked: 4
}
