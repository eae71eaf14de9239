package downsample_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
)

func only(resolutions ...block.Resolution) func(*block.Meta) bool {
	return func(m *block.Meta) bool {
		for _, r := range resolutions {
			if m.Resolution() == r {
				return true
			}
		}
		return false
	}
}

// goldenBucket is a bucket with the golden blocks of some resolutions: one raw block
// of ten days and one that is too short, first.
func goldenBucket(t testing.TB, resolutions ...block.Resolution) (*blocktest.Bucket, []*block.Meta) {
	t.Helper()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	metas, err := blocktest.Golden(context.Background(), bkt, only(resolutions...))
	testutil.Ok(t, err)
	return bkt, metas
}

func resolutions(metas []*block.Meta) (out []block.Resolution) {
	for _, m := range metas {
		out = append(out, m.Resolution())
	}
	return out
}

func isEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(entries))
}

// TestBucket: of a bucket with raw data, 5m and 1h are made, and never again.
func TestBucket(t *testing.T) {
	t.Parallel()
	bkt, metas := goldenBucket(t, block.Raw)
	dir := filepath.Join(t.TempDir(), "work")
	made, err := downsample.Bucket(t.Context(), bkt, dir, &downsample.BucketOptions{Hash: block.HashSHA256})
	testutil.Ok(t, err)
	testutil.Equals(t, []block.Resolution{block.FiveMinutes, block.OneHour}, resolutions(made))
	for _, m := range made {
		got, err := block.FetchMeta(t.Context(), bkt, m.ULID)
		testutil.Ok(t, err)
		testutil.Equals(t, m, got)
		testutil.Equals(t, metas[0].Compaction, got.Compaction)
		testutil.Equals(t, block.HashSHA256, got.Thanos.Files[0].Hash.Func)
		report, err := block.VerifyBucket(t.Context(), bkt, m.ULID, t.TempDir(), nil)
		testutil.Ok(t, err)
		testutil.Ok(t, report.Err())
	}
	isEmpty(t, dir)

	made, err = downsample.Bucket(t.Context(), bkt, dir, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(made))
}

// TestBucketWhatIsDue: 1h is made of 5m if raw is gone, and what is marked is left
// alone.
func TestBucketWhatIsDue(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		there []block.Resolution
		mark  *block.MarkKind
		want  []block.Resolution
	}{
		{name: "1h of 5m", there: []block.Resolution{block.FiveMinutes}, want: []block.Resolution{block.OneHour}},
		{name: "1h of 5m beside raw", there: []block.Resolution{block.Raw, block.FiveMinutes}, want: []block.Resolution{block.OneHour}},
		{name: "5m beside 1h", there: []block.Resolution{block.Raw, block.OneHour}, want: []block.Resolution{block.FiveMinutes}},
		{name: "all is there", there: []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour}},
		{name: "1h alone", there: []block.Resolution{block.OneHour}},
		{name: "no-downsample", there: []block.Resolution{block.Raw}, mark: new(block.NoDownsampleMark)},
		{name: "no-compact", there: []block.Resolution{block.FiveMinutes}, mark: new(block.NoCompactMark), want: []block.Resolution{block.OneHour}},
		{name: "deletion", there: []block.Resolution{block.Raw}, mark: new(block.DeletionMark)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bkt, metas := goldenBucket(t, tc.there...)
			if tc.mark != nil {
				for _, m := range metas {
					_, err := block.PutMark(t.Context(), bkt, block.Mark{Kind: *tc.mark, Block: m.ULID, Reason: block.ReasonManual})
					testutil.Ok(t, err)
				}
			}
			made, err := downsample.Bucket(t.Context(), bkt, t.TempDir(), nil)
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want, resolutions(made))
		})
	}
}

// TestBucketGoesRound: a block that cannot be read is an error, and the others are
// downsampled all the same. What an earlier run left is removed.
func TestBucketGoesRound(t *testing.T) {
	t.Parallel()
	bkt, metas := goldenBucket(t, block.Raw)
	bad := blocktest.Build(t, t.TempDir(), &blocktest.Options{MaxTime: 200 * 3_600_000}, blocktest.Random(1, &blocktest.RandomOptions{Start: 1})...)
	m, err := block.Upload(t.Context(), bkt, bad, nil)
	testutil.Ok(t, err)
	testutil.Ok(t, bkt.Delete(t.Context(), block.ObjectName(m.ULID, block.SegmentName(0))))

	dir := t.TempDir()
	left := filepath.Join(dir, ulid.Make().String()+".tmp-for-creation")
	testutil.Ok(t, os.Mkdir(left, 0o700))
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, "other"), nil, 0o600))
	made, err := downsample.Bucket(t.Context(), bkt, dir, &downsample.BucketOptions{Concurrency: 2})
	testutil.Assert(t, errors.Is(err, block.ErrNotFound), "%v", err)
	testutil.Equals(t, []block.Resolution{block.FiveMinutes, block.OneHour}, resolutions(made))
	testutil.Equals(t, metas[0].Compaction.Sources, made[0].Compaction.Sources)
	_, err = os.Stat(left)
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
	_, err = os.Stat(filepath.Join(dir, "other"))
	testutil.Ok(t, err)
}

// TestBucketCut: wherever the bucket is cut, the next run makes what was not made,
// nothing of what was is lost or there twice, and nothing stays in the directory.
func TestBucketCut(t *testing.T) {
	t.Parallel()
	for _, when := range []blocktest.When{blocktest.Torn, blocktest.After} {
		for cut := 1; ; cut++ {
			bkt, _ := goldenBucket(t, block.Raw)
			dir := t.TempDir()
			bkt.Cut(cut, when)
			_, err := downsample.Bucket(t.Context(), bkt, dir, nil)
			dead := bkt.Dead()
			testutil.Equals(t, dead, err != nil)
			bkt.Revive()
			if !dead {
				t.Logf("%s: %d requests", when, cut-1)
				break
			}
			_, err = downsample.Bucket(t.Context(), bkt, dir, nil)
			testutil.Ok(t, err)
			f, err := block.NewFetcher(bkt, "", nil)
			testutil.Ok(t, err)
			v, err := f.Fetch(t.Context())
			testutil.Ok(t, err)
			found := map[block.Resolution]int{}
			for _, m := range v.Metas {
				found[m.Resolution()]++
			}
			testutil.Equals(t, map[block.Resolution]int{block.Raw: 2, block.FiveMinutes: 1, block.OneHour: 1}, found)
			isEmpty(t, dir)
		}
	}
}

func TestBucketOptions(t *testing.T) {
	t.Parallel()
	_, err := downsample.Bucket(t.Context(), objstore.NewInMemBucket(), t.TempDir(), &downsample.BucketOptions{
		Concurrency: -1, FileConcurrency: -2, Block: downsample.Options{Concurrency: -3, ULID: ulid.Make()},
	})
	testutil.NotOk(t, err)
	testutil.Equals(t, "downsample bucket: option Concurrency is -1, not 0 or more\noption FileConcurrency is -2, not 0 or more\n"+
		"option Concurrency is -3, not 0 or more\noption Block.ULID is set, and there may be many blocks", err.Error())
}
