package indexheader_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/internal/indexheader"
)

func TestBuildRequests(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(2000))
	for _, tc := range []struct {
		name     string
		opts     *indexheader.Options
		noSize   bool
		requests int
	}{
		{name: "small", requests: 1},
		{name: "small, size not known", noSize: true, requests: 2},
		{name: "large", opts: &indexheader.Options{SmallIndex: 1000}, requests: 2},
		{name: "large, table not in the tail", opts: &indexheader.Options{SmallIndex: 1000, Tail: 1000}, requests: 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bkt, meta := put(t, idx)
			if tc.noSize {
				meta = noSize(meta)
			}
			path := filepath.Join(t.TempDir(), "header")
			testutil.Ok(t, indexheader.Build(t.Context(), bkt, meta, path, tc.opts))
			testutil.Equals(t, tc.requests, bkt.Stats().Requests)
			testutil.Assert(t, bkt.Stats().Gets().Read <= int64(len(idx)), "read %d of %d", bkt.Stats().Gets().Read, len(idx))
		})
	}
}

func TestBuildCorrupt(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(50))
	toc := idx[len(idx)-52:]
	at := func(i int) int { return int(binary.BigEndian.Uint64(toc[8*i:])) }
	flip := func(off int) func([]byte) []byte {
		return func(b []byte) []byte { b[off] ^= 0x40; return b }
	}
	for name, change := range map[string]func([]byte) []byte{
		"magic":              flip(0),
		"symbols":            flip(at(0) + 20),
		"number of symbols":  flip(at(0) + 4),
		"length of symbols":  flip(at(0)),
		"table of postings":  flip(at(5) + 20),
		"table of contents":  flip(len(idx) - 20),
		"checksum":           flip(len(idx) - 1),
		"truncated":          func(b []byte) []byte { return b[:len(b)-1] },
		"truncated by much":  func(b []byte) []byte { return b[:len(b)/2] },
		"nothing":            func([]byte) []byte { return nil },
		"of another kind":    func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) },
		"longer than stated": func(b []byte) []byte { return append(b, 0) },
	} {
		for how, opts := range map[string]*indexheader.Options{"whole": nil, "tail": {SmallIndex: 1, Tail: 100}} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				bkt, _ := put(t, change(slices.Clone(idx)))
				_, meta := put(t, idx)
				for _, meta := range []*block.Meta{meta, noSize(meta)} {
					dir := t.TempDir()
					err := indexheader.Build(t.Context(), bkt, meta, filepath.Join(dir, "header"), opts)
					if name == "longer than stated" && meta.IndexSize() != 0 {
						testutil.Ok(t, err) // What lies behind is not asked for.
						continue
					}
					var corrupt *block.CorruptError
					testutil.Assert(t, errors.As(err, &corrupt), "%v", err)
					testutil.Equals(t, id, corrupt.Block)
					testutil.Equals(t, block.IndexFile, corrupt.File)
					left, err := os.ReadDir(dir)
					testutil.Ok(t, err)
					testutil.Equals(t, 0, len(left))
				}
			})
		}
	}
}

func TestBuildUnsupported(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(5))
	idx[4] = 3
	bkt, meta := put(t, idx)
	err := indexheader.Build(t.Context(), bkt, meta, filepath.Join(t.TempDir(), "header"), nil)
	var unsupported *block.UnsupportedError
	testutil.Assert(t, errors.As(err, &unsupported), "%v", err)
	testutil.Equals(t, block.UnsupportedError{Block: id, File: block.IndexFile, What: "index version 3"}, *unsupported)
	testutil.Assert(t, !errors.Is(err, block.ErrCorrupt))
}

func TestBuildFaults(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(500))
	large := &indexheader.Options{SmallIndex: 1, Tail: 100}
	build := func(t *testing.T, bkt objstore.BucketReader, meta *block.Meta) error {
		return indexheader.Build(t.Context(), bkt, meta, filepath.Join(t.TempDir(), "header"), large)
	}
	t.Run("not there", func(t *testing.T) {
		t.Parallel()
		bkt, meta := put(t, idx)
		bkt.Hide(func(string) bool { return true })
		for _, meta := range []*block.Meta{meta, noSize(meta)} {
			testutil.Assert(t, errors.Is(build(t, bkt, meta), block.ErrNotFound))
		}
	})
	t.Run("each request fails", func(t *testing.T) {
		t.Parallel()
		for n := 1; n <= 3; n++ {
			bkt, meta := put(t, idx)
			bkt.Fail(func(r blocktest.Request) error {
				if len(bkt.Requests()) == n {
					return blocktest.ErrFault
				}
				return nil
			})
			err := build(t, bkt, meta)
			testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
			testutil.Assert(t, !errors.Is(err, block.ErrCorrupt), "%v", err)
		}
	})
	t.Run("body cut short", func(t *testing.T) {
		t.Parallel()
		bkt, meta := put(t, idx)
		bkt.Body(blocktest.Truncated(50))
		testutil.Assert(t, errors.Is(build(t, bkt, meta), block.ErrCorrupt))
		testutil.Equals(t, 0, bkt.OpenBodies())
	})
	t.Run("body breaks", func(t *testing.T) {
		t.Parallel()
		bkt, meta := put(t, idx)
		for _, cause := range []error{blocktest.ErrFault, io.ErrUnexpectedEOF} {
			bkt.Body(blocktest.Broken(50, cause))
			err := build(t, bkt, meta)
			testutil.Assert(t, errors.Is(err, cause), "%v", err)
			testutil.Assert(t, !errors.Is(err, block.ErrCorrupt), "%v", err)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		bkt, meta := put(t, idx)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := indexheader.Build(ctx, bkt, meta, filepath.Join(t.TempDir(), "header"), nil)
		testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	})
}

// TestBuildDiskFull fails each step of writing: the error says where, and
// nothing is left.
func TestBuildDiskFull(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(50))
	for n := 1; ; n++ {
		bkt, meta := put(t, idx)
		steps := 0
		dir := t.TempDir()
		path := filepath.Join(dir, "header")
		opts := indexheader.Options{SmallIndex: 1}.WithStep(func(string) error {
			if steps++; steps == n {
				return syscall.ENOSPC
			}
			return nil
		})
		err := indexheader.Build(t.Context(), bkt, meta, path, opts)
		if err == nil {
			testutil.Assert(t, n > 5, "%d steps", n)
			return
		}
		var disk *indexheader.DiskError
		testutil.Assert(t, errors.As(err, &disk), "%v", err)
		testutil.Equals(t, path, disk.Path)
		testutil.Assert(t, errors.Is(err, syscall.ENOSPC))
		left, err := os.ReadDir(dir)
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(left))
	}
}

func TestBuildNoDirectory(t *testing.T) {
	t.Parallel()
	bkt, meta := put(t, writeIndex(t, lsets(5)))
	err := indexheader.Build(t.Context(), bkt, meta, filepath.Join(t.TempDir(), "no", "header"), nil)
	var disk *indexheader.DiskError
	testutil.Assert(t, errors.As(err, &disk), "%v", err)
	testutil.Assert(t, errors.Is(err, os.ErrNotExist))
}

// TestBuildCut kills the process at every step and request. What is there
// afterwards is a sound file or none, and the next process needs no other help
// than to build it.
func TestBuildCut(t *testing.T) {
	t.Parallel()
	idx := writeIndex(t, lsets(50))
	for _, when := range []blocktest.When{blocktest.Before, blocktest.Torn, blocktest.After} {
		for _, wiped := range []bool{false, true} {
			for n := 1; ; n++ {
				bkt, meta := put(t, idx)
				bkt.Cut(n, when)
				dir := t.TempDir()
				opts := indexheader.Options{SmallIndex: 1, Tail: 100}.WithStep(bkt.Step)
				pool := indexheader.NewPool(bkt, dir, opts)
				err := pool.Block(meta).Prepare(t.Context())
				alive := !bkt.Dead()
				testutil.Assert(t, alive == (err == nil) || when == blocktest.After, "%v", err)
				bkt.Revive()
				bkt.Reset()
				if wiped {
					testutil.Ok(t, os.RemoveAll(dir))
				}
				again := indexheader.NewPool(bkt, dir, opts).Block(meta)
				testutil.Ok(t, again.Prepare(t.Context()))
				h, err := again.Acquire(t.Context())
				testutil.Ok(t, err)
				compare(t, h, idx)
				again.Release()
				testutil.Ok(t, again.Close())
				_, err = os.Stat(again.Path() + indexheader.TmpSuffix)
				testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v is left", again.Path())
				if alive {
					testutil.Assert(t, n > 8, "%d steps", n)
					if !wiped {
						gets := 0
						for _, r := range bkt.Requests() {
							if r.Op != blocktest.OpStep {
								gets++
							}
						}
						testutil.Equals(t, 0, gets)
					}
					break
				}
			}
		}
	}
}
