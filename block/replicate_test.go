package block_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

func TestReplicate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, open := range buckets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := blocktest.NewBucket(objstore.NewInMemBucket()), blocktest.NewBucket(open())
			dir := t.TempDir()
			var ids []ulid.ULID
			// Later blocks have lower times.
			for n := 1; n <= 3; n++ {
				m, d := newBlock(t, dir, n, func(m *block.Meta) { m.MinTime, m.MaxTime = -m.MaxTime, -m.MinTime })
				_, err := block.Upload(ctx, from, d, nil)
				testutil.Ok(t, err)
				ids = append([]ulid.ULID{m.ULID}, ids...)
			}
			// Fields that are not known come along.
			name := block.ObjectName(ids[0], block.MetaFile)
			put(t, from, name, strings.Replace(object(t, from, name), `"version": 1,`, `"version": 1, "future": {"x": 1e400},`, 1))
			_, err := block.PutMark(ctx, from, block.Mark{Kind: block.NoCompactMark, Block: ids[0]})
			testutil.Ok(t, err)
			put(t, from, block.ObjectName(newID(7), "chunks/000001"), "of an upload")
			put(t, from, block.ObjectName(newID(8), "meta.json"), "{")

			want := objects(t, from)
			for n := range want {
				if id, _ := block.ParseID(n); id == newID(7) || id == newID(8) || strings.HasSuffix(n, "mark.json") {
					delete(want, n)
				}
			}
			got, err := block.Replicate(ctx, from, to, nil, nil)
			testutil.Ok(t, err)
			testutil.Equals(t, ids, got)
			testutil.Equals(t, "", cmp.Diff(want, objects(t, to)))
			uploads := ops(to, objstore.OpUpload)
			for i := range ids {
				testutil.Equals(t, block.ObjectName(ids[i], "index"), uploads[5*i+3])
				testutil.Equals(t, block.ObjectName(ids[i], "meta.json"), uploads[5*i+4])
			}

			// Once more is nothing, and something added to a meta.json is only that.
			got, err = block.Replicate(ctx, from, to, nil, nil)
			testutil.Ok(t, err)
			testutil.Equals(t, 0, len(got))
			m, err := block.FetchMeta(ctx, from, ids[1])
			testutil.Ok(t, err)
			m.Thanos.Extensions = []byte(`{"x":1}`)
			putMeta(t, from, m)
			n := len(ops(to, objstore.OpUpload))
			got, err = block.Replicate(ctx, from, to, nil, nil)
			testutil.Ok(t, err)
			testutil.Equals(t, ids[1:2], got)
			testutil.Equals(t, []string{block.ObjectName(ids[1], "meta.json")}, ops(to, objstore.OpUpload)[n:])
			testutil.Equals(t, 0, from.OpenBodies()+to.OpenBodies())
		})
	}
}

func TestReplicateSelects(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	from := objstore.NewInMemBucket()
	dir := t.TempDir()
	for n, change := range []func(*block.Meta){
		func(*block.Meta) {},
		func(m *block.Meta) { m.Thanos.Labels["replica"] = "b" },
		func(m *block.Meta) { m.Compaction.Level = 2 },
		func(m *block.Meta) { m.Thanos.Downsample.Resolution = block.FiveMinutes },
		func(m *block.Meta) { m.Thanos.Labels = map[string]string{} },
	} {
		_, d := newBlock(t, dir, n, change)
		_, err := block.Upload(ctx, from, d, &block.UploadOptions{AllowNoLabels: true})
		testutil.Ok(t, err)
	}
	_, err := block.PutMark(ctx, from, block.Mark{Kind: block.DeletionMark, Block: newID(0), Time: time.Now().Add(-time.Hour)})
	testutil.Ok(t, err)
	ids := func(ns ...int) []ulid.ULID {
		var ids []ulid.ULID
		for _, n := range ns {
			ids = append(ids, newID(n))
		}
		return ids
	}
	at := func(ms int64) block.TimeBound { return block.TimeAt(time.UnixMilli(ms)) }
	for _, tc := range []struct {
		name string
		sel  *block.Selector
		opts *block.ReplicateOptions
		want []ulid.ULID
	}{
		{"all", nil, nil, ids(0, 1, 2, 3)},
		{"zero", &block.Selector{}, &block.ReplicateOptions{Concurrency: 1}, ids(0, 1, 2, 3)},
		{"without labels", nil, &block.ReplicateOptions{AllowNoLabels: true}, ids(0, 1, 2, 3, 4)},
		{"not marked", nil, &block.ReplicateOptions{IgnoreMarked: true}, ids(1, 2, 3)},
		{"by ID and nothing else", &block.Selector{IDs: ids(3, 9), Levels: []int{7}}, nil, ids(3)},
		{"by level", &block.Selector{Levels: []int{2, 3}}, nil, ids(2)},
		{"by resolution", &block.Selector{Resolutions: []block.Resolution{block.FiveMinutes}}, nil, ids(3)},
		{"by matchers", &block.Selector{Matchers: []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchRegexp, "replica", "a|b"), labels.MustNewMatcher(labels.MatchNotEqual, "replica", "a"), labels.MustNewMatcher(labels.MatchEqual, "absent", ""),
		}}, nil, ids(1)},
		{"by time", &block.Selector{MinTime: at(2 * 7_200_000), MaxTime: at(3*7_200_000 - 1)}, nil, ids(1, 2)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			to := objstore.NewInMemBucket()
			got, err := block.Replicate(ctx, from, to, tc.sel, tc.opts)
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want, got)
			v := fetch(t, to, nil)
			testutil.Equals(t, len(tc.want), len(v.Metas))
		})
	}
}

func TestReplicateFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	for _, tc := range []struct {
		name string
		// harm comes over block 1 of two.
		harm func(t *testing.T, from *blocktest.Bucket, to *blocktest.Bucket, id string)
		want error
	}{
		{"segment gone", func(t *testing.T, from, _ *blocktest.Bucket, id string) {
			testutil.Ok(t, from.Delete(ctx, id+"/chunks/000002"))
		}, block.ErrNotFound},
		{"segment torn", func(t *testing.T, from, _ *blocktest.Bucket, id string) {
			put(t, from, id+"/chunks/000002", "x")
		}, block.ErrCorrupt},
		{"connection ends early", func(_ *testing.T, from, _ *blocktest.Bucket, id string) {
			cut := blocktest.Truncated(10)
			from.Body(func(r blocktest.Request, in io.Reader) io.Reader {
				if r.Name == id+"/index" {
					return cut(r, in)
				}
				return in
			})
		}, io.ErrUnexpectedEOF},
		{"another block is there", func(t *testing.T, _, to *blocktest.Bucket, _ string) {
			putMeta(t, to, newMeta(1, func(m *block.Meta) { m.MaxTime++ }))
		}, block.ErrExists},
		{"refused", func(_ *testing.T, _, to *blocktest.Bucket, id string) {
			to.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Op == objstore.OpUpload && strings.HasPrefix(r.Name, id) }))
		}, blocktest.ErrAccessDenied},
		{"not to be judged", func(_ *testing.T, from, _ *blocktest.Bucket, id string) {
			from.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Name == id+"/meta.json" }))
		}, block.ErrIncomplete},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			from, to := blocktest.NewBucket(objstore.NewInMemBucket()), blocktest.NewBucket(objstore.NewInMemBucket())
			for n := 1; n <= 2; n++ {
				_, d := newBlock(t, filepath.Join(dir, tc.name), n)
				_, err := block.Upload(ctx, from, d, nil)
				testutil.Ok(t, err)
			}
			tc.harm(t, from, to, newID(1).String())
			before := objects(t, to)
			got, err := block.Replicate(ctx, from, to, nil, nil)
			testutil.Assert(t, errors.Is(err, tc.want) && strings.Contains(err.Error(), newID(1).String()), "%v", err)
			testutil.Equals(t, []ulid.ULID{newID(2)}, got)
			testutil.Equals(t, 5, len(visible(t, to, newID(2))))
			if errors.Is(tc.want, block.ErrExists) {
				after := objects(t, to)
				maps.DeleteFunc(after, func(name, _ string) bool { return strings.HasPrefix(name, newID(2).String()) })
				testutil.Equals(t, before, after)
			} else {
				testutil.Assert(t, visible(t, to, newID(1)) == nil)
			}
			testutil.Equals(t, 0, from.OpenBodies()+to.OpenBodies())
		})
	}
	from := blocktest.NewBucket(objstore.NewInMemBucket())
	from.Fail(blocktest.Deny(nil))
	_, err := block.Replicate(ctx, from, objstore.NewInMemBucket(), nil, nil)
	testutil.Assert(t, errors.Is(err, blocktest.ErrAccessDenied), "%v", err)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = block.Replicate(cancelled, blocktest.NewBucket(objstore.NewInMemBucket()), objstore.NewInMemBucket(), nil, nil)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
}
