package downsample_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	thanosdownsample "github.com/thanos-io/thanos/pkg/compact/downsample"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/downsample"
)

// openThanos opens a block as Thanos' compactor does before it downsamples it.
func openThanos(t testing.TB, dir string) (*metadata.Meta, *tsdb.Block) {
	t.Helper()
	meta, err := metadata.ReadFromDir(dir)
	testutil.Ok(t, err)
	pool := chunkenc.NewPool()
	if meta.Thanos.Downsample.Resolution != 0 {
		pool = thanosdownsample.NewPool()
	}
	b, err := tsdb.OpenBlock(promslog.NewNopLogger(), dir, pool, nil)
	testutil.Ok(t, err)
	return meta, b
}

// thanos has Thanos downsample a block, and returns the directory of the new one.
func thanos(t testing.TB, dir, out string, to block.Resolution) string {
	t.Helper()
	meta, b := openThanos(t, dir)
	id, err := thanosdownsample.Downsample(context.Background(), log.NewNopLogger(), meta, b, out, int64(to))
	testutil.Ok(t, err)
	testutil.Ok(t, b.Close())
	return filepath.Join(out, id.String())
}

// ours downsamples a block, and returns the directory of the new one.
func ours(t testing.TB, dir, out string, to block.Resolution, opts *downsample.Options) string {
	t.Helper()
	meta, err := downsample.Block(context.Background(), dir, out, to, opts)
	testutil.Ok(t, err)
	return filepath.Join(out, meta.ULID.String())
}
