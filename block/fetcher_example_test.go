package block_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

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
	dir, err := os.MkdirTemp("", "block")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	id := ulid.MustParse("01EMS4F6G00000000000000001")
	blockDir, err := exampleBlock(dir, id, id)
	if err != nil {
		log.Fatal(err)
	}

	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	meta, err := block.Upload(ctx, bkt, blockDir, &block.UploadOptions{Hash: block.HashSHA256})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(meta, meta.Labels())
	for _, f := range meta.Thanos.Files {
		fmt.Println(f.RelPath, f.Hash != nil)
	}
	// Output:
	// 01EMS4F6G00000000000000001 [0, 1001) raw level 1 {cluster="eu1"}
	// chunks/000001 true
	// index true
	// meta.json false
}

func ExampleDownload() {
	dir, err := os.MkdirTemp("", "block")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	id := ulid.MustParse("01EMS4F6G00000000000000001")
	blockDir, err := exampleBlock(dir, id, id)
	if err != nil {
		log.Fatal(err)
	}
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	if _, err := block.Upload(ctx, bkt, blockDir, nil); err != nil {
		log.Fatal(err)
	}

	to := dir + "/downloads/" + id.String()
	if err := block.Download(ctx, bkt, id, to, nil); err != nil {
		log.Fatal(err)
	}
	r, err := block.Open(to)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(r.Meta().Stats.NumSeries, "series")
	// Output: 1 series
}

// A view has the blocks of a bucket without those that others have replaced.
func ExampleFetcher() {
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	dir, err := os.MkdirTemp("", "block")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	first, second := ulid.MustParse("01EMS4F6G00000000000000001"), ulid.MustParse("01EMS4F6G00000000000000002")
	for _, sources := range [][]ulid.ULID{{first}, {first, second}} {
		blockDir, err := exampleBlock(dir, sources[len(sources)-1], sources...)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := block.Upload(ctx, bkt, blockDir, nil); err != nil {
			log.Fatal(err)
		}
	}

	filters, err := block.StandardFilters(&block.FilterOptions{ReplicaLabels: []string{"replica"}})
	if err != nil {
		log.Fatal(err)
	}
	fetcher, err := block.NewFetcher(bkt, dir+"/cache", &block.FetcherOptions{Filters: filters})
	if err != nil {
		log.Fatal(err)
	}
	view, err := fetcher.Fetch(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range view.Metas {
		fmt.Println(m)
	}
	fmt.Println(view.Excluded[first])
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
	ctx, from, to := context.Background(), objstore.NewInMemBucket(), objstore.NewInMemBucket()
	dir, err := os.MkdirTemp("", "block")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	id := ulid.MustParse("01EMS4F6G00000000000000001")
	blockDir, err := exampleBlock(dir, id, id)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := block.Upload(ctx, from, blockDir, nil); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		copied, err := block.Replicate(ctx, from, to, &block.Selector{Resolutions: []block.Resolution{block.Raw}}, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(copied)
	}
	// Output:
	// [01EMS4F6G00000000000000001]
	// []
}

func ExampleDelete() {
	ctx, bkt := context.Background(), objstore.NewInMemBucket()
	dir, err := os.MkdirTemp("", "block")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	id := ulid.MustParse("01EMS4F6G00000000000000001")
	blockDir, err := exampleBlock(dir, id, id)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := block.Upload(ctx, bkt, blockDir, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(bkt.Objects()), block.Delete(ctx, bkt, id), len(bkt.Objects()))
	// Output: 3 <nil> 0
}
