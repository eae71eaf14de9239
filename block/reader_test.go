package block_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

const blockV1 = "testdata/index_format_v1/01DXXFZDYD1MQW6079WK0K6EDQ"

func ExampleOpen() {
	r, err := block.Open("testdata/index_format_v1/01DXXFZDYD1MQW6079WK0K6EDQ")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	fmt.Println(r.Meta(), "index version", r.IndexVersion())
	fmt.Println(r.Symbols().Len(), "symbols, the first is", r.Symbols().String(0))

	n := 0
	for it := r.Series(); it.Next(); n++ {
		if n > 0 {
			continue
		}
		for _, m := range it.Chunks() {
			c, err := r.Chunk(m) // as bytes, not decoded
			fmt.Println(len(it.LabelRefs()), "label", m.Ref, c.Encoding, len(c.Data), err)
		}
	}
	fmt.Println(n, "series")
	// Output:
	// 01DXXFZDYD1MQW6079WK0K6EDQ [0, 7200000) raw level 1 index version 1
	// 104 symbols, the first is 0
	// 1 label segment 0 at 8 XOR 12 <nil>
	// 102 series
}

func ExampleReader_All() {
	r, err := block.Open("testdata/index_format_v1/01DXXFZDYD1MQW6079WK0K6EDQ")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for s, err := range r.All(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.Labels, len(s.Chunks), "chunk")
		break
	}
	// Output: {bar="0"} 1 chunk
}

// asTSDB reads a block with Prometheus' own reader.
func asTSDB(t testing.TB, dir string) (out []string) {
	t.Helper()
	b, err := tsdb.OpenBlock(nil, dir, nil, nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, b.Close()) }()
	q, err := tsdb.NewBlockChunkQuerier(b, math.MinInt64, math.MaxInt64)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, q.Close()) }()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "nowhere", ""))
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() {
			m := it.At()
			out = append(out, fmt.Sprintf("%s [%d, %d] %d %x", set.At().Labels(), m.MinTime, m.MaxTime, m.Chunk.Encoding(), m.Chunk.Bytes()))
		}
		testutil.Ok(t, it.Err())
	}
	testutil.Ok(t, set.Err())
	return out
}

// asOurs reads a block with our reader.
func asOurs(t testing.TB, dir string) (out []string) {
	t.Helper()
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	for s, err := range r.All(context.Background()) {
		testutil.Ok(t, err)
		for _, c := range s.Chunks {
			out = append(out, fmt.Sprintf("%s [%d, %d] %d %x", s.Labels, c.MinTime, c.MaxTime, c.Encoding, c.Data))
		}
	}
	return out
}

// TestReadsWhatTSDBWrites: a block that a head of Prometheus was flushed to.
func TestReadsWhatTSDBWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 2*3600*1000)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, w.Close()) }()
	ctx := context.Background()
	for _, s := range blocktest.Random(11, &blocktest.RandomOptions{Series: 30, Samples: 200}) {
		app := w.Appender(ctx)
		samples, err := blocktest.Samples(s.Chunks...)
		testutil.Ok(t, err)
		var ref storage.SeriesRef
		for _, x := range samples {
			if x.Type() == chunkenc.ValFloat {
				ref, err = app.Append(ref, s.Labels, x.T, x.F)
			} else {
				ref, err = app.AppendHistogram(ref, s.Labels, x.T, x.H, x.FH)
			}
			testutil.Ok(t, err)
		}
		testutil.Ok(t, app.Commit())
	}
	id, err := w.Flush(ctx)
	testutil.Ok(t, err)
	built := filepath.Join(dir, id.String())
	want, got := asTSDB(t, built), asOurs(t, built)
	testutil.Assert(t, len(want) > 60, "only %d chunks", len(want))
	testutil.Equals(t, want, got)
	report, err := block.Verify(ctx, built, nil)
	testutil.Ok(t, err)
	testutil.Ok(t, report.Err())
}

func TestReadsIndexV1(t *testing.T) {
	t.Parallel()
	testutil.Equals(t, asTSDB(t, blockV1), asOurs(t, blockV1))
	report, err := block.Verify(context.Background(), blockV1, nil)
	testutil.Ok(t, err)
	testutil.Ok(t, report.Err())
	testutil.Equals(t, 1, report.IndexVersion)
}

// TestGoldenBlocks: blocks that the real Thanos compacted and downsampled are
// what they say, index_stats too.
func TestGoldenBlocks(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob("blocktest/testdata/golden/*/meta.json")
	testutil.Ok(t, err)
	testutil.Assert(t, len(found) > 0, "no golden blocks")
	resolutions := map[block.Resolution]int{}
	for _, meta := range found {
		dir := filepath.Dir(meta)
		m, err := block.ReadMeta(dir)
		testutil.Ok(t, err)
		resolutions[m.Resolution()]++
		report, err := block.Verify(context.Background(), dir, nil)
		testutil.Ok(t, err)
		testutil.Ok(t, report.Err())
		if m.Thanos.IndexStats != (block.IndexStats{}) {
			testutil.Equals(t, m.Thanos.IndexStats, report.IndexStats)
		}
	}
	testutil.Assert(t, resolutions[block.FiveMinutes] > 0 && resolutions[block.OneHour] > 0, "%v", resolutions)
}

// TestCopy: symbols, references and records are enough to write a block again,
// byte for byte.
func TestCopy(t *testing.T) {
	t.Parallel()
	dir := blocktest.Build(t, t.TempDir(), nil, blocktest.Random(5, nil)...)
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	copied := copyBlock(t, r, t.TempDir(), nil)
	for _, f := range []string{"index", "chunks/000001", "meta.json"} {
		a, err := os.ReadFile(filepath.Join(dir, f))
		testutil.Ok(t, err)
		b, err := os.ReadFile(filepath.Join(copied, f))
		testutil.Ok(t, err)
		testutil.Assert(t, bytes.Equal(a, b), "%s differs:\n%.300q\n%.300q", f, a, b)
	}
}

func copyBlock(t testing.TB, r *block.Reader, dir string, opts *block.WriterOptions) string {
	t.Helper()
	w, err := block.NewWriter(dir, r.Meta(), opts)
	testutil.Ok(t, err)
	for i := range uint32(r.Symbols().Len()) {
		testutil.Ok(t, w.AddSymbolBytes(r.Symbols().Bytes(i)))
	}
	var chunks []block.Chunk
	it := r.Series()
	for it.Next() {
		chunks, err = r.AppendChunks(chunks[:0], it.Chunks())
		testutil.Ok(t, err)
		testutil.Ok(t, w.AddRefs(it.LabelRefs(), chunks))
	}
	testutil.Ok(t, it.Err())
	m, err := w.Commit()
	testutil.Ok(t, err)
	return filepath.Join(dir, m.ULID.String())
}

// TestIterationAllocatesNothing: not per series, not per chunk.
func TestIterationAllocatesNothing(t *testing.T) {
	dir := blocktest.Build(t, t.TempDir(), nil, blocktest.Random(5, &blocktest.RandomOptions{Series: 300, Samples: 150})...)
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	var chunks []block.Chunk
	allocs := testing.AllocsPerRun(5, func() {
		it := r.Series()
		for it.Next() {
			if chunks, err = r.AppendChunks(chunks[:0], it.Chunks()); err != nil {
				t.Error(err)
			}
		}
	})
	testutil.Assert(t, allocs < 20, "%v allocations for 300 series", allocs)
}

// TestWritingAllocatesNothing: not per series either, by references.
func TestWritingAllocatesNothing(t *testing.T) {
	allocs := func(n int) float64 {
		dir := blocktest.Build(t, t.TempDir(), nil, blocktest.Random(5, &blocktest.RandomOptions{Series: n, Samples: 10})...)
		r, err := block.Open(dir)
		testutil.Ok(t, err)
		defer func() { testutil.Ok(t, r.Close()) }()
		return testing.AllocsPerRun(3, func() { copyBlock(t, r, t.TempDir(), nil) })
	}
	few, many := allocs(100), allocs(1100)
	testutil.Assert(t, many-few < 200, "%v allocations for 100 series, %v for 1100", few, many)
}

func TestSymbols(t *testing.T) {
	t.Parallel()
	long := string(bytes.Repeat([]byte("x"), 300))
	dir := blocktest.Build(t, t.TempDir(), nil, blocktest.Floats(labels.FromStrings("a", long, "b", "é"), 0, 1, 1))
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	s := r.Symbols()
	testutil.Equals(t, 4, s.Len())
	for i, want := range []string{"a", "b", long, "é"} {
		testutil.Equals(t, want, s.String(uint32(i)))
		testutil.Equals(t, want, string(s.Bytes(uint32(i))))
		place, ok := s.Find(want)
		testutil.Assert(t, ok && place == uint32(i), "%d %v", place, ok)
	}
	_, ok := s.Find("c")
	testutil.Assert(t, !ok)
	testutil.Assert(t, r.Size() > 0)
	testutil.Ok(t, r.Close())
	testutil.Ok(t, r.Close())
	testutil.Assert(t, !r.Series().Next(), "a closed reader has series")
	testutil.Equals(t, "é", s.String(3)) // strings stay
}

func TestAllEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r, err := block.Open(blockV1)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n := 0
	for _, err := range r.All(ctx) {
		testutil.Equals(t, context.Canceled, err)
		n++
	}
	testutil.Equals(t, 1, n)
}
