package bucketstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// namesOf returns the metric names that a Store has, and its warnings.
func namesOf(t testing.TB, s *bucketstore.Store) (names string, warnings []error) {
	t.Helper()
	a, err := ask(t, s, &store.SeriesRequest{MaxTime: 100 * hour, SkipChunks: true})
	testutil.Ok(t, err)
	var out []string
	for _, x := range a.series {
		out = append(out, x.Labels.Get("__name__"))
	}
	return strings.Join(out, " "), a.warnings
}

func remove(t testing.TB, bkt objstore.Bucket, id ulid.ULID) {
	t.Helper()
	testutil.Ok(t, block.Delete(context.Background(), bkt, id))
}

func metric(t testing.TB, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestSync(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt := newBucket()
	reg := prometheus.NewRegistry()
	s := open(t, bkt, &bucketstore.Options{Registerer: reg})
	names, warnings := namesOf(t, s)
	testutil.Equals(t, "", names)
	testutil.Equals(t, 0, len(warnings))

	a := put(t, bkt, nil, at(0, 1, "a")...)
	put(t, bkt, nil, at(2*hour, 1, "b")...)
	names, _ = namesOf(t, s)
	testutil.Equals(t, "", names)
	testutil.Ok(t, s.Sync(ctx))
	names, _ = namesOf(t, s)
	testutil.Equals(t, "a b", names)

	remove(t, bkt, a.ULID)
	testutil.Ok(t, s.Sync(ctx))
	names, warnings = namesOf(t, s)
	testutil.Equals(t, "b", names)
	testutil.Equals(t, 0, len(warnings))
	testutil.Equals(t, 1.0, metric(t, reg, "thanos_bucket_store_blocks_loaded"))
	testutil.Equals(t, 2.0, metric(t, reg, "thanos_bucket_store_block_loads_total"))
	testutil.Equals(t, 1.0, metric(t, reg, "thanos_bucket_store_block_drops_total"))
	problems, err := promtest.GatherAndLint(reg)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(problems), "%v", problems)
}

// TestSyncOfChangedMeta writes another meta.json: with other external labels, of
// another resolution, of another range.
func TestSyncOfChangedMeta(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt := newBucket()
	m := put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "old")}, at(0, 1, "a")...)
	s := open(t, bkt, nil)
	changed := *m
	sync := func() {
		t.Helper()
		b, err := changed.Encode()
		testutil.Ok(t, err)
		testutil.Ok(t, bkt.Unwrap().Upload(ctx, block.ObjectName(m.ULID, block.MetaFile), bytes.NewReader(b)))
		testutil.Ok(t, s.Sync(ctx))
	}
	found := func(req *store.SeriesRequest) []string {
		t.Helper()
		a, err := ask(t, s, req)
		testutil.Ok(t, err)
		return a.labels()
	}
	changed.Thanos.Labels = map[string]string{"cluster": "new"}
	sync()
	all := []string{`{__name__="a", cluster="new"}`}
	testutil.Equals(t, all, found(&store.SeriesRequest{MaxTime: hour}))
	info, err := s.Describe(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, `[{cluster="new"}]`, labelSets(info))

	// Only who wants downsampled data finds it now. That its chunks are no aggregates
	// is another matter.
	changed.Thanos.Downsample.Resolution = block.FiveMinutes
	sync()
	fine := &store.SeriesRequest{MaxTime: hour, SkipChunks: true}
	testutil.Equals(t, 0, len(found(fine)))
	coarse := &store.SeriesRequest{MaxTime: hour, SkipChunks: true, MaxResolution: 5 * time.Minute}
	testutil.Equals(t, all, found(coarse))

	changed.Thanos.Downsample.Resolution = block.Raw
	changed.MinTime, changed.MaxTime = 10*hour, 12*hour
	sync()
	testutil.Equals(t, 0, len(found(fine)))
	info, err = s.Describe(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, []int64{10 * hour, 12*hour - 1}, []int64{info.MinTime, info.MaxTime})
}

// TestIncompleteView has a block whose meta.json cannot be read: what is loaded
// stays, though it is gone, and answers say that they may lack something.
func TestIncompleteView(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt := newBucket()
	a := put(t, bkt, nil, at(0, 1, "a")...)
	s := open(t, bkt, nil)
	b := put(t, bkt, nil, at(2*hour, 1, "b")...)
	put(t, bkt, nil, at(4*hour, 1, "c")...)
	bkt.Fail(blocktest.Deny(about(b.ULID, block.MetaFile)))
	remove(t, bkt.Unwrap(), a.ULID)
	bkt.Hide(func(string) bool { return false })

	err := s.Sync(ctx)
	view, ok := errors.AsType[*bucketstore.ViewError](err)
	testutil.Assert(t, ok && errors.Is(view, block.ErrIncomplete), "%v", err)
	got, err := ask(t, s, &store.SeriesRequest{MinTime: 4 * hour, MaxTime: 100 * hour})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{`{__name__="c", replica="a"}`}, got.labels()) // a is not dropped, but gone
	testutil.Equals(t, []error{view}, got.warnings)
	_, err = ask(t, s, &store.SeriesRequest{MaxTime: 100 * hour, Strategy: store.Abort})
	testutil.Assert(t, errors.Is(err, block.ErrIncomplete), "%v", err)
	info, err := s.Describe(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, int64(0), info.MinTime)

	bkt.Fail(nil)
	testutil.Ok(t, s.Sync(ctx))
	names, warnings := namesOf(t, s)
	testutil.Equals(t, "b c", names)
	testutil.Equals(t, 0, len(warnings))
}

// TestBrokenBlock has a block whose index cannot be read. The others are loaded;
// answers in its time say what they lack.
func TestBrokenBlock(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt := newBucket()
	put(t, bkt, nil, at(0, 1, "a")...)
	b := put(t, bkt, nil, at(2*hour, 1, "b")...)
	var index []byte
	rewrite(t, bkt, b.ULID, "index", func(x []byte) { index = bytes.Clone(x); clear(x) })
	reg := prometheus.NewRegistry()
	var log bytes.Buffer
	dir := t.TempDir()
	s, err := bucketstore.Open(ctx, bkt, dir, &bucketstore.Options{Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, s.Close()) }()
	testutil.Equals(t, 1, strings.Count(log.String(), "block not loaded"), log.String())

	for range 2 {
		err = s.Sync(ctx)
		broken, ok := errors.AsType[*bucketstore.BlockError](err)
		testutil.Assert(t, ok && broken.Block == b.ULID && broken.Op == "load block" && errors.Is(err, block.ErrCorrupt), "%v", err)
	}
	testutil.Equals(t, 3.0, metric(t, reg, "thanos_bucket_store_block_load_failures_total"))
	testutil.Equals(t, 1.0, metric(t, reg, "thanos_bucket_store_blocks_loaded"))
	names, warnings := namesOf(t, s)
	testutil.Equals(t, "a", names)
	testutil.Assert(t, len(warnings) == 1 && errors.Is(warnings[0], block.ErrCorrupt), "%v", warnings)
	_, err = ask(t, s, &store.SeriesRequest{MaxTime: 100 * hour, Strategy: store.Abort})
	testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)
	out := &store.Outcome{}
	_, err = s.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: 100 * hour, Outcome: out})
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(out.Warnings()))
	for _, req := range []*store.SeriesRequest{
		{MaxTime: hour, Strategy: store.Abort},
		{MaxTime: 100 * hour, Strategy: store.Abort, Matchers: []*labels.Matcher{matcher(labels.MatchEqual, "replica", "other")}},
	} {
		_, err = ask(t, s, req)
		testutil.Ok(t, err)
	}

	rewrite(t, bkt, b.ULID, "index", func(x []byte) { copy(x, index) })
	testutil.Ok(t, s.Sync(ctx))
	names, warnings = namesOf(t, s)
	testutil.Equals(t, "a b", names)
	testutil.Equals(t, 0, len(warnings))
	testutil.Equals(t, 2.0, metric(t, reg, "thanos_bucket_store_blocks_loaded"))
}

// TestBrokenResolution has a 5m block that cannot be read in front of raw data
// that can: that is sent, with a warning.
func TestBrokenResolution(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	series := blocktest.Floats(labels.FromStrings("__name__", "m"), 0, 60_000, make([]float64, 600)...)
	put(t, bkt, nil, series)
	m := put(t, bkt, &blocktest.Options{Resolution: block.FiveMinutes}, blocktest.Downsample(block.FiveMinutes, series)...)
	rewrite(t, bkt, m.ULID, "index", func(x []byte) { clear(x) })
	s := open(t, bkt, nil)
	a, err := ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour, MaxResolution: time.Hour, Aggregates: store.AggregateSum})
	testutil.Ok(t, err)
	testutil.Assert(t, len(a.series) == 1 && !a.series[0].Chunks[0].Raw.IsZero())
	testutil.Equals(t, 1, len(a.warnings))
	a, err = ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour})
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(a.warnings))
}

// TestDropDuringCall drops a block while a call reads it: the call has all of it,
// and its local files go when it ends.
func TestDropDuringCall(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := newTwo(t)
	dir := t.TempDir()
	s, err := bucketstore.Open(ctx, f.bkt, dir, &bucketstore.Options{BatchSize: 2, CallBytes: 1})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, s.Close()) }()
	local := filepath.Join(dir, f.bad.ULID.String())
	dropped := false
	n := 0
	for _, err := range store.All(ctx, s, &store.SeriesRequest{MaxTime: 10 * hour}, nil) {
		testutil.Ok(t, err)
		if n++; n == 5 {
			// The mark hides the block from the Store, but its objects are there.
			_, err := block.PutMark(ctx, f.bkt.Unwrap(), block.Mark{Kind: block.DeletionMark, Block: f.bad.ULID, Time: time.Unix(1, 0)})
			testutil.Ok(t, err)
			testutil.Ok(t, s.Sync(ctx))
			_, err = os.Stat(local)
			testutil.Ok(t, err)
			names, _ := namesOf(t, s)
			testutil.Assert(t, !strings.Contains(names, "bad"), names)
			dropped = true
		}
	}
	testutil.Assert(t, dropped)
	testutil.Equals(t, 3*perBlock, n)
	entries, err := filepath.Glob(filepath.Join(local, "*header*"))
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(entries), "%v", entries)
}

// TestReopen opens a directory again: nothing that it has is read again, and what
// it has of blocks that are gone is removed.
func TestReopen(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := newTwo(t)
	dir := t.TempDir()
	s, err := bucketstore.Open(ctx, f.bkt, dir, nil)
	testutil.Ok(t, err)
	testutil.Ok(t, s.Close())
	testutil.Ok(t, s.Close())
	testutil.Equals(t, bucketstore.ErrClosed, s.Sync(ctx))
	testutil.Equals(t, bucketstore.ErrClosed, s.Series(ctx, &store.SeriesRequest{}, &sink{}))
	_, err = s.LabelNames(ctx, &store.LabelNamesRequest{})
	testutil.Equals(t, bucketstore.ErrClosed, err)
	_, err = s.Describe(ctx)
	testutil.Equals(t, bucketstore.ErrClosed, err)

	remove(t, f.bkt, f.bad.ULID)
	f.bkt.Reset()
	s, err = bucketstore.Open(ctx, f.bkt, dir, nil)
	testutil.Ok(t, err)
	stats := f.bkt.Stats()
	testutil.Equals(t, 0, stats.Gets().Requests, "%v", f.bkt.Requests())
	testutil.Equals(t, 1, stats.Requests, "%v", f.bkt.Requests())
	headers, err := filepath.Glob(filepath.Join(dir, "*", "*header*"))
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(headers), "%v", headers)
	names, _ := namesOf(t, s)
	testutil.Assert(t, strings.Contains(names, "good") && !strings.Contains(names, "bad"))
	testutil.Ok(t, s.Close())
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, err := bucketstore.Open(ctx, newBucket(), t.TempDir(), &bucketstore.Options{
		SyncInterval: -1, Concurrency: -1, Limits: store.Limits{Bytes: -1}, HedgeDelay: -1,
	})
	for _, name := range []string{"SyncInterval", "Concurrency", "Limits", "HedgeDelay"} {
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), name), "%v", err)
	}
	bkt := newBucket()
	bkt.Fail(blocktest.Deny(nil))
	_, err = bucketstore.Open(ctx, bkt, t.TempDir(), nil)
	testutil.Assert(t, errors.Is(err, blocktest.ErrAccessDenied), "%v", err)
	file := filepath.Join(t.TempDir(), "file")
	testutil.Ok(t, os.WriteFile(file, nil, 0o666))
	_, err = bucketstore.Open(ctx, newBucket(), file, nil)
	testutil.NotOk(t, err)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = bucketstore.Open(canceled, newTwo(t).bkt, t.TempDir(), nil)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
}

// TestRun has Run find a new block, and log a broken one once.
func TestRun(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	var log lockedBuffer
	s := open(t, bkt, &bucketstore.Options{
		SyncInterval: time.Millisecond, HeaderIdle: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	m := put(t, bkt, nil, at(0, 1, "broken")...)
	rewrite(t, bkt, m.ULID, "index", func(x []byte) { clear(x) })
	put(t, bkt, nil, at(0, 1, "a")...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	await(t, func() bool {
		names, _ := namesOf(t, s)
		return names == "a" && bkt.Stats().Requests > 200
	})
	testutil.Equals(t, 1, strings.Count(log.String(), "block not loaded"), log.String())
	bkt.Fail(blocktest.Deny(nil))
	await(t, func() bool { return strings.Contains(log.String(), "blocks not synced") })
	cancel()
	testutil.Ok(t, <-done)
}

// await waits until a condition holds.
func await(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited for too long")
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestMaxCalls has one call run and another one wait for it.
func TestMaxCalls(t *testing.T) {
	t.Parallel()
	f := newTwo(t)
	s := open(t, f.bkt, &bucketstore.Options{MaxCalls: 1})
	req := &store.SeriesRequest{MaxTime: 10 * hour}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	testutil.Ok(t, s.Series(context.Background(), req, writerFunc(func() error {
		testutil.Equals(t, context.Canceled, s.Series(canceled, req, &sink{}))
		return nil
	})))
	testutil.Ok(t, s.Series(context.Background(), req, &sink{}))
}

func TestCloseWaits(t *testing.T) {
	t.Parallel()
	f := newTwo(t)
	s, err := bucketstore.Open(context.Background(), f.bkt, t.TempDir(), nil)
	testutil.Ok(t, err)
	closed := make(chan error, 1)
	n := 0
	testutil.Ok(t, s.Series(context.Background(), &store.SeriesRequest{MaxTime: 10 * hour}, writerFunc(func() error {
		if n++; n == 1 {
			go func() { closed <- s.Close() }()
			await(t, func() bool {
				_, err := s.Describe(context.Background())
				return errors.Is(err, bucketstore.ErrClosed)
			})
		}
		testutil.Equals(t, 0, len(closed))
		return nil
	})))
	testutil.Ok(t, <-closed)
	testutil.Equals(t, 3*perBlock, n)
}

func labelSets(info store.Info) string {
	var out []string
	for _, l := range info.LabelSets {
		out = append(out, l.String())
	}
	return "[" + strings.Join(out, " ") + "]"
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt := newBucket()
	empty, err := open(t, bkt, nil).Describe(ctx)
	testutil.Ok(t, err)
	ok, _ := empty.MayHold(math.MinInt64+1, math.MaxInt64-1, nil)
	testutil.Assert(t, !ok, "an empty Store announces %d..%d", empty.MinTime, empty.MaxTime)

	x, y := labels.FromStrings("cluster", "x"), labels.FromStrings("cluster", "y")
	for _, b := range []struct {
		lset       labels.Labels
		mint, maxt int64
	}{{x, 0, 4}, {x, 1, 2}, {x, 4, 6}, {x, 8, 9}, {y, 2, 3}} {
		put(t, bkt, &blocktest.Options{ExternalLabels: b.lset, MinTime: b.mint * hour, MaxTime: b.maxt * hour}, at(b.mint*hour, 1, "m")...)
	}
	info, err := open(t, bkt, nil).Describe(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, store.Info{
		Component: "store", LabelSets: []labels.Labels{x, y}, MinTime: 0, MaxTime: 9*hour - 1,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true,
		TSDBs: []store.TSDBInfo{
			{Labels: x, MinTime: 0, MaxTime: 6*hour - 1}, {Labels: x, MinTime: 8 * hour, MaxTime: 9*hour - 1},
			{Labels: y, MinTime: 2 * hour, MaxTime: 3*hour - 1},
		},
	}, info)

	bounded := open(t, bkt, &bucketstore.Options{
		MinTime: block.TimeAt(time.UnixMilli(5 * hour)), MaxTime: block.TimeAt(time.UnixMilli(8*hour + 1)),
	})
	info, err = bounded.Describe(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, 5*hour, info.MinTime)
	testutil.Equals(t, 8*hour+1, info.MaxTime)
	a, err := ask(t, bounded, &store.SeriesRequest{MaxTime: 100 * hour})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{`{__name__="m", cluster="x"}`}, a.labels())
	testutil.Equals(t, 1, len(a.series[0].Chunks))
}

// TestRelabelShards has two Stores share the blocks of a bucket.
func TestRelabelShards(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "x")}, at(0, 1, "x")...)
	put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "y")}, at(0, 1, "y")...)
	for _, cluster := range []string{"x", "y"} {
		cfg, err := block.ParseRelabel([]byte("- {action: keep, source_labels: [cluster], regex: " + cluster + "}"))
		testutil.Ok(t, err)
		names, _ := namesOf(t, open(t, bkt, &bucketstore.Options{Relabel: cfg}))
		testutil.Equals(t, cluster, names)
	}
	_, err := bucketstore.Open(context.Background(), bkt, t.TempDir(), &bucketstore.Options{Relabel: []*relabel.Config{{Action: relabel.Replace}}})
	testutil.NotOk(t, err)
}
