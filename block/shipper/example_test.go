package shipper_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// exampleData makes a data directory with one block, as Prometheus would have
// it.
func exampleData() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "data")
	if err != nil {
		panic(err)
	}
	series := []block.Series{blocktest.Floats(labels.FromStrings("__name__", "up"), 0, 1000, 1, 0, 1)}
	if _, err := block.WriteBlock(dir, &block.Meta{ULID: newID(1)}, series, nil); err != nil {
		panic(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

func exampleLabels() labels.Labels { return labels.FromStrings("cluster", "eu1", "replica", "a") }

func Example() {
	dir, remove := exampleData()
	defer remove()
	bkt := objstore.NewInMemBucket() // or any other

	s, err := shipper.New(bkt, dir, &shipper.Options{ExternalLabels: exampleLabels})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := s.Sync(context.Background()) // a long-lived program calls s.Run
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range res.Uploaded {
		meta, err := block.FetchMeta(context.Background(), bkt, id)
		fmt.Println(meta.Labels(), meta.Thanos.Source, meta.Stats.NumSamples, err)
	}
	record, err := os.ReadFile(filepath.Join(dir, shipper.DefaultMetaFileName))
	fmt.Printf("%s%v\n", record, err)
	// Output:
	// {cluster="eu1", replica="a"} sidecar 3 <nil>
	// {
	// 	"version": 1,
	// 	"uploaded": [
	// 		"01HF7YAT000000000000000001"
	// 	]
	// }
	// <nil>
}

func ExampleNew() {
	_, err := shipper.New(objstore.NewInMemBucket(), "data", &shipper.Options{MetaFileName: "a/b", Concurrency: -1})
	fmt.Println(err)
	// Output:
	// option ExternalLabels: missing
	// option MetaFileName: "a/b" is no name of a file
	// option Concurrency: -1 is negative
}

func ExampleShipper_Sync() {
	dir, remove := exampleData()
	defer remove()
	s, err := shipper.New(objstore.NewInMemBucket(), dir, &shipper.Options{ExternalLabels: exampleLabels})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		res, err := s.Sync(context.Background())
		fmt.Println(len(res.Uploaded), "uploaded,", len(res.Skipped), "skipped,", len(res.Warnings), "warnings, error", err)
	}
	// Output:
	// 1 uploaded, 0 skipped, 0 warnings, error <nil>
	// 0 uploaded, 0 skipped, 0 warnings, error <nil>
}

func ExampleShipper_Run() {
	dir, remove := exampleData()
	defer remove()
	ctx, cancel := context.WithCancel(context.Background())
	// The log tells of each block; here it ends the program.
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{}
		}
		cancel()
		return a
	}}))
	s, err := shipper.New(objstore.NewInMemBucket(), dir, &shipper.Options{ExternalLabels: exampleLabels, Logger: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Run(ctx))
	// Output:
	// level=INFO msg="block uploaded" block=01HF7YAT000000000000000001 min_time=0 max_time=2001 level=1
	// <nil>
}
