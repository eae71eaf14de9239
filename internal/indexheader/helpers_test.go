package indexheader_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// id is the block of all tests.
var id = ulid.MustParse("01HZZZZZZZZZZZZZZZZZZZZZZZ")

// lsets returns the labels of n series.
func lsets(n int) []labels.Labels {
	out := make([]labels.Labels, 0, n)
	for i := range n {
		out = append(out, labels.FromStrings(
			"__name__", fmt.Sprintf("metric_%d", i%7),
			"instance", fmt.Sprintf("host-%05d", i),
			"half", []string{"one", "other"}[i%2],
			"ünïcode", fmt.Sprint(i%3),
		))
	}
	slices.SortFunc(out, labels.Compare)
	return out
}

// writeIndex writes an index of version 2 as Prometheus does.
func writeIndex(t testing.TB, lsets []labels.Labels) []byte {
	t.Helper()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "index")
	w, err := index.NewWriter(ctx, path)
	testutil.Ok(t, err)
	symbols := map[string]struct{}{"": {}}
	for _, l := range lsets {
		l.Range(func(l labels.Label) { symbols[l.Name], symbols[l.Value] = struct{}{}, struct{}{} })
	}
	sorted := make([]string, 0, len(symbols))
	for s := range symbols {
		sorted = append(sorted, s)
	}
	slices.Sort(sorted)
	for _, s := range sorted {
		testutil.Ok(t, w.AddSymbol(s))
	}
	for i, l := range lsets {
		ref := chunks.ChunkRef(8 + 100*i)
		testutil.Ok(t, w.AddSeries(storage.SeriesRef(i), l, chunks.Meta{Ref: ref, MinTime: 0, MaxTime: 10}))
	}
	testutil.Ok(t, w.Close())
	b, err := os.ReadFile(path)
	testutil.Ok(t, err)
	return b
}

// readV1 returns an index of version 1.
func readV1(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/index_format_v1/index")
	testutil.Ok(t, err)
	return b
}

// put puts an index into a bucket, and returns what meta.json says about it.
func put(t testing.TB, idx []byte) (*blocktest.Bucket, *block.Meta) {
	t.Helper()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	testutil.Ok(t, bkt.Upload(context.Background(), block.ObjectName(id, block.IndexFile), bytes.NewReader(idx)))
	bkt.Reset()
	meta := &block.Meta{ULID: id, Version: 1}
	meta.Thanos.Files = []block.File{{RelPath: block.IndexFile, SizeBytes: int64(len(idx))}}
	return bkt, meta
}

// noSize is a meta that does not say how large the index is.
func noSize(meta *block.Meta) *block.Meta {
	m := *meta
	m.Thanos.Files = nil
	return &m
}

// sliceBytes is an index.ByteSlice.
type sliceBytes []byte

func (b sliceBytes) Len() int                    { return len(b) }
func (b sliceBytes) Range(start, end int) []byte { return b[start:end] }
