package downsample_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
)

// counter rises by one each minute for some hours, but for a reset half-way.
func counter(hours int) block.Series {
	vs := make([]float64, 60*hours)
	for i := range vs {
		vs[i] = float64(i % (30 * hours))
	}
	return blocktest.Floats(labels.FromStrings("__name__", "ticks_total"), 0, time.Minute.Milliseconds(), vs...)
}

func printSamples(name string, c chunkenc.Chunk) {
	fmt.Printf("%-7s", name)
	for it := c.Iterator(nil); it.Next() != chunkenc.ValNone; {
		t, v := it.At()
		fmt.Printf(" %g@%dm", v, (t+1)/60_000)
	}
	fmt.Println()
}

func ExampleDownsampler() {
	raw := blocktest.Floats(labels.FromStrings("__name__", "c"), 0, time.Minute.Milliseconds(), 1, 2, 3, 4, 5, 6, 1, 2)
	var d downsample.Downsampler
	chunks, err := d.Append(nil, block.Raw, block.FiveMinutes, raw.Chunks)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range chunks {
		plain, err := c.Plain()
		if err != nil {
			fmt.Println(err)
			return
		}
		for k, name := range []string{"count", "sum", "min", "max", "counter"} {
			printSamples(name, plain[k])
		}
	}
	// Output:
	// count   5@5m 3@7m
	// sum     15@5m 9@7m
	// min     1@5m 1@7m
	// max     5@5m 6@7m
	// counter 1@0m 5@5m 8@7m 2@7m
}

func ExampleDownsampler_Append() {
	raw := counter(24)
	var d downsample.Downsampler
	fiveMinutes, err := d.Append(nil, block.Raw, block.FiveMinutes, raw.Chunks)
	if err != nil {
		fmt.Println(err)
		return
	}
	oneHour, err := d.Append(nil, block.FiveMinutes, block.OneHour, fiveMinutes)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(raw.Chunks), len(fiveMinutes), len(oneHour))
	_, err = d.Append(nil, block.Raw, block.OneHour, raw.Chunks)
	fmt.Println(err)
	// Output:
	// 12 3 1
	// downsample raw to 1h: resolution cannot be made from that
}

func ExampleDownsampler_Reset() {
	var d downsample.Downsampler
	var chunks []block.Chunk
	for range 3 { // series
		d.Reset() // the chunks of the series before have been written
		var err error
		if chunks, err = d.Append(chunks[:0], block.Raw, block.FiveMinutes, counter(2).Chunks); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(chunks))
	}
	// Output:
	// 1
	// 1
	// 1
}

func ExampleBlock() {
	dir, err := os.MkdirTemp("", "downsample-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	raw, err := block.WriteBlock(dir, (&blocktest.Options{}).Meta(), []block.Series{counter(48)}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	made, err := downsample.Block(context.Background(), filepath.Join(dir, raw.ULID.String()), dir, block.FiveMinutes, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(raw.Resolution(), raw.Stats.NumSamples)
	fmt.Println(made.Resolution(), made.Stats.NumSamples, made.Thanos.Source, made.Compaction.Sources[0] == raw.ULID)
	// Output:
	// raw 2880
	// 5m 576 compactor true
}

func ExampleBucket() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "downsample-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	bkt := objstore.NewInMemBucket()
	// Ten days of raw data, as a Thanos uploaded them.
	if _, err := blocktest.Golden(ctx, bkt, func(m *block.Meta) bool { return m.Resolution() == block.Raw }); err != nil {
		fmt.Println(err)
		return
	}
	made, err := downsample.Bucket(ctx, bkt, dir, &downsample.BucketOptions{Concurrency: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range made {
		fmt.Println(m.Resolution(), m.Stats.NumSeries)
	}
	// Output:
	// 5m 11
	// 1h 11
}

func ExampleDue() {
	hours := func(n int64) *block.Meta { return &block.Meta{MaxTime: n * time.Hour.Milliseconds()} }
	fmt.Println(downsample.Due(hours(39)))
	fmt.Println(downsample.Due(hours(48)))
	// Output:
	// 5m false
	// 5m true
}

func ExampleNext() {
	for r, ok := block.Raw, true; ok; r, ok = downsample.Next(r) {
		fmt.Println(r)
	}
	// Output:
	// raw
	// 5m
	// 1h
}
