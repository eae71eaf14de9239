package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
)

// TestDownsample: of a bucket without 5m and 1h they are made, once.
func TestDownsample(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, i := range []int{1, 2} {
		testutil.Ok(t, os.RemoveAll(filepath.Join(w.dir, w.id(i))))
	}
	args := []string{"--data-dir=" + filepath.Join(t.TempDir(), "data"), "--wait-interval=0s", "--hash-func=SHA256"}
	lines := strings.Split(strings.TrimSpace(w.run(statusOK, "downsample", args...)), "\n")
	testutil.Equals(t, 2, len(lines))
	for i, resolution := range []string{"5m", "1h"} {
		testutil.Assert(t, strings.Contains(lines[i], " made: "+resolution+", 11 series"), lines[i])
		id := strings.Fields(w.run(statusOK, "ls", "--resolution="+resolution))
		testutil.Equals(t, []string{strings.Fields(lines[i])[0]}, id)
	}
	testutil.Equals(t, "", w.run(statusOK, "downsample", args...))
	w.run(statusOK, "verify", "--resolution=5m", "--resolution=1h")
}

// TestDownsampleWaits: without anything to do it waits for something, until it is
// told to end.
func TestDownsampleWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var stdout, stderr bytes.Buffer
	testutil.Equals(t, statusOK, run(ctx, []string{"downsample", w.config, "--data-dir=" + t.TempDir(), "--wait-interval=1ms"}, &stdout, &stderr))
	testutil.Assert(t, ctx.Err() != nil, "ended by itself")
}

// TestDownsampleFails: what cannot be done is the status, and is tried again as long
// as it waits.
func TestDownsampleFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testutil.Ok(t, os.RemoveAll(filepath.Join(w.dir, w.id(1))))
	testutil.Ok(t, os.Remove(filepath.Join(w.dir, w.id(0), "chunks", "000001")))
	w.run(statusFailed, "downsample", "--data-dir="+t.TempDir(), "--wait-interval=0s")
	w.run(statusUsage, "downsample", "--wait-interval=soon")
	w.run(statusUsage, "downsample", "--hash-func=MD5")
}
