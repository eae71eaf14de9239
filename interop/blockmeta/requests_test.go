package blockmeta_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	thanosblock "github.com/thanos-io/thanos/pkg/block"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// What a view costs: first, again, and after a restart. Thanos asks for a
// deletion mark of each block each time; we know from the listing that there is
// none.
func TestRequests(t *testing.T) {
	t.Parallel()
	ctx, inner := context.Background(), objstore.NewInMemBucket()
	const blocks, marked = 300, 10
	var ids []ulid.ULID
	for n := range blocks {
		m := newRandom(uint64(n)).meta()
		m.Compaction.Sources = []ulid.ULID{m.ULID}
		testutil.Ok(t, inner.Upload(ctx, m.ULID.String()+"/meta.json", bytes.NewReader(theirs(t, m))))
		ids = append(ids, m.ULID)
	}
	for _, id := range ids[:marked] {
		_, err := block.PutMark(ctx, inner, block.Mark{Kind: block.DeletionMark, Block: id, Time: time.Now()})
		testutil.Ok(t, err)
	}
	bkt := blocktest.NewBucket(inner)
	cost := func(fetch func() int) int {
		bkt.Reset()
		testutil.Equals(t, blocks, fetch())
		return bkt.Stats().Requests
	}
	dir, theirDir := t.TempDir(), t.TempDir()
	ours := func() func() int {
		f, err := block.NewFetcher(bkt, dir, &block.FetcherOptions{Filters: []block.Filter{block.DeletionMarks(time.Hour)}})
		testutil.Ok(t, err)
		return func() int {
			v, err := f.Fetch(ctx)
			testutil.Ok(t, err)
			return len(v.Metas)
		}
	}
	thanos := func() func() int {
		logger, ib := log.NewNopLogger(), objstore.WithNoopInstr(bkt)
		f, err := thanosblock.NewMetaFetcher(logger, 4, ib, thanosblock.NewRecursiveLister(logger, ib), theirDir, nil,
			[]thanosblock.MetadataFilter{thanosblock.NewIgnoreDeletionMarkFilter(logger, ib, time.Hour, 4)})
		testutil.Ok(t, err)
		return func() int {
			metas, _, err := f.Fetch(ctx)
			testutil.Ok(t, err)
			return len(metas)
		}
	}
	us, them := ours(), thanos()
	testutil.Equals(t, 1+blocks+marked, cost(us))
	testutil.Equals(t, 1, cost(us))
	testutil.Equals(t, 1, cost(ours()))
	testutil.Equals(t, 1+2*blocks, cost(them))
	testutil.Equals(t, 1+blocks, cost(them))
	testutil.Equals(t, 1+blocks, cost(thanos()))
}
