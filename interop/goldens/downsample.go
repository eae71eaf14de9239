package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/thanos-io/thanos/pkg/block/metadata"
)

// downsample has Thanos downsample a bucket until that holds a block of each
// resolution.
func downsample(ctx context.Context, thanos, bucket, data string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, thanos, "tools", "bucket", "downsample",
		fmt.Sprintf("--objstore.config={type: FILESYSTEM, config: {directory: %q}}", bucket),
		"--data-dir="+data, "--http-address="+addr)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return err
	}
	err = awaitResolutions(ctx, bucket)
	cancel() // It goes on for ever by itself.
	_ = cmd.Wait()
	return err
}

func awaitResolutions(ctx context.Context, bucket string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		found := map[int64]bool{}
		dirs, err := filepath.Glob(filepath.Join(bucket, "*", "meta.json"))
		if err != nil {
			return err
		}
		for _, name := range dirs {
			// One that is being written is not there yet.
			if m, err := metadata.ReadFromDir(filepath.Dir(name)); err == nil {
				found[m.Thanos.Downsample.Resolution] = true
			}
		}
		if len(found) == 3 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("await blocks of three resolutions, have %v: %w", found, ctx.Err())
		}
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), errors.Join(l.Close())
}
