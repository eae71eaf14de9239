package shipper_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

func TestNew(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		dir  string
		opts *shipper.Options
		want []string // none is no error
	}{
		"nil":   {opts: nil, want: []string{"data directory: missing", "option ExternalLabels: missing"}},
		"least": {dir: "data", opts: &shipper.Options{ExternalLabels: external}},
		"all wrong": {dir: "data", opts: &shipper.Options{ExternalLabels: external, MetaFileName: "a/b", HashFunc: "MD5", Concurrency: -1, Interval: -1}, want: []string{
			`option MetaFileName: "a/b" is no name of a file`, `option HashFunc: "MD5" is not known`,
			"option Concurrency: -1 is negative", "option Interval: -1ns is negative",
		}},
		"parent":     {dir: "data", opts: &shipper.Options{ExternalLabels: external, MetaFileName: ".."}, want: []string{`option MetaFileName: ".." is no name of a file`}},
		"itself":     {dir: "data", opts: &shipper.Options{ExternalLabels: external, MetaFileName: "."}, want: []string{`option MetaFileName: "." is no name of a file`}},
		"of a block": {dir: "data", opts: &shipper.Options{ExternalLabels: external, MetaFileName: newID(1).String()}, want: []string{"is the name of a block"}},
		"SHA256":     {dir: "data", opts: &shipper.Options{ExternalLabels: external, HashFunc: block.HashSHA256}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := shipper.New(objstore.NewInMemBucket(), tc.dir, tc.opts)
			if len(tc.want) == 0 {
				testutil.Ok(t, err)
				return
			}
			for _, want := range tc.want {
				testutil.Assert(t, err != nil && strings.Contains(err.Error(), want), "%v", err)
			}
		})
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	reg := prometheus.NewRegistry()
	// The newer one has the lower ULID: order is by time, not by name.
	newer, older := put(t, dir, spec{n: 1, at: 4}), put(t, dir, spec{n: 2, at: 2})
	before := readFiles(t, dir)
	s := newShipper(t, bkt, dir, shipper.Options{Registerer: reg, HashFunc: block.HashSHA256})

	res, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, shipper.Result{Uploaded: []ulid.ULID{older, newer}}, res)
	testutil.Equals(t, []ulid.ULID{newer, older}, visible(t, bkt, dir))
	testutil.Equals(t, record(newer, older), readRecord(t, dir))

	// Thanos' section is in the bucket, and only there.
	meta, err := block.FetchMeta(t.Context(), bkt, older)
	testutil.Ok(t, err)
	testutil.Equals(t, map[string]string{"cluster": "eu1", "replica": "a"}, meta.Thanos.Labels)
	testutil.Equals(t, block.SourceSidecar, meta.Thanos.Source)
	testutil.Equals(t, []string{"000001"}, meta.Thanos.SegmentFiles)
	testutil.Equals(t, 3, len(meta.Thanos.Files))
	testutil.Equals(t, block.HashSHA256, meta.Thanos.Files[0].Hash.Func)
	testutil.Assert(t, !meta.Thanos.UploadTime.IsZero())
	report, err := block.Verify(t.Context(), filepath.Join(dir, older.String()), nil)
	testutil.Ok(t, err)
	testutil.Assert(t, meta.Thanos.IndexStats.SeriesMaxSize > 0)
	testutil.Equals(t, report.IndexStats, meta.Thanos.IndexStats)
	after := readFiles(t, dir)
	delete(after, shipper.DefaultMetaFileName)
	delete(after, "thanos/upload/thanos.shipper.json/lock")
	testutil.Equals(t, slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	for name, b := range before {
		testutil.Equals(t, string(b), string(after[name]), name)
	}
	testutil.Assert(t, !strings.Contains(string(after[older.String()+"/meta.json"]), "thanos"))

	// What is known costs nothing.
	bkt.Reset()
	res, err = s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, shipper.Result{}, res)
	testutil.Equals(t, 0, bkt.Stats().Requests)

	// A block that was deleted here is forgotten.
	testutil.Ok(t, os.RemoveAll(filepath.Join(dir, older.String())))
	_, err = s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, record(newer), readRecord(t, dir))
	testutil.Equals(t, 0, bkt.Stats().Requests)

	testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanos_shipper_corrupted_blocks_total Blocks found that readers could not read, in each sync anew.
# TYPE thanos_shipper_corrupted_blocks_total counter
thanos_shipper_corrupted_blocks_total 0
# HELP thanos_shipper_dir_sync_failures_total Syncs of the data directory that did not.
# TYPE thanos_shipper_dir_sync_failures_total counter
thanos_shipper_dir_sync_failures_total 0
# HELP thanos_shipper_dir_syncs_total Syncs of the data directory that sent all there was to send.
# TYPE thanos_shipper_dir_syncs_total counter
thanos_shipper_dir_syncs_total 3
# HELP thanos_shipper_upload_compacted_done If 1 all compacted blocks in the data directory have been uploaded.
# TYPE thanos_shipper_upload_compacted_done gauge
thanos_shipper_upload_compacted_done 0
# HELP thanos_shipper_upload_failures_total Uploads of blocks that failed.
# TYPE thanos_shipper_upload_failures_total counter
thanos_shipper_upload_failures_total 0
# HELP thanos_shipper_uploads_total Blocks uploaded.
# TYPE thanos_shipper_uploads_total counter
thanos_shipper_uploads_total 2
`)))
}

// What is in the data directory and is no finished block is left alone.
func TestSyncSelects(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	finished := put(t, dir, spec{n: 1, at: 0})
	empty := put(t, dir, spec{n: 2, at: 2, empty: true})
	compacted := put(t, dir, spec{n: 3, at: 4, level: 2})
	for _, name := range []string{newID(4).String() + ".tmp-for-creation", newID(5).String() + ".tmp-for-deletion", "wal", "chunks_head", "thanos"} {
		linkTree(t, promBlock(t, 0), filepath.Join(dir, name))
	}
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, newID(6).String()), nil, 0o600))
	elsewhere := t.TempDir()
	link := put(t, elsewhere, spec{n: 7, at: 6})
	testutil.Ok(t, os.Symlink(filepath.Join(elsewhere, link.String()), filepath.Join(dir, link.String())))

	res, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, shipper.Result{
		Uploaded: []ulid.ULID{finished},
		Skipped:  []shipper.Skip{{Block: empty, Reason: shipper.Empty}, {Block: compacted, Reason: shipper.Compacted}},
	}, res)
	testutil.Equals(t, []ulid.ULID{finished}, visible(t, bkt, dir))
	testutil.Equals(t, record(finished), readRecord(t, dir))
}

func TestExternalLabels(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	reg := prometheus.NewRegistry()
	first := put(t, dir, spec{n: 1, at: 0})
	lset := labels.EmptyLabels()
	s := newShipper(t, bkt, dir, shipper.Options{ExternalLabels: func() labels.Labels { return lset }, Registerer: reg})
	for _, lset = range []labels.Labels{labels.EmptyLabels(), labels.FromStrings("cluster", "")} {
		_, err := s.Sync(t.Context())
		testutil.Assert(t, errors.Is(err, shipper.ErrNoExternalLabels), "%v", err)
	}
	testutil.Equals(t, 0, bkt.Stats().Requests)
	testutil.Equals(t, 2.0, gathered(t, reg, "thanos_shipper_dir_sync_failures_total"))

	lset = labels.FromStrings("cluster", "eu1", "none", "")
	_, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	second := put(t, dir, spec{n: 2, at: 2})
	lset = labels.FromStrings("cluster", "eu2")
	_, err = s.Sync(t.Context())
	testutil.Ok(t, err)
	for id, want := range map[ulid.ULID]string{first: "eu1", second: "eu2"} {
		meta, err := block.FetchMeta(t.Context(), bkt, id)
		testutil.Ok(t, err)
		testutil.Equals(t, map[string]string{"cluster": want}, meta.Thanos.Labels)
	}
}

// Labels that a block has of its own stay beside the external ones.
func TestLabelsOfABlock(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	id := put(t, dir, spec{n: 1, at: 0})
	meta, err := block.ReadMeta(filepath.Join(dir, id.String()))
	testutil.Ok(t, err)
	meta.Thanos.Labels = map[string]string{"cluster": "old", "tenant": "t1"}
	testutil.Ok(t, block.WriteMeta(filepath.Join(dir, id.String()), meta))
	_, err = newShipper(t, bkt, dir, shipper.Options{Source: block.SourceReceive}).Sync(t.Context())
	testutil.Ok(t, err)
	sent, err := block.FetchMeta(t.Context(), bkt, id)
	testutil.Ok(t, err)
	testutil.Equals(t, map[string]string{"cluster": "eu1", "replica": "a", "tenant": "t1"}, sent.Thanos.Labels)
	testutil.Equals(t, block.SourceReceive, sent.Thanos.Source)
}

func gathered(t testing.TB, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		if f.GetName() == name {
			if g := f.GetMetric()[0].GetGauge(); g != nil {
				return g.GetValue()
			}
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// While the bucket is out nothing is lost, and newer blocks wait for older ones
// unless they need not.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, outOfOrder := range map[string]bool{"in order": false, "out of order": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
			reg := prometheus.NewRegistry()
			bad, good := put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2})
			s := newShipper(t, bkt, dir, shipper.Options{AllowOutOfOrder: outOfOrder, Registerer: reg})
			bkt.Fail(func(r blocktest.Request) error {
				if strings.HasPrefix(r.Name, bad.String()) && r.Op == objstore.OpUpload {
					return blocktest.ErrFault
				}
				return nil
			})
			want := shipper.Result{Skipped: []shipper.Skip{{Block: bad, Reason: shipper.Failed}}}
			if outOfOrder {
				want.Uploaded = []ulid.ULID{good}
			} else {
				want.Skipped = append(want.Skipped, shipper.Skip{Block: good, Reason: shipper.HeldBack})
			}
			res, err := s.Sync(t.Context())
			testutil.Equals(t, want, res)
			failed, ok := errors.AsType[*shipper.Error](err)
			testutil.Assert(t, ok && failed.Block == bad && failed.Op == "upload" && errors.Is(err, blocktest.ErrFault), "%v", err)
			testutil.Equals(t, 1.0, gathered(t, reg, "thanos_shipper_upload_failures_total"))
			testutil.Equals(t, 1.0, gathered(t, reg, "thanos_shipper_dir_sync_failures_total"))

			bkt.Fail(nil)
			_, err = s.Sync(t.Context())
			testutil.Ok(t, err)
			testutil.Equals(t, []ulid.ULID{bad, good}, visible(t, bkt, dir))
			testutil.Equals(t, record(bad, good), readRecord(t, dir))
		})
	}
}

// Every request that fails is an error of the block that it was for.
func TestEveryRequestFails(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
		put(t, dir, spec{n: 1, at: 0})
		put(t, dir, spec{n: 2, at: 2, level: 2})
		s := newShipper(t, bkt, dir, shipper.Options{UploadCompacted: true})
		failed := false
		bkt.Fail(func(r blocktest.Request) error {
			if r.N == n {
				failed = true
				return blocktest.ErrFault
			}
			return nil
		})
		_, err := s.Sync(t.Context())
		if !failed {
			testutil.Ok(t, err)
			testutil.Assert(t, n > 8, "only %d requests", n)
			return
		}
		_, ok := errors.AsType[*shipper.Error](err)
		testutil.Assert(t, ok && errors.Is(err, blocktest.ErrFault), "request %d: %v", n, err)
		_, err = s.Sync(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 2, len(visible(t, bkt, dir)))
	}
}

// What is in the bucket already is not sent again, and what was deleted there
// does not come back.
func TestKnownInBucket(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(t *testing.T, bkt objstore.Bucket, dir string, id ulid.ULID)
		want   func(id ulid.ULID) shipper.Result
		whole  bool
	}{
		"record lost": {
			change: func(t *testing.T, _ objstore.Bucket, dir string, _ ulid.ULID) {
				testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
			},
			want:  func(id ulid.ULID) shipper.Result { return shipper.Result{Found: []ulid.ULID{id}} },
			whole: true,
		},
		"deleted in the bucket": {
			change: func(t *testing.T, bkt objstore.Bucket, _ string, id ulid.ULID) {
				testutil.Ok(t, block.Delete(t.Context(), bkt, id))
			},
			want: func(ulid.ULID) shipper.Result { return shipper.Result{} },
		},
		"record lost, marked": {
			change: func(t *testing.T, bkt objstore.Bucket, dir string, id ulid.ULID) {
				testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
				_, err := block.PutMark(t.Context(), bkt, block.Mark{Block: id})
				testutil.Ok(t, err)
			},
			want:  func(id ulid.ULID) shipper.Result { return shipper.Result{Found: []ulid.ULID{id}} },
			whole: true,
		},
		"record lost, being deleted": {
			change: func(t *testing.T, bkt objstore.Bucket, dir string, id ulid.ULID) {
				testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
				_, err := block.PutMark(t.Context(), bkt, block.Mark{Block: id})
				testutil.Ok(t, err)
				testutil.Ok(t, bkt.Delete(t.Context(), block.ObjectName(id, block.MetaFile)))
			},
			want: func(id ulid.ULID) shipper.Result {
				return shipper.Result{Skipped: []shipper.Skip{{Block: id, Reason: shipper.Deleted}}}
			},
		},
		"record lost, deleted": {
			change: func(t *testing.T, bkt objstore.Bucket, dir string, id ulid.ULID) {
				testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
				testutil.Ok(t, block.Delete(t.Context(), bkt, id))
			},
			want:  func(id ulid.ULID) shipper.Result { return shipper.Result{Uploaded: []ulid.ULID{id}} },
			whole: true,
		},
		"record lost, half a meta.json": {
			change: func(t *testing.T, bkt objstore.Bucket, dir string, id ulid.ULID) {
				testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
				testutil.Ok(t, bkt.Upload(t.Context(), block.ObjectName(id, block.MetaFile), strings.NewReader(`{"ulid"`)))
			},
			want:  func(id ulid.ULID) shipper.Result { return shipper.Result{Uploaded: []ulid.ULID{id}} },
			whole: true,
		},
		"record lost, an object is missing": {
			change: func(t *testing.T, bkt objstore.Bucket, dir string, id ulid.ULID) {
				testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
				testutil.Ok(t, bkt.Delete(t.Context(), block.ObjectName(id, block.SegmentName(0))))
			},
			want:  func(id ulid.ULID) shipper.Result { return shipper.Result{Uploaded: []ulid.ULID{id}} },
			whole: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), objstore.NewInMemBucket()
			id := put(t, dir, spec{n: 1, at: 0})
			s := newShipper(t, bkt, dir, shipper.Options{})
			_, err := s.Sync(t.Context())
			testutil.Ok(t, err)
			tc.change(t, bkt, dir, id)
			for i := range 2 { // what was found out once stays
				res, err := s.Sync(t.Context())
				testutil.Ok(t, err)
				want := shipper.Result{}
				if i == 0 {
					want = tc.want(id)
				}
				testutil.Equals(t, want, res)
				testutil.Equals(t, tc.whole, len(visible(t, bkt, dir)) == 1)
				testutil.Equals(t, record(id), readRecord(t, dir))
			}
		})
	}
}

// A block of a version that is not known is left to those who know it.
func TestUnknownVersionInBucket(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	id := put(t, dir, spec{n: 1, at: 0})
	name := block.ObjectName(id, block.MetaFile)
	testutil.Ok(t, bkt.Upload(t.Context(), name, strings.NewReader(`{"ulid":"`+id.String()+`","version":7}`)))
	res, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, shipper.Result{Found: []ulid.ULID{id}}, res)
	testutil.Equals(t, 1, len(bkt.Objects()))
}

// What lacks objects in the bucket is replaced, by a block with the labels of now,
// when they are at hand, and else left as it is.
func TestLacking(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	lset := external()
	opts := shipper.Options{ExternalLabels: func() labels.Labels { return lset }}
	id := put(t, dir, spec{n: 1, at: 0})
	_, err := newShipper(t, bkt, dir, opts).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
	testutil.Ok(t, bkt.Delete(t.Context(), block.ObjectName(id, block.IndexFile)))
	lset = labels.FromStrings("cluster", "eu2")

	s := newShipper(t, bkt, dir, opts)
	s.SetLink(func(string, string) error { return syscall.ENOSPC })
	before := objects(t, bkt, "")
	_, err = s.Sync(t.Context())
	testutil.Assert(t, errors.Is(err, syscall.ENOSPC), "%v", err)
	testutil.Equals(t, before, objects(t, bkt, ""))

	s.SetLink(os.Link)
	res, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
	testutil.Equals(t, []ulid.ULID{id}, visible(t, bkt, dir))
	meta, err := block.FetchMeta(t.Context(), bkt, id)
	testutil.Ok(t, err)
	testutil.Equals(t, map[string]string{"cluster": "eu2"}, meta.Thanos.Labels)
}

// Somebody else may take away what lacks objects first.
func TestLackingIsWithdrawnBySomebodyElse(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	id := put(t, dir, spec{n: 1, at: 0})
	_, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
	testutil.Ok(t, bkt.Delete(t.Context(), block.ObjectName(id, block.IndexFile)))
	taken := 0
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op != objstore.OpDelete {
			return nil
		}
		taken++
		return bkt.Unwrap().Delete(context.Background(), r.Name)
	})
	res, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, taken)
	testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
	testutil.Equals(t, []ulid.ULID{id}, visible(t, bkt.Unwrap(), dir))
}

// A cleaner of partial uploads may delete objects while they are still being
// sent. What it took is sent again before anybody relies on the block.
func TestCleanerDuringUpload(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		times int
		ok    bool
	}{"once": {1, true}, "always": {1000, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
			id := put(t, dir, spec{n: 1, at: 0})
			times := 0
			bkt.Fail(func(r blocktest.Request) error {
				if r.Op == objstore.OpUpload && r.Name == block.ObjectName(id, block.MetaFile) && times < tc.times {
					times++
					return bkt.Unwrap().Delete(context.Background(), block.ObjectName(id, block.SegmentName(0)))
				}
				return nil
			})
			res, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
			if tc.ok {
				testutil.Ok(t, err)
				testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
				testutil.Equals(t, []ulid.ULID{id}, visible(t, bkt, dir))
				return
			}
			testutil.Assert(t, errors.Is(err, shipper.ErrIncomplete), "%v", err)
			testutil.Equals(t, 0, len(visible(t, bkt, dir)))
		})
	}
}

// Without hard links, blocks are copied.
func TestLinks(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]func(from, to string) error{
		"none":               func(string, string) error { return &os.LinkError{Op: "link", Err: syscall.EXDEV} },
		"of another's files": func(string, string) error { return &os.LinkError{Op: "link", Err: syscall.EPERM} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), objstore.NewInMemBucket()
			id := put(t, dir, spec{n: 1, at: 0})
			s := newShipper(t, bkt, dir, shipper.Options{})
			s.SetLink(link)
			_, err := s.Sync(t.Context())
			testutil.Ok(t, err)
			testutil.Equals(t, []ulid.ULID{id}, visible(t, bkt, dir))
		})
	}
}

// On a full disk nothing is copied instead of linked.
func TestLinkOnFullDisk(t *testing.T) {
	t.Parallel()
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		dir, bkt := t.TempDir(), objstore.NewInMemBucket()
		put(t, dir, spec{n: 1, at: 0})
		s := newShipper(t, bkt, dir, shipper.Options{})
		s.SetLink(func(string, string) error { return &os.LinkError{Op: "link", Err: full} })
		_, err := s.Sync(t.Context())
		failed, ok := errors.AsType[*shipper.Error](err)
		testutil.Assert(t, ok && failed.Op == "link" && errors.Is(err, full), "%v", err)
		testutil.Equals(t, 0, len(bkt.Objects()))
	}
}

// Nothing is ever written to a link that is there already, which would be
// Prometheus' own file.
func TestLinkIsThere(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	id := put(t, dir, spec{n: 1, at: 0})
	before := readFiles(t, filepath.Join(dir, id.String()))
	s := newShipper(t, bkt, dir, shipper.Options{})
	s.SetLink(func(from, to string) error {
		return errors.Join(os.Link(from, to), &os.LinkError{Op: "link", Err: syscall.EEXIST})
	})
	_, err := s.Sync(t.Context())
	failed, ok := errors.AsType[*shipper.Error](err)
	testutil.Assert(t, ok && failed.Op == "link" && errors.Is(err, fs.ErrExist), "%v", err)
	testutil.Equals(t, before, readFiles(t, filepath.Join(dir, id.String())))
}

// Prometheus may delete a block at any step. If the links were made it is sent,
// if not there is a warning.
func TestVanishes(t *testing.T) {
	t.Parallel()
	sent, lost := 0, 0
	for n := 1; ; n++ {
		dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
		id := put(t, dir, spec{n: 1, at: 0})
		kept := t.TempDir()
		s := newShipper(t, bkt, dir, shipper.Options{})
		steps := 0
		s.SetStep(func(string) error {
			if steps++; steps == n {
				return os.Rename(filepath.Join(dir, id.String()), filepath.Join(kept, id.String()))
			}
			return nil
		})
		res, err := s.Sync(t.Context())
		testutil.Ok(t, err)
		if steps < n {
			break
		}
		switch {
		case len(res.Uploaded) == 1:
			sent++
			testutil.Equals(t, []ulid.ULID{id}, visible(t, bkt, kept))
		case len(res.Warnings) == 1:
			lost++
			testutil.Assert(t, errors.Is(res.Warnings[0], shipper.ErrVanished), "%v", res.Warnings)
			testutil.Equals(t, []shipper.Skip{{Block: id, Reason: shipper.Vanished}}, res.Skipped)
			testutil.Equals(t, 0, bkt.Stats().Ops[objstore.OpUpload].Requests)
		default: // before its meta.json was read: at the directory and the record
			testutil.Assert(t, n <= 3, "step %d", n)
		}
		_, err = os.Stat(filepath.Join(dir, "thanos", "upload", shipper.DefaultMetaFileName, id.String()))
		testutil.Assert(t, errors.Is(err, fs.ErrNotExist), "%v", err)
	}
	testutil.Assert(t, sent > 0 && lost > 0, "sent %d, lost %d", sent, lost)
}

// A block that could not be sent and is gone by the next Sync is not forgotten
// in silence.
func TestVanishesWhileWaiting(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	failed, heldBack := put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2})
	put(t, dir, spec{n: 3, at: 4, level: 2}) // Prometheus' own
	s := newShipper(t, bkt, dir, shipper.Options{})
	bkt.Fail(blocktest.EveryNth(1, blocktest.ErrFault))
	_, err := s.Sync(t.Context())
	testutil.NotOk(t, err)
	bkt.Fail(nil)
	for n := range 3 {
		testutil.Ok(t, os.RemoveAll(filepath.Join(dir, newID(n+1).String())))
	}
	for _, want := range [][]ulid.ULID{{failed, heldBack}, nil} {
		res, err := s.Sync(t.Context())
		testutil.Ok(t, err)
		var got []ulid.ULID
		for _, w := range res.Warnings {
			lost, ok := errors.AsType[*shipper.Error](w)
			testutil.Assert(t, ok && errors.Is(w, shipper.ErrVanished), "%v", w)
			got = append(got, lost.Block)
		}
		testutil.Equals(t, want, got)
	}
}

// What another shipper has sent meanwhile is not lost.
func TestSentByAnotherWhileWaiting(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	id := put(t, dir, spec{n: 1, at: 0})
	s := newShipper(t, bkt, dir, shipper.Options{})
	bkt.Fail(blocktest.EveryNth(1, blocktest.ErrFault))
	_, err := s.Sync(t.Context())
	testutil.NotOk(t, err)
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, shipper.DefaultMetaFileName), []byte(record(id)), 0o600))
	testutil.Ok(t, os.RemoveAll(filepath.Join(dir, id.String())))
	res, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, shipper.Result{}, res)
}

// Listings that lag behind say nothing about what is there.
func TestLaggingListings(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	id := put(t, dir, spec{n: 1, at: 0})
	res, err := newShipper(t, laggingBucket{bkt}, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
	testutil.Equals(t, []ulid.ULID{id}, visible(t, bkt, dir))
}

// laggingBucket lists nothing.
type laggingBucket struct{ objstore.Bucket }

func (laggingBucket) Iter(context.Context, string, func(string) error, ...objstore.IterOption) error {
	return nil
}

func TestDirectoryErrors(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "absent")
	_, err := newShipper(t, objstore.NewInMemBucket(), dir, shipper.Options{}).Sync(t.Context())
	testutil.Assert(t, errors.Is(err, fs.ErrNotExist), "%v", err)
	_, err = os.Stat(dir)
	testutil.Assert(t, errors.Is(err, fs.ErrNotExist), "made somebody else's directory")
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	reg := prometheus.NewRegistry()
	id := put(t, dir, spec{n: 1, at: 0})
	put(t, dir, spec{n: 2, at: 2})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	bkt.Delay(func(r blocktest.Request) time.Duration {
		if r.Op == objstore.OpUpload {
			cancel()
		}
		return 0
	})
	s := newShipper(t, bkt, dir, shipper.Options{Registerer: reg})
	res, err := s.Sync(ctx)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	testutil.Equals(t, []shipper.Skip{{Block: id, Reason: shipper.Failed}, {Block: newID(2), Reason: shipper.HeldBack}}, res.Skipped)
	testutil.Equals(t, 0.0, gathered(t, reg, "thanos_shipper_upload_failures_total"))
	_, err = os.Stat(filepath.Join(dir, "thanos", "upload", shipper.DefaultMetaFileName, id.String()))
	testutil.Assert(t, errors.Is(err, fs.ErrNotExist), "%v", err)
	bkt.Delay(nil)
	_, err = s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 2, len(visible(t, bkt, dir)))
}
