package compact_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	"github.com/thanoskit/thanoskit/compact"
)

// newRun returns a bucket with four blocks of two hours that become one, and one
// more behind them, and a Compactor of it. The third block has the largest index.
func newRun(t *testing.T, opts *compact.Options) (*objstore.InMemBucket, *compact.Compactor, []ulid.ULID) {
	t.Helper()
	bkt, dir := objstore.NewInMemBucket(), t.TempDir()
	var ids []ulid.ULID
	const two = int64(2 * time.Hour / time.Millisecond)
	from := 470_000 * 8 * two / 2 // A multiple of 8 h.
	for k := range int64(5) {
		var series []block.Series
		for i := range 1 + 5*(k%3) {
			series = append(series, blocktest.Series(labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)), blocktest.Sample{T: from + k*two, F: 1}))
		}
		built := blocktest.Build(t, dir, &blocktest.Options{
			MinTime: from + k*two, MaxTime: from + (k+1)*two, Level: 2, Source: block.SourceCompactor,
		}, series...)
		m, err := block.Upload(t.Context(), bkt, built, nil)
		testutil.Ok(t, err)
		ids = append(ids, m.ULID)
	}
	c, err := compact.New(bkt, t.TempDir(), opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return bkt, c, ids
}

type makeFunc = func() ([]*block.Meta, error)

// What goes wrong with a job costs that job alone, and only what is a block's fault
// is marked.
func TestMergeFails(t *testing.T) {
	t.Parallel()
	t.Run("index too large", func(t *testing.T) {
		t.Parallel()
		bkt, c, ids := newRun(t, nil)
		c.SetMerge(func(_ context.Context, job *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
			if len(job.Sources) == 4 {
				return nil, &compact.IndexSizeError{Size: 9, Limit: 8}
			}
			return merge()
		})
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		mark, err := block.ReadMark(t.Context(), bkt, ids[2], block.NoCompactMark)
		testutil.Ok(t, err)
		testutil.Equals(t, block.ReasonIndexSize, mark.Reason)
		testutil.Assert(t, strings.Contains(mark.Details, "9 bytes or more"), "%s", mark.Details)
		testutil.Equals(t, 1, r.Compactions) // of the two before it
		testutil.Equals(t, 0, len(r.Failed)+len(r.Quarantined))
	})
	for _, times := range []int{1, 2} {
		t.Run(fmt.Sprint("bad source, ", times), func(t *testing.T) {
			t.Parallel()
			bkt, c, ids := newRun(t, nil)
			failed := 0
			c.SetMerge(func(_ context.Context, job *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
				if failed < times && slices.ContainsFunc(job.Sources, func(m *block.Meta) bool { return m.ULID == ids[1] }) {
					failed++
					return nil, &compact.SourceError{Block: ids[1], Err: errors.New("what nobody has seen before")}
				}
				return merge()
			})
			r, err := c.RunOnce(t.Context())
			testutil.Ok(t, err)
			mark, err := block.ReadMark(t.Context(), bkt, ids[1], block.NoCompactMark)
			if times == 1 {
				testutil.Assert(t, errors.Is(err, block.ErrNotFound), "%v", err)
				testutil.Equals(t, 0, len(r.Quarantined))
				return
			}
			testutil.Ok(t, err)
			testutil.Equals(t, compact.ReasonCorrupt, mark.Reason)
			testutil.Equals(t, "what nobody has seen before", mark.Details)
			testutil.Equals(t, ids[1], r.Quarantined[0].Block)
			testutil.Equals(t, 1, r.Compactions)
		})
	}
	for name, f := range map[string]func(out string, merge makeFunc) ([]*block.Meta, error){
		"defect":          func(string, makeFunc) ([]*block.Meta, error) { return nil, errors.New("defect") },
		"nothing is made": func(string, makeFunc) ([]*block.Meta, error) { return nil, nil },
		"output is damaged": func(out string, merge makeFunc) ([]*block.Meta, error) {
			metas, err := merge()
			if err != nil {
				return nil, err
			}
			return metas, os.Truncate(filepath.Join(out, metas[0].ULID.String(), block.IndexFile), 40)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bkt, c, ids := newRun(t, nil)
			c.SetMerge(func(_ context.Context, _ *compact.Job, _ []string, out string, merge makeFunc) ([]*block.Meta, error) {
				return f(out, merge)
			})
			before := len(bkt.Objects())
			r, err := c.RunOnce(t.Context())
			testutil.Assert(t, errors.Is(err, compact.ErrOutput), "%v", err)
			testutil.Equals(t, compact.ClassOutput, compact.ClassOf(err))
			e, ok := errors.AsType[*compact.JobError](err)
			testutil.Assert(t, ok && e.Job.Sources[0].ULID == ids[0], "%v", err)
			testutil.Equals(t, 1, len(r.Failed))
			testutil.Equals(t, before, len(bkt.Objects())) // Nothing was uploaded or marked.
		})
	}
}

// A block that turns out to be bad when it is downloaded once more is quarantined in
// the same run.
func TestSourceIsBadOnceMore(t *testing.T) {
	t.Parallel()
	bkt, c, ids := newRun(t, nil)
	failed := false
	c.SetMerge(func(ctx context.Context, job *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
		if failed {
			return merge()
		}
		failed = true
		testutil.Ok(t, bkt.Upload(ctx, block.ObjectName(ids[1], block.IndexFile), strings.NewReader("no index")))
		return nil, &compact.SourceError{Block: ids[1], Err: block.ErrCorrupt}
	})
	r, err := c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(r.Quarantined))
	testutil.Equals(t, ids[1], r.Quarantined[0].Block)
	testutil.Equals(t, 1, r.Compactions)
}

// A downsampled block whose index would be too large is not tried again and again:
// its source is marked no-downsample, for what it is.
func TestDownsampledIndexTooLarge(t *testing.T) {
	t.Parallel()
	bkt := objstore.NewInMemBucket()
	from := int64(1400) * 14 * 24 * hourMS
	built := blocktest.Build(t, t.TempDir(), &blocktest.Options{MinTime: from, MaxTime: from + 48*hourMS, Level: 4, Source: block.SourceCompactor},
		blocktest.Series(labels.FromStrings("__name__", "m"), blocktest.Sample{T: from, F: 1}))
	m, err := block.Upload(t.Context(), bkt, built, nil)
	testutil.Ok(t, err)
	c, err := compact.New(bkt, t.TempDir(), &compact.Options{Retention: compact.Retention{Raw: time.Hour}})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	tried := 0
	c.SetMerge(func(context.Context, *compact.Job, []string, string, makeFunc) ([]*block.Meta, error) {
		tried++
		return nil, &compact.IndexSizeError{Resolution: block.FiveMinutes, Size: 9, Limit: 8}
	})
	for range 2 {
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 1, tried)
		mark, err := block.ReadMark(t.Context(), bkt, m.ULID, block.NoDownsampleMark)
		testutil.Ok(t, err)
		testutil.Equals(t, block.ReasonIndexSize, mark.Reason)
		// It has had its time, and is held, since nothing else has what is in it.
		testutil.Equals(t, 0, len(r.Marked))
		testutil.Equals(t, 1, len(r.Plan.Held))
	}
}

func TestNewFails(t *testing.T) {
	t.Parallel()
	_, err := compact.New(objstore.NewInMemBucket(), "", &compact.Options{Shard: 3, MaxHold: -1})
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "Shard") && strings.Contains(err.Error(), "MaxHold"), "%v", err)
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "thanos_compact_iterations_total", Help: "Something else."}))
	_, err = compact.New(objstore.NewInMemBucket(), "", &compact.Options{Registerer: reg})
	testutil.NotOk(t, err)
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want compact.Class
	}{
		{nil, compact.ClassNone},
		{context.Canceled, compact.ClassCanceled},
		{fmt.Errorf("ask: %w", context.DeadlineExceeded), compact.ClassCanceled},
		{fmt.Errorf("%w: %w", compact.ErrBucket, context.DeadlineExceeded), compact.ClassBucket},
		{fmt.Errorf("%w: %w", compact.ErrDisk, &fs.PathError{Op: "write", Err: syscall.EIO}), compact.ClassDisk},
		{compact.ErrDiskFull, compact.ClassDisk},
		{compact.ErrStale, compact.ClassStale},
		{compact.ErrOutput, compact.ClassOutput},
		{&compact.QuarantineError{Err: block.ErrCorrupt}, compact.ClassQuarantine},
		{errors.Join(compact.ErrBucket, compact.ErrStale), compact.ClassStale},
		{errors.New("whatever"), compact.ClassBucket},
	} {
		testutil.Equals(t, tc.want, compact.ClassOf(tc.err), "%v", tc.err)
	}
	testutil.Assert(t, errors.Is(compact.ErrDiskFull, compact.ErrDisk))
}

// Jobs of one group run one after the other, those of others beside them, and no
// more of a kind than may.
func TestJobQueue(t *testing.T) {
	t.Parallel()
	jobs := []*compact.Job{
		{Group: "a"}, {Group: "a"}, {Group: "b"}, {Group: "c"},
		{Group: "d", Kind: compact.DownsampleOnly}, {Group: "e", Kind: compact.DownsampleOnly},
	}
	all := slices.Clone(jobs)
	next := compact.NewJobQueue(jobs, &compact.Options{Concurrency: 2, DownsampleConcurrency: 1})
	take := func(want *compact.Job) func() {
		t.Helper()
		job, release := next(t.Context())
		testutil.Assert(t, job == want, "%+v", job)
		return release
	}
	a := take(all[0])
	b := take(all[2])
	d := take(all[4])
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	job, _ := next(ctx)
	testutil.Assert(t, job == nil)
	b()
	c := take(all[3])
	a()
	a = take(all[1])
	d()
	d = take(all[5])
	for _, release := range []func(){a, c, d} {
		release()
	}
	job, _ = next(t.Context())
	testutil.Assert(t, job == nil)
}

func TestProgressText(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]compact.Progress{
		"nothing to do":                          {},
		"1 of 4 jobs":                            {Jobs: 1, Total: 4},
		"3 of 12 jobs, 50% of 12.0 GiB, 5m left": {Jobs: 3, Total: 12, Bytes: 6 << 30, TotalBytes: 12 << 30, Left: 5 * time.Minute},
		"0 of 1 jobs, 0% of 512.0 B":             {Total: 1, TotalBytes: 512},
	} {
		testutil.Equals(t, strings.Replace(want, "5m left", "5m0s left", 1), p.String())
	}
}

// A group of another shard that nobody works on is seen after two cycles.
func TestGroupsWithoutOwner(t *testing.T) {
	t.Parallel()
	ownerless := func(reg *prometheus.Registry) float64 {
		n, err := promtest.GatherAndCount(reg, "thanoskit_compact_groups_without_owner")
		testutil.Ok(t, err)
		testutil.Equals(t, 1, n)
		families, err := reg.Gather()
		testutil.Ok(t, err)
		for _, f := range families {
			if f.GetName() == "thanoskit_compact_groups_without_owner" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
	foreign := 0
	for shard := range 2 {
		reg := prometheus.NewRegistry()
		_, c, _ := newRun(t, &compact.Options{Shards: 2, Shard: shard, Registerer: reg})
		for run := range 4 {
			r, err := c.RunOnce(t.Context())
			testutil.Ok(t, err)
			if len(r.Plan.Foreign) == 0 {
				testutil.Equals(t, 0.0, ownerless(reg))
				continue
			}
			foreign++
			want := 0.0
			if run >= 2 {
				want = 1
			}
			testutil.Equals(t, want, ownerless(reg), "run %d", run)
		}
	}
	testutil.Equals(t, 4, foreign)
}

// The details of a mark say what was found first of each kind, and are no longer
// than people read.
func TestDetailsOfMarks(t *testing.T) {
	t.Parallel()
	found := &block.VerifyError{Report: &block.Report{Problems: []block.Problem{
		{Kind: block.UnsortedSeries, Count: 2, Examples: []error{errors.New("series b after c"), errors.New("series a after b")}},
		{Kind: block.CorruptChunk, Count: 1},
	}}}
	testutil.Equals(t, "unsorted series: 2, the first: series b after c; corrupt chunk: 1", compact.DetailsOf(fmt.Errorf("look: %w", found)))
	long := compact.DetailsOf(errors.New("x" + strings.Repeat("ä", 3000)))
	testutil.Equals(t, "x"+strings.Repeat("ä", 999)+"...", long)
	testutil.Equals(t, "short", compact.DetailsOf(errors.New("short")))
}
