package block_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// inTempDir runs an example in a directory of its own.
func inTempDir(example func(dir string) error) {
	dir, err := os.MkdirTemp("", "block")
	if err == nil {
		err = errors.Join(example(dir), os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Println(err)
	}
}

// exampleBlock writes a block of one series into a directory.
func exampleBlock(dir string, id ulid.ULID, sources ...ulid.ULID) (string, error) {
	m := &block.Meta{
		ULID:       id,
		Compaction: block.Compaction{Level: len(sources), Sources: sources},
		Thanos:     block.Thanos{Labels: map[string]string{"cluster": "eu1"}, Source: block.SourceSidecar},
	}
	_, err := block.WriteBlock(dir, m, []block.Series{blocktest.Floats(labels.FromStrings("__name__", "up"), 0, 1000, 1, 1)}, nil)
	return dir + "/" + id.String(), err
}

// A block goes to a bucket, is seen there, and comes back.
func ExampleUpload() {
	inTempDir(func(dir string) error {
		id := ulid.MustParse("01EMS4F6G00000000000000001")
		blockDir, err := exampleBlock(dir, id, id)
		if err != nil {
			return err
		}

		ctx, bkt := context.Background(), objstore.NewInMemBucket()
		meta, err := block.Upload(ctx, bkt, blockDir, &block.UploadOptions{Hash: block.HashSHA256})
		if err != nil {
			return err
		}
		fmt.Println(meta, meta.Labels())
		for _, f := range meta.Thanos.Files {
			fmt.Println(f.RelPath, f.Hash != nil)
		}
		return nil
	})
	// Output:
	// 01EMS4F6G00000000000000001 [0, 1001) raw level 1 {cluster="eu1"}
	// chunks/000001 true
	// index true
	// meta.json false
}

func ExampleDownload() {
	inTempDir(func(dir string) error {
		id := ulid.MustParse("01EMS4F6G00000000000000001")
		blockDir, err := exampleBlock(dir, id, id)
		if err != nil {
			return err
		}
		ctx, bkt := context.Background(), objstore.NewInMemBucket()
		if _, err := block.Upload(ctx, bkt, blockDir, nil); err != nil {
			return err
		}

		to := dir + "/downloads/" + id.String()
		if err := block.Download(ctx, bkt, id, to, nil); err != nil {
			return err
		}
		r, err := block.Open(to)
		if err != nil {
			return err
		}
		defer r.Close()
		fmt.Println(r.Meta().Stats.NumSeries, "series")
		return nil
	})
	// Output: 1 series
}

// A view has the blocks of a bucket without those that others have replaced.
func ExampleFetcher() {
	inTempDir(func(dir string) error {
		ctx, bkt := context.Background(), objstore.NewInMemBucket()
		first, second := ulid.MustParse("01EMS4F6G00000000000000001"), ulid.MustParse("01EMS4F6G00000000000000002")
		for _, sources := range [][]ulid.ULID{{first}, {first, second}} {
			blockDir, err := exampleBlock(dir, sources[len(sources)-1], sources...)
			if err != nil {
				return err
			}
			if _, err := block.Upload(ctx, bkt, blockDir, nil); err != nil {
				return err
			}
		}

		filters, err := block.StandardFilters(&block.FilterOptions{ReplicaLabels: []string{"replica"}})
		if err != nil {
			return err
		}
		fetcher, err := block.NewFetcher(bkt, dir+"/cache", &block.FetcherOptions{Filters: filters})
		if err != nil {
			return err
		}
		view, err := fetcher.Fetch(ctx)
		if err != nil {
			return err
		}
		for _, m := range view.Metas {
			fmt.Println(m)
		}
		fmt.Println(view.Excluded[first])
		return nil
	})
	// Output:
	// 01EMS4F6G00000000000000002 [0, 1001) raw level 2
	// duplicate
}

// The mark that is there stays.
func ExamplePutMark() {
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	id := ulid.MustParse("01EMS4F6G00000000000000001")
	for _, details := range []string{"chunks out of order", "again"} {
		put, err := block.PutMark(ctx, bkt, block.Mark{Kind: block.NoCompactMark, Block: id, Reason: block.ReasonManual, Details: details})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(put)
	}
	m, err := block.ReadMark(ctx, bkt, id, block.NoCompactMark)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Kind, m.Reason, m.Details)
	// Output:
	// true
	// false
	// no-compact manual chunks out of order
}

func ExampleReplicate() {
	inTempDir(func(dir string) error {
		ctx, from, to := context.Background(), objstore.NewInMemBucket(), objstore.NewInMemBucket()
		id := ulid.MustParse("01EMS4F6G00000000000000001")
		blockDir, err := exampleBlock(dir, id, id)
		if err != nil {
			return err
		}
		if _, err := block.Upload(ctx, from, blockDir, nil); err != nil {
			return err
		}
		for range 2 {
			copied, err := block.Replicate(ctx, from, to, &block.Selector{Resolutions: []block.Resolution{block.Raw}}, nil)
			if err != nil {
				return err
			}
			fmt.Println(copied)
		}
		return nil
	})
	// Output:
	// [01EMS4F6G00000000000000001]
	// []
}

func ExampleDelete() {
	inTempDir(func(dir string) error {
		ctx, bkt := context.Background(), objstore.NewInMemBucket()
		id := ulid.MustParse("01EMS4F6G00000000000000001")
		blockDir, err := exampleBlock(dir, id, id)
		if err != nil {
			return err
		}
		if _, err := block.Upload(ctx, bkt, blockDir, nil); err != nil {
			return err
		}
		fmt.Println(len(bkt.Objects()), block.Delete(ctx, bkt, id), len(bkt.Objects()))
		return nil
	})
	// Output: 3 <nil> 0
}
