package blocktest_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// What the README beside the blocks says of them.
func TestGolden(t *testing.T) {
	t.Parallel()
	bkt := objstore.NewInMemBucket()
	metas, err := blocktest.Golden(t.Context(), bkt, nil)
	testutil.Ok(t, err)
	type is struct {
		Resolution block.Resolution
		MinTime    int64
		Series     uint64
	}
	var got []is
	for _, m := range metas {
		testutil.Ok(t, m.Validate())
		testutil.Equals(t, map[string]string{"cluster": "golden", "replica": "a"}, m.Thanos.Labels)
		got = append(got, is{m.Thanos.Downsample.Resolution, m.MinTime, m.Stats.NumSeries})
	}
	testutil.Equals(t, []is{
		{block.Raw, 1_700_006_400_000, 11},
		{block.FiveMinutes, 1_700_006_400_000, 11},
		{block.OneHour, 1_700_006_400_000, 11},
		{block.Raw, 1_700_884_800_000, 9},
	}, got)
	size := 0
	for name, data := range bkt.Objects() {
		_, err := fs.Stat(blocktest.GoldenFS(), name)
		testutil.Ok(t, err)
		size += len(data)
	}
	testutil.Equals(t, 12, len(bkt.Objects()))
	testutil.Assert(t, size < 150<<10, "%d bytes", size)
}

func TestGoldenKeep(t *testing.T) {
	t.Parallel()
	bkt := objstore.NewInMemBucket()
	metas, err := blocktest.Golden(t.Context(), bkt, func(m *block.Meta) bool { return m.Thanos.Downsample.Resolution == block.OneHour })
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(metas))
	testutil.Equals(t, 3, len(bkt.Objects()))
}

func TestGoldenCannotBePut(t *testing.T) {
	t.Parallel()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	bkt.Fail(blocktest.Deny(nil))
	_, err := blocktest.Golden(t.Context(), bkt, nil)
	testutil.Assert(t, bkt.IsAccessDeniedErr(err), "error: %v", err)
}

// The raw blocks are Prometheus', and good.
func TestGoldenOpensInPrometheus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testutil.Ok(t, os.CopyFS(dir, blocktest.GoldenFS()))
	metas, err := blocktest.Golden(t.Context(), objstore.NewInMemBucket(), func(m *block.Meta) bool { return m.Thanos.Downsample.Resolution == block.Raw })
	testutil.Ok(t, err)
	for _, m := range metas {
		b, err := tsdb.OpenBlock(nil, filepath.Join(dir, m.ULID.String()), nil, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, m.Stats.NumChunks, b.Meta().Stats.NumChunks)
		testutil.Ok(t, b.Close())
	}
}

func ExampleGolden() {
	metas, err := blocktest.Golden(context.Background(), objstore.NewInMemBucket(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range metas {
		fmt.Println(m.Thanos.Downsample.Resolution, ulid.Time(uint64(m.MinTime)).UTC().Format("2006-01-02 15:04"), m.Stats.NumSeries, "series")
	}
	// Output:
	// raw 2023-11-15 00:00 11 series
	// 5m 2023-11-15 00:00 11 series
	// 1h 2023-11-15 00:00 11 series
	// raw 2023-11-25 04:00 9 series
}
