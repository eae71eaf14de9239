package faults_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// groups are blocks of many groups that each become one of 8 h. The first of each
// group is for a test to damage.
func groups(t testing.TB, names ...string) objects {
	t.Helper()
	var specs []spec
	for i, name := range names {
		for k := range 5 {
			specs = append(specs, spec{n: 10*i + k + 1, labels: name, from: int64(2 * k), hours: 2, level: 2})
		}
	}
	return fixture(t, specs...)
}

func first(group int) ulid.ULID { return newID(10*group + 1) }

// checked is a Compactor that is looked after: no run that has done all there is to
// do leaves two blocks of which one has replaced the other.
type checked struct {
	*compact.Compactor
	t       testing.TB
	bkt     objstore.Bucket
	replica []string
}

func newCompactor(t testing.TB, bkt objstore.Bucket, dir string, opts compact.Options) *checked {
	t.Helper()
	c, err := compact.New(bkt, dir, &opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	if outer, ok := bkt.(*blocktest.Bucket); ok {
		bkt = outer.Unwrap() // It fails nobody, and counts nothing.
	}
	return &checked{c, t, bkt, opts.ReplicaLabels}
}

func (c *checked) RunOnce(ctx context.Context) (*compact.Report, error) {
	c.t.Helper()
	r, err := c.Compactor.RunOnce(ctx)
	if err == nil {
		noneWithin(c.t, c.bkt, c.replica...)
	}
	return r, err
}

// Bad blocks of many kinds are found in one run, each is marked so that Thanos goes
// round it as well, and all else is compacted.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	damages := []struct {
		name   string
		damage func(t *testing.T, o objects, id ulid.ULID)
		reason string
		says   string
	}{
		{"checksum", func(_ *testing.T, o objects, id ulid.ULID) {
			flip(o, block.ObjectName(id, "chunks/000001"), -20)
		}, compact.ReasonCorrupt, "corrupt chunk"},
		{"missing segment", func(_ *testing.T, o objects, id ulid.ULID) {
			delete(o, block.ObjectName(id, "chunks/000001"))
		}, compact.ReasonCorrupt, "not found"},
		{"missing index", func(_ *testing.T, o objects, id ulid.ULID) {
			delete(o, block.ObjectName(id, block.IndexFile))
		}, compact.ReasonCorrupt, "not found"},
		{"torn index", func(_ *testing.T, o objects, id ulid.ULID) {
			name := block.ObjectName(id, block.IndexFile)
			o[name] = o[name][:len(o[name])/2]
		}, compact.ReasonCorrupt, "index"},
		{"damaged index", func(_ *testing.T, o objects, id ulid.ULID) {
			flip(o, block.ObjectName(id, block.IndexFile), 20)
		}, compact.ReasonCorrupt, "index"},
		{"index version", func(_ *testing.T, o objects, id ulid.ULID) {
			o[block.ObjectName(id, block.IndexFile)][4] = 9
		}, compact.ReasonUnsupported, "version 9"},
		{"segment version", func(_ *testing.T, o objects, id ulid.ULID) {
			o[block.ObjectName(id, "chunks/000001")][4] = 7
		}, compact.ReasonUnsupported, "7"},
		{"unsorted chunks", func(t *testing.T, o objects, id ulid.ULID) {
			rewrite(t, o, id, func(s []block.Series) {
				for i := range s {
					slices.Reverse(s[i].Chunks)
				}
			})
		}, block.ReasonOutOfOrderChunks, "unsorted chunks"},
		{"overlapping chunks", func(t *testing.T, o objects, id ulid.ULID) {
			rewrite(t, o, id, func(s []block.Series) {
				for i := range s { // Each chunk once more, a sample later.
					later := blocktest.Series(s[i].Labels, blocktest.Sample{T: s[i].Chunks[0].MinTime + 10_000, F: 1}).Chunks
					s[i].Chunks = slices.Concat(s[i].Chunks[:1], later, s[i].Chunks[1:])
				}
			})
		}, block.ReasonOutOfOrderChunks, "overlapping chunks"},
		{"unsorted series", func(t *testing.T, o objects, id ulid.ULID) {
			rewrite(t, o, id, slices.Reverse)
		}, compact.ReasonCorrupt, "unsorted series"},
		{"unsorted labels", swapLabels, compact.ReasonCorrupt, "unsorted labels"},
		{"encoding", func(t *testing.T, o objects, id ulid.ULID) {
			rewrite(t, o, id, func(s []block.Series) { s[0].Chunks[0].Encoding = 99 })
		}, compact.ReasonUnsupported, "encoding"},
		{"meta.json", func(_ *testing.T, o objects, id ulid.ULID) {
			name := block.ObjectName(id, block.MetaFile)
			o[name] = []byte(strings.Replace(string(o[name]), `"maxTime": `, `"maxTime": -`, 1))
		}, compact.ReasonCorrupt, "meta.json"},
		{"meta.json version", func(_ *testing.T, o objects, id ulid.ULID) {
			name := block.ObjectName(id, block.MetaFile)
			o[name] = []byte(strings.Replace(string(o[name]), "\t\"version\": 1,", "\t\"version\": 3,", 1))
		}, compact.ReasonUnsupported, "version 3"},
	}
	names := []string{"good"}
	for _, d := range damages {
		names = append(names, d.name)
	}
	o := groups(t, names...)
	for i, d := range damages {
		d.damage(t, o, first(i+1))
	}
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(o.bucket(t))
		<-time.After(2 * time.Minute) // Nobody is writing meta.json files any more.
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{Concurrency: 3})
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		for i, d := range damages {
			id := first(i + 1)
			mark, err := block.ReadMark(t.Context(), bkt, id, block.NoCompactMark)
			testutil.Ok(t, err, d.name)
			testutil.Equals(t, d.reason, mark.Reason, d.name)
			testutil.Assert(t, strings.Contains(mark.Details, d.says), "%s: %s", d.name, mark.Details)
			testutil.Assert(t, slices.ContainsFunc(r.Quarantined, func(q *compact.QuarantineError) bool {
				return q.Block == id && errors.Is(q, compact.ErrQuarantined) && q.Reason == d.reason
			}), "%s is not in the report", d.name)
		}
		testutil.Equals(t, len(damages), len(r.Quarantined))
		// What was read was read twice before it was believed.
		for i, d := range damages {
			reads := 0
			for _, req := range bkt.Requests() {
				if req.Op == objstore.OpGet && req.Name == block.ObjectName(first(i+1), block.MetaFile) {
					reads++
				}
			}
			testutil.Assert(t, reads >= 2, "%s: read %d times", d.name, reads)
		}
		noneWithin(t, bkt)
		made := map[string]int{}
		for _, m := range live(t, bkt) {
			made[m.Thanos.Labels["cluster"]] += len(m.Compaction.Sources)
			if m.Thanos.Labels["cluster"] == "good" && m.MinTime == epoch {
				testutil.Equals(t, 4, len(m.Compaction.Sources))
			}
		}
		for i, d := range damages {
			want := 5
			if strings.HasPrefix(d.name, "meta.json") {
				want = 4 // It is no block to anybody.
			}
			testutil.Equals(t, want, made[names[i+1]], d.name)
		}

		// A second run finds nothing more to do, and leaves the bad ones alone.
		r, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(r.Quarantined)+r.Compactions+len(r.Uploaded))
	})
}

func flip(o objects, name string, at int) {
	b := slices.Clone(o[name])
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0xff
	o[name] = b
}

// rewrite writes a block anew with series as f leaves them.
func rewrite(t testing.TB, o objects, id ulid.ULID, f func([]block.Series)) {
	t.Helper()
	meta, err := block.ParseMeta(o[block.ObjectName(id, block.MetaFile)])
	testutil.Ok(t, err)
	from := (meta.MinTime - epoch) / hour
	changed := fixtureOf(t, spec{n: int(id[14])<<8 | int(id[15]), labels: meta.Thanos.Labels["cluster"], from: from, hours: (meta.MaxTime - meta.MinTime) / hour, level: 2, step: 10e9}, f)
	for name := range o {
		if strings.HasPrefix(name, id.String()) {
			delete(o, name)
		}
	}
	maps.Copy(o, changed)
}

// swapLabels has the labels of the first series descend, as those of early versions
// of Prometheus did, with a good checksum.
func swapLabels(t *testing.T, o objects, id ulid.ULID) {
	t.Helper()
	name := block.ObjectName(id, block.IndexFile)
	dir := filepath.Join(t.TempDir(), id.String())
	for object, b := range o {
		if rest, ok := strings.CutPrefix(object, id.String()+"/"); ok {
			path := filepath.Join(dir, filepath.FromSlash(rest))
			testutil.Ok(t, os.MkdirAll(filepath.Dir(path), 0o750))
			testutil.Ok(t, os.WriteFile(path, b, 0o600))
		}
	}
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	it := r.Series()
	testutil.Assert(t, it.Next())
	off := it.Offset()
	testutil.Ok(t, r.Close())
	b := slices.Clone(o[name])
	size, n := binary.Uvarint(b[off:])
	entry := b[off+uint64(n):][:size+4]
	// A count, then two places for each label, all of them of one byte.
	testutil.Equals(t, byte(2), entry[0])
	entry[1], entry[2], entry[3], entry[4] = entry[3], entry[4], entry[1], entry[2]
	binary.BigEndian.PutUint32(entry[size:], crc32.Checksum(entry[:size], crc32.MakeTable(crc32.Castagnoli)))
	o[name] = b
}

// Blocks that are downsampled are quarantined by the other mark, all of them in one
// run, too: their retention waits for them, and those that are good go.
func TestQuarantineOfDownsampling(t *testing.T) {
	t.Parallel()
	o := fixture(
		t,
		spec{n: 1, labels: "good", from: 0, hours: 48, level: 4},
		spec{n: 2, labels: "checksum", from: 0, hours: 48, level: 4},
		spec{n: 3, labels: "missing", from: 0, hours: 48, level: 4},
		spec{n: 5, labels: "labels", from: 0, hours: 48, level: 4},
	)
	flip(o, block.ObjectName(newID(2), "chunks/000001"), -20)
	delete(o, block.ObjectName(newID(3), block.IndexFile))
	maps.Copy(o, fixtureOf(t, spec{n: 4, labels: "encoding", from: 0, hours: 48, level: 4}, func(s []block.Series) { s[0].Chunks[0].Encoding = 99 }))
	swapLabels(t, o, newID(5))
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(o.bucket(t))
		reg := prometheus.NewRegistry()
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{Retention: compact.Retention{Raw: 3 * 24 * time.Hour}, Registerer: reg})
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		for n, reason := range map[int]string{2: compact.ReasonCorrupt, 3: compact.ReasonCorrupt, 4: compact.ReasonUnsupported, 5: compact.ReasonCorrupt} {
			mark, err := block.ReadMark(t.Context(), bkt, newID(n), block.NoDownsampleMark)
			testutil.Ok(t, err, "%d", n)
			testutil.Equals(t, reason, mark.Reason, "%d", n)
		}
		testutil.Equals(t, 4, len(r.Quarantined))
		testutil.Equals(t, 1, r.Downsamplings)
		testutil.Equals(t, 4, len(r.Plan.Held))
		var raw []string
		for _, m := range live(t, bkt) {
			if m.Resolution() == block.Raw {
				raw = append(raw, m.Thanos.Labels["cluster"])
			}
		}
		testutil.Equals(t, []string{"checksum", "encoding", "labels", "missing"}, raw)
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanoskit_compact_held_blocks Blocks past retention that are kept until a coarser resolution covers them.
# TYPE thanoskit_compact_held_blocks gauge
thanoskit_compact_held_blocks 4
# HELP thanoskit_compact_quarantined_blocks_total Blocks marked because something is wrong with them.
# TYPE thanoskit_compact_quarantined_blocks_total counter
thanoskit_compact_quarantined_blocks_total{marker="no-downsample-mark.json",reason="block-corrupt"} 3
thanoskit_compact_quarantined_blocks_total{marker="no-downsample-mark.json",reason="block-unsupported"} 1
`), "thanoskit_compact_held_blocks", "thanoskit_compact_quarantined_blocks_total"))

		// Who has repaired a block takes the mark away.
		maps.Copy(o, fixture(t, spec{n: 2, labels: "checksum", from: 0, hours: 48, level: 4}))
		name := block.ObjectName(newID(2), "chunks/000001")
		testutil.Ok(t, bkt.Upload(t.Context(), name, bytes.NewReader(o[name])))
		there, err := block.RemoveMark(t.Context(), bkt, newID(2), block.NoDownsampleMark)
		testutil.Ok(t, err)
		testutil.Assert(t, there)
		r, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 1, r.Downsamplings)
		testutil.Equals(t, 3, len(r.Plan.Held))
	})
}

// What is bad in one download and good in the next was the network's doing, and
// nothing is marked for it.
func TestTransientCorruption(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b")
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(o.bucket(t))
		var (
			reads atomic.Int64
			seen  sync.Map
		)
		bkt.Body(func(r blocktest.Request, body io.Reader) io.Reader {
			if !strings.HasSuffix(r.Name, "chunks/000001") {
				return body
			}
			reads.Add(1)
			if _, again := seen.LoadOrStore(r.Name, true); again {
				return body
			}
			return &flipper{body}
		})
		r, err := newCompactor(t, bkt, t.TempDir(), compact.Options{}).RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(r.Quarantined))
		testutil.Equals(t, 2, r.Compactions)
		testutil.Assert(t, reads.Load() > 8, "%d", reads.Load())
	})
}

// A meta.json that was read wrongly is read once more before its block is taken for
// bad.
func TestTransientMeta(t *testing.T) {
	t.Parallel()
	o := groups(t, "a")
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(o.bucket(t))
		<-time.After(2 * time.Minute)
		wrong := true
		bkt.Body(func(r blocktest.Request, body io.Reader) io.Reader {
			if r.Name == block.ObjectName(first(0), block.MetaFile) && wrong {
				wrong = false
				b, err := io.ReadAll(body)
				testutil.Ok(t, err)
				return strings.NewReader(strings.Replace(string(b), "{", "[", 1))
			}
			return body
		})
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{})
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Assert(t, !wrong && len(r.Quarantined) == 0)
		_, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		metas := live(t, bkt)
		testutil.Equals(t, 2, len(metas))
		testutil.Equals(t, 4, len(metas[0].Compaction.Sources))
	})
}

// What a compaction makes good is no reason to mark a block: numbers in meta.json
// that are wrong, and series that have nothing.
func TestTolerated(t *testing.T) {
	t.Parallel()
	o := groups(t, "stats", "empty series")
	name := block.ObjectName(first(0), block.MetaFile)
	o[name] = bytes.Replace(o[name], []byte(`"numSamples": `), []byte(`"numSamples": 1`), 1)
	rewrite(t, o, first(1), func(s []block.Series) { s[1].Chunks = nil })
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := o.bucket(t)
		r, err := newCompactor(t, bkt, t.TempDir(), compact.Options{}).RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(r.Quarantined))
		testutil.Equals(t, 2, r.Compactions)
	})
}

// A meta.json that cannot be read is marked once nobody can be writing it any more,
// and not where a mark says already what becomes of the block.
func TestQuarantineOfMeta(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b", "c", "d")
	for i := range 4 {
		name := block.ObjectName(first(i), block.MetaFile)
		o[name] = []byte(strings.Replace(string(o[name]), `"version": 1`, `"version": "?"`, 1))
	}
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := o.bucket(t)
		for i, kind := range map[int]block.MarkKind{1: block.DeletionMark, 2: block.NoCompactMark} {
			_, err := block.PutMark(t.Context(), bkt, block.Mark{Kind: kind, Block: first(i), Reason: block.ReasonManual})
			testutil.Ok(t, err)
		}
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{})
		// Somebody may be writing them.
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(r.Quarantined))
		<-time.After(2 * time.Minute)
		r, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		var got []ulid.ULID
		for _, q := range r.Quarantined {
			got = append(got, q.Block)
			_, err := block.ReadMark(t.Context(), bkt, q.Block, block.NoCompactMark)
			testutil.Ok(t, err)
		}
		testutil.Equals(t, []ulid.ULID{first(0), first(3)}, got)
		r, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(r.Quarantined))
	})
}

// flipper changes the last byte of each read.
type flipper struct{ r io.Reader }

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if n > 30 {
		p[n-20] ^= 0xff
	}
	return n, err
}

// The bucket fails now and then, or altogether: that is said by class, nothing is
// marked for it, and later runs do the rest.
func TestOutage(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b", "c")
	synctest.Test(t, func(t *testing.T) {
		begin()
		reader := newReader()
		want := samplesOf(t, reader, o)
		bkt := blocktest.NewBucket(o.bucket(t))
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{})
		bkt.Fail(blocktest.Deny(nil))
		_, err := c.RunOnce(t.Context())
		testutil.Assert(t, errors.Is(err, compact.ErrBucket) && errors.Is(err, blocktest.ErrAccessDenied), "%v", err)
		testutil.Equals(t, compact.ClassBucket, compact.ClassOf(err))
		runs := 0
		for nth := int64(7); ; nth += 6 {
			bkt.Fail(blocktest.EveryNth(nth, blocktest.ErrFault))
			runs++
			r, err := c.RunOnce(t.Context())
			if r != nil {
				testutil.Equals(t, 0, len(r.Quarantined))
			}
			reader.sees(t, bkt.Unwrap(), want, "in an outage")
			if err == nil {
				break
			}
			testutil.Equals(t, compact.ClassBucket, compact.ClassOf(err))
			testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
		}
		bkt.Fail(nil)
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, r.Compactions)
		testutil.Equals(t, 6, len(live(t, bkt)))
		t.Logf("%d runs", runs)
	})
}

// One group whose blocks cannot be read for want of access does not keep the others
// from their compaction.
func TestOneGroupFails(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b", "c")
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(o.bucket(t))
		bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool {
			if !strings.HasPrefix(r.Name, newID(14).String()) || !strings.Contains(r.Name, "chunks/") {
				return false
			}
			<-time.After(time.Minute) // until the others are downloaded
			return true
		}))
		dir := t.TempDir()
		c := newCompactor(t, bkt, dir, compact.Options{})
		r, err := c.RunOnce(t.Context())
		testutil.Equals(t, compact.ClassBucket, compact.ClassOf(err))
		testutil.Equals(t, 2, r.Compactions)
		testutil.Assert(t, len(r.Failed) == 1 && strings.Contains(r.Failed[0].Error(), `cluster="b"`), "%v", r.Failed)
		testutil.Equals(t, 0, len(r.Quarantined))
		// What was read is there for the next run. The third of four may have waited for
		// the last one, which could not be read.
		kept, err := filepath.Glob(filepath.Join(dir, "blocks", "*", block.MetaFile))
		testutil.Ok(t, err)
		testutil.Assert(t, len(kept) == 2 || len(kept) == 3, "%q", kept)
		bkt.Fail(nil)
		bkt.Reset()
		r, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 1, r.Compactions)
		for _, file := range kept {
			chunks := block.ObjectName(ulid.MustParse(filepath.Base(filepath.Dir(file))), "chunks/000001")
			testutil.Assert(t, !slices.ContainsFunc(bkt.Requests(), func(r blocktest.Request) bool {
				return r.Op == objstore.OpGet && r.Name == chunks
			}), "%s was read again", chunks)
		}
	})
}

// The disk is full at any step: that costs at most this run, and leaves room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b")
	full := &pathError{syscall.ENOSPC}
	synctest.Test(t, func(t *testing.T) {
		begin()
		reader := newReader()
		want := samplesOf(t, reader, o)
		for n := 1; ; n += 1 + n/8 {
			bkt, dir := o.bucket(t), t.TempDir()
			steps, failed := 0, ""
			ctx := step.With(t.Context(), func(op string) error {
				if steps++; steps >= n && !strings.HasPrefix(op, "remove") {
					failed = op
					return full
				}
				return nil
			})
			c := newCompactor(t, bkt, dir, compact.Options{})
			r, err := c.RunOnce(ctx)
			if failed == "" {
				testutil.Ok(t, err)
				testutil.Assert(t, n > 10, "%d steps", n)
				return
			}
			testutil.Assert(t, errors.Is(err, syscall.ENOSPC), "%s: %v", failed, err)
			if r != nil {
				testutil.Equals(t, 0, len(r.Quarantined), failed)
			}
			reader.sees(t, bkt, want, failed)
			for _, of := range []string{"jobs", "blocks"} { // What is there takes room.
				left, err := filepath.Glob(filepath.Join(dir, of, "*"))
				testutil.Ok(t, err)
				testutil.Equals(t, 0, len(left), "%s: %v", failed, left)
			}
			_, err = c.RunOnce(t.Context())
			testutil.Ok(t, err)
			reader.sees(t, bkt, want, failed)
			testutil.Equals(t, 4, len(live(t, bkt)), failed)
		}
	})
}

// There is room for one job, but not for two at a time: the second is done when the
// first is.
func TestDiskFullForTwo(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b", "c")
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt, dir := o.bucket(t), t.TempDir()
		ctx := step.With(t.Context(), func(op string) error {
			jobs, err := os.ReadDir(filepath.Join(dir, "jobs"))
			if err == nil && strings.HasPrefix(op, "run") && len(jobs) > 1 {
				return &pathError{syscall.ENOSPC}
			}
			return nil
		})
		r, err := newCompactor(t, bkt, dir, compact.Options{Concurrency: 3}).RunOnce(ctx)
		testutil.Ok(t, err)
		testutil.Equals(t, 3, r.Compactions)
	})
}

type pathError struct{ err error }

func (e *pathError) Error() string { return "write: " + e.err.Error() }
func (e *pathError) Unwrap() error { return e.err }

// A block of which nothing can be told for now keeps nothing from being compacted
// that it is not in the way of, and is told.
func TestIncomplete(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b")
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(o.bucket(t))
		bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Name == block.ObjectName(newID(15), block.MetaFile) }))
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{})
		r, err := c.RunOnce(t.Context())
		testutil.Assert(t, errors.Is(err, block.ErrIncomplete) && errors.Is(err, compact.ErrBucket), "%v", err)
		testutil.Assert(t, r.Compactions > 0, "%+v", r.Plan)
		bkt.Fail(nil)
		_, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 4, len(live(t, bkt)))
	})
}
