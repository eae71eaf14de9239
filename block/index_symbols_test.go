package block_test

import (
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// TestSymbolIter: going through symbols finds what asking by place does, in both
// versions of the index.
func TestSymbolIter(t *testing.T) {
	t.Parallel()
	v2 := blocktest.Build(t, t.TempDir(), nil, blocktest.Random(3, nil)...)
	for _, dir := range []string{v2, blockV1} {
		r, err := block.Open(dir)
		testutil.Ok(t, err)
		it := r.Symbols().Iter()
		n := 0
		for ; it.Next(); n++ {
			testutil.Equals(t, string(r.Symbols().Bytes(uint32(n))), string(it.Bytes()))
		}
		testutil.Assert(t, n > 0)
		testutil.Equals(t, r.Symbols().Len(), n)
		testutil.Assert(t, !it.Next() && it.Bytes() == nil)
		testutil.Ok(t, r.Close())
	}
}

// TestWriterIndexSize: a Writer knows of nearly all of an index before it is
// written, and never says too much.
func TestWriterIndexSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src, err := block.Open(blocktest.Build(t, dir, nil, blocktest.Random(5, &blocktest.RandomOptions{Series: 300, Samples: 20})...))
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, src.Close()) }()
	w, err := block.NewWriter(filepath.Join(dir, "out"), (*blocktest.Options)(nil).Meta(), nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, w.Close()) }()
	for it := src.Symbols().Iter(); it.Next(); {
		testutil.Ok(t, w.AddSymbolBytes(it.Bytes()))
	}
	last := w.IndexSize()
	for it := src.Series(); it.Next(); {
		chunks, err := src.AppendChunks(nil, it.Chunks())
		testutil.Ok(t, err)
		testutil.Ok(t, w.AddRefs(it.LabelRefs(), chunks))
		size := w.IndexSize()
		testutil.Assert(t, size > last, "%d after %d", size, last)
		last = size
	}
	meta, err := w.Commit()
	testutil.Ok(t, err)
	f, ok := meta.File(block.IndexFile)
	testutil.Assert(t, ok)
	testutil.Assert(t, last <= f.SizeBytes && last > f.SizeBytes/2, "%d of %d bytes", last, f.SizeBytes)
	testutil.Equals(t, int64(0), w.IndexSize())
}
