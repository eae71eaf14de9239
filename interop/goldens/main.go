package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/efficientgo/core/errcapture"
	"github.com/go-kit/log"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"
	"github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/block/metadata"
)

func main() {
	thanos := flag.String("thanos", "thanos", "program that downsamples")
	out := flag.String("out", "../block/blocktest/testdata/golden", "directory for the blocks")
	flag.Parse()
	if err := untilSignal(*thanos, *out); err != nil {
		fmt.Fprintln(os.Stderr, "goldens:", err)
		os.Exit(1)
	}
}

func untilSignal(thanos, out string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	return run(ctx, thanos, out)
}

func run(ctx context.Context, thanos, out string) (err error) {
	tmp, err := os.MkdirTemp("", "goldens")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	dir := filepath.Join(tmp, "bucket")
	bkt, err := filesystem.NewBucket(dir)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, bkt.Close, "close bucket")
	for _, span := range [][2]time.Duration{{0, length}, {length, length + tail}} {
		if err := write(ctx, bkt, filepath.Join(tmp, "block"), span[0], span[1]); err != nil {
			return err
		}
	}
	if err := downsample(ctx, thanos, dir, filepath.Join(tmp, "data")); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	return os.CopyFS(out, os.DirFS(dir))
}

// write puts a raw block of all series into the bucket: what they have from, and
// before, a time since start.
func write(ctx context.Context, bkt objstore.Bucket, dir string, from, before time.Duration) (err error) {
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 2*length.Milliseconds())
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, w.Close, "close writer")
	app := w.Appender(ctx)
	for _, s := range all() {
		var ref storage.SeriesRef
		n := -1
		for at := range s.times {
			n++
			if at < from || at >= before {
				continue
			}
			if ref, err = s.add(app, ref, s.labels, n, at); err != nil {
				return fmt.Errorf("append to %s at %v: %w", s.labels, at, err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		return err
	}
	id, err := w.Flush(ctx)
	if err != nil {
		return err
	}
	bdir := filepath.Join(dir, id.String())
	_, err = metadata.InjectThanos(log.NewNopLogger(), bdir, metadata.Thanos{
		Labels: map[string]string{"cluster": "golden", "replica": "a"},
		Source: metadata.SidecarSource,
	}, nil)
	if err != nil {
		return err
	}
	return block.Upload(ctx, log.NewNopLogger(), bkt, bdir, metadata.NoneFunc)
}
