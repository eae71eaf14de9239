package compact_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// uploadJob uploads two blocks of a group that become one, and one behind them.
func uploadJob(t *testing.T, bkt objstore.Bucket, group string) (metas []*block.Meta) {
	t.Helper()
	for _, k := range []int64{0, 3, 4} {
		metas = append(metas, upload(t, bkt, group, 2, 472_224*hourMS+k*2*hourMS, 2))
	}
	return metas
}

// copyOf is a bucket with the objects of another.
func copyOf(t *testing.T, bkt *objstore.InMemBucket) *objstore.InMemBucket {
	t.Helper()
	out := objstore.NewInMemBucket()
	for name, b := range bkt.Objects() {
		testutil.Ok(t, out.Upload(t.Context(), name, bytes.NewReader(b)))
	}
	return out
}

// A group of another shard is one without an owner after so many runs, however many
// plans each of them makes, and no longer once somebody has worked on it.
func TestGroupsWithoutOwnerInRuns(t *testing.T) {
	t.Parallel()
	bkt, regs := objstore.NewInMemBucket(), [2]*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry()}
	groups := [2]string{} // one of each shard
	for i := 0; groups[0] == "" || groups[1] == ""; i++ {
		group := fmt.Sprint("group-", i)
		groups[compact.ShardOf(labels.FromStrings("group", group), 2)] = group
	}
	for _, group := range groups {
		uploadJob(t, bkt, group)
	}
	var compactors [2]*compact.Compactor
	for shard := range compactors {
		c, err := compact.New(bkt, t.TempDir(), &compact.Options{Shards: 2, Shard: shard, Registerer: regs[shard]})
		testutil.Ok(t, err)
		defer func() { testutil.Ok(t, c.Close()) }()
		compactors[shard] = c
	}
	for run, want := range []float64{0, 0, 1, 1, 0} {
		if run == 4 {
			_, err := compactors[1].RunOnce(t.Context())
			testutil.Ok(t, err)
		}
		_, err := compactors[0].RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, want, metricsOf(t, regs[0])["thanoskit_compact_groups_without_owner"], "run %d", run)
	}
}

// frozen is a bucket that goes on listing what there was the first time.
type frozen struct {
	objstore.Bucket
	names map[string]bool
}

func (b *frozen) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, opts ...objstore.IterOption) error {
	first := b.names == nil
	if first {
		b.names = map[string]bool{}
	}
	return b.Bucket.IterWithAttributes(ctx, dir, func(a objstore.IterObjectAttributes) error {
		if first {
			b.names[a.Name] = true
		} else if !b.names[a.Name] {
			return nil
		}
		return f(a)
	}, opts...)
}

// Where listings lag behind, a run does not do the same once more.
func TestListingLagsBehind(t *testing.T) {
	t.Parallel()
	mem := objstore.NewInMemBucket()
	uploadJob(t, mem, "a")
	c, err := compact.New(&frozen{Bucket: mem}, t.TempDir(), nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	r, err := c.RunOnce(t.Context())
	testutil.Assert(t, errors.Is(err, compact.ErrStale), "%v", err)
	testutil.Equals(t, compact.ClassStale, compact.ClassOf(err))
	testutil.Equals(t, 1, r.Compactions)
	testutil.Equals(t, 0, len(r.Failed))
}

// What no job goes on with is removed from the directory.
func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), ulid.MustNewDefault(time.Now()).String()
	for _, left := range []string{"jobs/0123456789abcdef", "blocks/" + id, "blocks/" + id + block.DownloadSuffix} {
		testutil.Ok(t, os.MkdirAll(filepath.Join(dir, left), 0o750))
		testutil.Ok(t, os.WriteFile(filepath.Join(dir, left, "file"), nil, 0o600))
	}
	c, err := compact.New(objstore.NewInMemBucket(), dir, nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	_, err = c.RunOnce(t.Context())
	testutil.Ok(t, err)
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(left), "%v", left)
}

// A run whose context ends says why, and that its job was not done is no failure of
// the job's.
func TestRunIsCanceled(t *testing.T) {
	t.Parallel()
	bkt := objstore.NewInMemBucket()
	uploadJob(t, bkt, "a")
	c, err := compact.New(bkt, t.TempDir(), nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	ctx, cancel := context.WithCancelCause(t.Context())
	c.SetMerge(func(ctx context.Context, _ *compact.Job, _ []string, _ string, _ makeFunc) ([]*block.Meta, error) {
		cancel(errRefused)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	r, err := c.RunOnce(ctx)
	testutil.Assert(t, errors.Is(err, errRefused), "%v", err)
	testutil.Equals(t, 0, len(r.Failed))
	testutil.Equals(t, 0, r.Compactions)
}

// All that goes wrong in a run is told.
func TestErrorsOfRun(t *testing.T) {
	t.Parallel()
	bkt := &hooked{Bucket: objstore.NewInMemBucket()}
	uploadJob(t, bkt, "a")
	marked := upload(t, bkt, "b", 1, jobStart, 2).ULID
	_, err := block.PutMark(t.Context(), bkt, block.Mark{Kind: block.DeletionMark, Block: marked, Time: time.Now().Add(-49 * time.Hour)})
	testutil.Ok(t, err)
	c, err := compact.New(bkt, t.TempDir(), &compact.Options{Retention: compact.Retention{Raw: 48 * time.Hour}, Interlock: compact.InterlockOff})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	unmarked := errors.New("marks are refused")
	bkt.del = func(string) error { return errRefused }
	bkt.upload = func(name string) error {
		if strings.HasSuffix(name, block.DeletionMarkFile) {
			return unmarked
		}
		return nil
	}
	_, err = c.RunOnce(t.Context())
	testutil.Assert(t, errors.Is(err, errRefused) && errors.Is(err, unmarked), "%v", err)
}
