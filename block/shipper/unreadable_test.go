package shipper_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// edit changes a file of a block, which is not written to as it may be linked.
func edit(t *testing.T, dir string, id ulid.ULID, name string, f func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, id.String(), filepath.FromSlash(name))
	b, err := os.ReadFile(path)
	testutil.Ok(t, err)
	testutil.Ok(t, os.Remove(path))
	testutil.Ok(t, os.WriteFile(path, f(b), 0o600))
}

// A block that readers could not read is named in a warning before it is sent,
// or skipped.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	const segment = "chunks/000001"
	for name, tc := range map[string]struct {
		file   string
		change func([]byte) []byte
		is     error
		text   string
	}{
		"unknown index version": {
			file: block.IndexFile, is: block.ErrUnsupported, text: "index version 9",
			change: func(b []byte) []byte { b[4] = 9; return b },
		},
		"truncated index": {
			file: block.IndexFile, is: block.ErrCorrupt,
			change: func(b []byte) []byte { return b[:len(b)/2] },
		},
		"empty index": {
			file: block.IndexFile, is: block.ErrCorrupt,
			change: func([]byte) []byte { return nil },
		},
		"series": {
			file: block.IndexFile, is: block.ErrCorrupt,
			change: func(b []byte) []byte {
				toc := b[len(b)-52:]
				b[(binary.BigEndian.Uint64(toc[8:])+15)/16*16+3] ^= 0xff
				return b
			},
		},
		"unknown chunk encoding": {
			file: segment, is: block.ErrUnsupported, text: "chunk encoding 77",
			change: func(b []byte) []byte {
				n, size := binary.Uvarint(b[8:])
				chunk := b[8+size:]
				chunk[0] = 77
				binary.BigEndian.PutUint32(chunk[1+n:], crc32.Checksum(chunk[:1+n], crc32.MakeTable(crc32.Castagnoli)))
				return b
			},
		},
		"checksum of a chunk": {
			file: segment, is: block.ErrCorrupt, text: segment,
			change: func(b []byte) []byte { b[15] ^= 0xff; return b },
		},
		"truncated segment": {
			file: segment, is: block.ErrCorrupt, text: segment,
			change: func(b []byte) []byte { return b[:len(b)/2] },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, skip := range []bool{false, true} {
				dir, bkt, reg := t.TempDir(), objstore.NewInMemBucket(), prometheus.NewRegistry()
				bad, good := put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2})
				edit(t, dir, bad, tc.file, tc.change)
				s := newShipper(t, bkt, dir, shipper.Options{SkipCorrupted: skip, Registerer: reg})
				res, err := s.Sync(t.Context())
				testutil.Ok(t, err)
				testutil.Equals(t, 1, len(res.Warnings))
				unreadable, ok := errors.AsType[*shipper.UnreadableError](res.Warnings[0])
				testutil.Assert(t, ok, "%v", res.Warnings)
				testutil.Equals(t, bad, unreadable.Block)
				testutil.Equals(t, skip, unreadable.Skipped)
				testutil.Assert(t, errors.Is(unreadable, tc.is) && strings.Contains(unreadable.Error(), tc.text), "%v", unreadable)
				testutil.Equals(t, 1.0, gathered(t, reg, "thanos_shipper_corrupted_blocks_total"))
				if !skip {
					testutil.Equals(t, []ulid.ULID{bad, good}, res.Uploaded)
					testutil.Equals(t, []ulid.ULID{bad, good}, visible(t, bkt, dir))
					meta, err := block.FetchMeta(t.Context(), bkt, bad)
					testutil.Ok(t, err)
					testutil.Equals(t, block.IndexStats{}, meta.Thanos.IndexStats) // which nobody could rely on
					continue
				}
				testutil.Equals(t, []ulid.ULID{good}, res.Uploaded)
				testutil.Equals(t, []shipper.Skip{{Block: bad, Reason: shipper.Corrupted}}, res.Skipped)
				testutil.Equals(t, record(good), readRecord(t, dir))

				// Mended, it goes.
				for name, b := range readFiles(t, promBlock(t, 0)) {
					if name != block.MetaFile {
						edit(t, dir, bad, name, func([]byte) []byte { return b })
					}
				}
				res, err = s.Sync(t.Context())
				testutil.Ok(t, err)
				testutil.Equals(t, []ulid.ULID{bad}, res.Uploaded)
				testutil.Equals(t, 0, len(res.Warnings))
			}
		})
	}
}

// A warning is logged when it comes up and not while it lasts, and the block is
// read once for it. When the block is gone, nothing is kept of it.
func TestWarnsOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	dir, bkt, reg := t.TempDir(), objstore.NewInMemBucket(), prometheus.NewRegistry()
	id := put(t, dir, spec{n: 1, at: 0})
	edit(t, dir, id, block.IndexFile, func(b []byte) []byte { return b[:len(b)/2] })
	s := newShipper(t, bkt, dir, shipper.Options{SkipCorrupted: true, UploadCompacted: true, Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		res, err := s.Sync(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(res.Warnings))
		testutil.Equals(t, 1, s.Verdicts())
		testutil.Equals(t, 0.0, gathered(t, reg, "thanos_shipper_upload_compacted_done")) // it could be one
	}
	testutil.Equals(t, 1, strings.Count(log.String(), "\n"), log.String())
	testutil.Ok(t, os.RemoveAll(filepath.Join(dir, id.String())))
	_, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 0, s.Verdicts())
}

// A block is not read anew because it could not be sent, and once it is sent
// nothing is kept of it.
func TestReadsOnce(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	id := put(t, dir, spec{n: 1, at: 0})
	s := newShipper(t, bkt, dir, shipper.Options{})
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpUpload {
			return blocktest.ErrFault
		}
		return nil
	})
	_, err := s.Sync(t.Context())
	testutil.NotOk(t, err)
	testutil.Equals(t, 1, s.Verdicts())
	bkt.Fail(nil)
	// A second reading would find this, which has the size and time of before.
	index := filepath.Join(dir, id.String(), block.IndexFile)
	info, err := os.Stat(index)
	testutil.Ok(t, err)
	edit(t, dir, id, block.IndexFile, func(b []byte) []byte { return make([]byte, len(b)) })
	testutil.Ok(t, os.Chtimes(index, info.ModTime(), info.ModTime()))
	res, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, shipper.Result{Uploaded: []ulid.ULID{id}}, res)
	testutil.Equals(t, 0, s.Verdicts())
}

// A block whose meta.json cannot be read may be of any time, so that all others
// wait for it, unless the order does not matter.
func TestUnreadableMeta(t *testing.T) {
	t.Parallel()
	for name, contents := range map[string]string{
		"no JSON": "{", "empty": "", "another's": `{"ulid":"` + newID(9).String() + `","version":1,"maxTime":1}`,
		"another version": `{"ulid":"` + newID(1).String() + `","version":3}`, "missing": "-",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for mode, opts := range map[string]shipper.Options{
				"strict": {}, "skip": {SkipCorrupted: true}, "out of order": {AllowOutOfOrder: true},
			} {
				dir, bkt := t.TempDir(), objstore.NewInMemBucket()
				bad, good := put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2})
				edit(t, dir, bad, block.MetaFile, func([]byte) []byte { return []byte(contents) })
				if contents == "-" {
					testutil.Ok(t, os.Remove(filepath.Join(dir, bad.String(), block.MetaFile)))
				}
				res, err := newShipper(t, bkt, dir, opts).Sync(t.Context())
				want := map[string]shipper.Result{
					"strict":       {Skipped: []shipper.Skip{{Block: bad, Reason: shipper.Failed}, {Block: good, Reason: shipper.HeldBack}}},
					"skip":         {Uploaded: []ulid.ULID{good}, Skipped: []shipper.Skip{{Block: bad, Reason: shipper.Corrupted}}},
					"out of order": {Uploaded: []ulid.ULID{good}, Skipped: []shipper.Skip{{Block: bad, Reason: shipper.Failed}}},
				}[mode]
				warnings := res.Warnings
				res.Warnings = nil
				testutil.Equals(t, want, res, mode)
				if mode == "skip" {
					testutil.Ok(t, err)
					unreadable, ok := errors.AsType[*shipper.UnreadableError](warnings[0])
					testutil.Assert(t, ok && unreadable.Block == bad, "%v", warnings)
					continue
				}
				failed, ok := errors.AsType[*shipper.Error](err)
				testutil.Assert(t, ok && failed.Block == bad && failed.Op == "read", "%v", err)
				testutil.Equals(t, 0, len(warnings))
			}
		})
	}
}

// A block without its index or chunks cannot be sent at all.
func TestMissingFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{block.IndexFile, block.ChunksDir} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), objstore.NewInMemBucket()
			id := put(t, dir, spec{n: 1, at: 0})
			testutil.Ok(t, os.RemoveAll(filepath.Join(dir, id.String(), name)))
			_, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
			failed, ok := errors.AsType[*shipper.Error](err)
			testutil.Assert(t, ok && failed.Block == id && errors.Is(err, os.ErrNotExist) && !errors.Is(err, shipper.ErrVanished), "%v", err)
			testutil.Equals(t, 0, len(visible(t, bkt, t.TempDir())))
		})
	}
}

// Files among the segments that are none, such as those of NFS for files that
// were deleted while open, are not sent: they would be counted as segments.
func TestStrayFiles(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	id := put(t, dir, spec{n: 1, at: 0})
	writeFiles(t, filepath.Join(dir, id.String()), files{"chunks/.nfs01": nil, "chunks/000002.tmp": nil, "tombstones": []byte("x"), "chunks/d/000001": nil})
	_, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	meta, err := block.FetchMeta(t.Context(), bkt, id)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"000001"}, meta.Thanos.SegmentFiles)
	testutil.Equals(t, 3, len(objects(t, bkt, id.String()+"/")))
}
