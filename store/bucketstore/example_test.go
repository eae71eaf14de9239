package bucketstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// upload puts a block with one series into a bucket, from one hour on.
func upload(ctx context.Context, bkt objstore.Bucket, cluster string, from time.Duration) error {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // It is temporary.
	chunks, err := store.FloatChunks([]int64{from.Milliseconds(), from.Milliseconds() + 15_000}, []float64{1, 2})
	if err != nil {
		return err
	}
	var data []block.Chunk
	for _, c := range chunks {
		data = append(data, block.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Raw.Encoding, Data: c.Raw.Bytes})
	}
	meta := &block.Meta{ULID: ulid.Make(), MinTime: from.Milliseconds(), MaxTime: (from + 2*time.Hour).Milliseconds()}
	meta.Thanos = block.Thanos{Labels: map[string]string{"cluster": cluster}, Source: block.SourceTest}
	up := block.Series{Labels: labels.FromStrings("__name__", "up", "job", "node"), Chunks: data}
	if meta, err = block.WriteBlock(dir, meta, []block.Series{up}, nil); err != nil {
		return err
	}
	_, err = block.Upload(ctx, bkt, filepath.Join(dir, meta.ULID.String()), nil)
	return err
}

func Example() {
	if err := gateway(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {__name__="up", cluster="eu", job="node"} 2 chunks
	// {__name__="up", cluster="us", job="node"} 1 chunks
	// [eu us] <nil>
	// [__name__ cluster job] <nil>
	// [{cluster="eu"} {cluster="us"}] 06:00:00 <nil>
}

func gateway(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // It is temporary.
	bkt := objstore.NewInMemBucket()         // S3, GCS, a directory: any bucket of objstore
	for i, cluster := range []string{"eu", "us", "eu"} {
		if err := upload(ctx, bkt, cluster, time.Duration(i)*2*time.Hour); err != nil {
			return err
		}
	}

	s, err := bucketstore.Open(ctx, bkt, dir, nil)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // Only memory is given back.
	req := &store.SeriesRequest{MaxTime: (24 * time.Hour).Milliseconds()}
	for series, err := range store.All(ctx, s, req, nil) {
		if err != nil {
			return err
		}
		fmt.Println(series.Labels, len(series.Chunks), "chunks")
	}
	clusters, err := s.LabelValues(ctx, &store.LabelValuesRequest{Label: "cluster", MaxTime: req.MaxTime})
	fmt.Println(clusters, err)
	names, err := s.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: req.MaxTime})
	fmt.Println(names, err)
	info, err := s.Describe(ctx)
	fmt.Println(info.LabelSets, time.UnixMilli(info.MaxTime+1).UTC().Format(time.TimeOnly), err)
	return nil
}

// ExampleStore_Run keeps up with a bucket in the background.
func ExampleStore_Run() {
	if err := keepUp(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// synced: <nil>
	// ran: <nil>
	// closed: <nil>
}

func keepUp(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // It is temporary.
	cache, err := bucketstore.NewMemoryCache(64<<20, nil)
	if err != nil {
		return err
	}
	bkt := objstore.NewInMemBucket()
	s, err := bucketstore.Open(ctx, bkt, dir, &bucketstore.Options{
		SyncInterval: 3 * time.Minute,
		Cache:        cache,
		Limits:       store.Limits{Series: 1_000_000, Bytes: 1 << 30},
		MinTime:      block.TimeFromNow(-30 * 24 * time.Hour), // what is younger is another's
	})
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	fmt.Println("synced:", s.Sync(ctx)) // also when Run does not
	cancel()
	fmt.Println("ran:", <-done)
	fmt.Println("closed:", s.Close())
	return nil
}

// ExampleBlockError has a compactor delete a block behind the Store's back: what
// other blocks have is sent, and a warning says what is missing.
func ExampleBlockError() {
	if err := partial(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {__name__="up", cluster="eu", job="node"} 1 chunks
	// one block is missing: not found
	// with Abort, that is the error: not found
}

func partial(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // It is temporary.
	bkt := objstore.NewInMemBucket()
	for i, cluster := range []string{"eu", "us"} {
		if err := upload(ctx, bkt, cluster, time.Duration(i)*2*time.Hour); err != nil {
			return err
		}
	}
	s, err := bucketstore.Open(ctx, bkt, dir, nil)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // Only memory is given back.
	for name := range bkt.Objects() {
		if id, ok := block.ParseID(name); ok && isOf(ctx, bkt, id, "us") {
			if err := block.Delete(ctx, bkt, id); err != nil {
				return err
			}
			break
		}
	}

	var out store.Outcome
	req := &store.SeriesRequest{MaxTime: (24 * time.Hour).Milliseconds()}
	for series, err := range store.All(ctx, s, req, &out) {
		if err != nil {
			return err
		}
		fmt.Println(series.Labels, len(series.Chunks), "chunks")
	}
	for _, w := range out.Warnings() {
		if missing, ok := errors.AsType[*bucketstore.BlockError](w); ok && errors.Is(missing, block.ErrNotFound) {
			fmt.Println("one block is missing:", block.ErrNotFound)
		}
	}
	req.Strategy = store.Abort
	for _, err := range store.All(ctx, s, req, nil) {
		if errors.Is(err, block.ErrNotFound) {
			fmt.Println("with Abort, that is the error:", block.ErrNotFound)
		}
	}
	return nil
}

// isOf reports whether a block is of a cluster.
func isOf(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID, cluster string) bool {
	m, err := block.FetchMeta(ctx, bkt, id)
	return err == nil && m.Labels().Get("cluster") == cluster
}
