package block_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

func ExampleVerify() {
	report, err := block.Verify(context.Background(), "testdata/index_format_v1/01DXXFZDYD1MQW6079WK0K6EDQ", nil)
	if err != nil {
		fmt.Println(err) // it could not be looked at
		return
	}
	fmt.Print(report)
	fmt.Println(report.Unreadable(), report.Err())
	// Output:
	// block 01DXXFZDYD1MQW6079WK0K6EDQ: index version 1, 102 series, 102 chunks, 102 samples
	// no problems
	// false <nil>
}

func ExampleVerifyBucket() {
	ctx := context.Background()
	bkt := objstore.NewInMemBucket()
	const id = "01DXXFZDYD1MQW6079WK0K6EDQ"
	for _, file := range []string{"meta.json", "index", "chunks/000001"} {
		b, _ := os.ReadFile("testdata/index_format_v1/" + id + "/" + file)
		if file == "chunks/000001" {
			b[20]++ // in the first chunk
		}
		_ = bkt.Upload(ctx, id+"/"+file, bytes.NewReader(b))
	}
	dir, _ := os.MkdirTemp("", "block")
	defer os.RemoveAll(dir)

	blockID, _ := block.ParseID(id)
	report, err := block.VerifyBucket(ctx, bkt, blockID, dir, nil)
	fmt.Println(report.Unreadable(), err)
	fmt.Println(report.Problems[0].Examples[0])
	// Output:
	// true <nil>
	// block 01DXXFZDYD1MQW6079WK0K6EDQ: chunks/000001 is corrupt: at 8: chunk of 12 bytes: checksum mismatch
}

func TestVerifyGoodBlocks(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(3, &blocktest.RandomOptions{Series: 40, Jitter: 900, Gaps: 0.1, Samples: 1000})
	for _, res := range []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour} {
		s := series
		if res != block.Raw {
			s = blocktest.Downsample(res, series...)
		}
		dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{Resolution: res, SegmentSize: 20_000}, s...)
		meta, err := block.ReadMeta(dir)
		testutil.Ok(t, err)
		for _, depth := range []block.VerifyDepth{block.VerifySamples, block.VerifyChecksums, block.VerifyIndex} {
			report, err := block.Verify(context.Background(), dir, &block.VerifyOptions{Depth: depth})
			testutil.Ok(t, err)
			testutil.Ok(t, report.Err())
			testutil.Assert(t, !report.Unreadable())
			testutil.Equals(t, meta.Thanos.IndexStats, report.IndexStats)
			testutil.Equals(t, meta.MinTime, report.MinTime)
			testutil.Equals(t, meta.MaxTime, report.MaxTime+1)
			if depth != block.VerifyIndex {
				testutil.Equals(t, meta.Stats, report.Stats)
			}
		}
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := block.Verify(ctx, blockV1, nil)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
}

// TestVerifyFindsAllSeriesProblems: one block in which all is wrong that series
// and chunks can be wrong in, and all of it is found in one go.
func TestVerifyFindsAllSeriesProblems(t *testing.T) {
	t.Parallel()
	m := func(v string) labels.Labels { return labels.FromStrings("m", v) }
	empty := chunk(100)
	empty.Data = []byte{0, 0}
	wrongTimes := chunk(100, 200)
	wrongTimes.MaxTime = 250
	dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{MaxTime: 1000, MinTime: 0, Unchecked: true},
		block.Series{Labels: m("a"), Chunks: []block.Chunk{chunk(150, 160), chunk(100, 110), chunk(105, 120), chunk(105, 120)}},
		block.Series{Labels: m("c"), Chunks: []block.Chunk{chunk(10)}},
		block.Series{Labels: m("b"), Chunks: nil},
		block.Series{Labels: m("b"), Chunks: []block.Chunk{chunk(-10, 10), chunk(1000, 1001), chunk(2000)}},
		block.Series{Labels: m("d"), Chunks: []block.Chunk{empty, wrongTimes}},
		block.Series{Labels: labels.EmptyLabels(), Chunks: []block.Chunk{chunk(1)}},
	)
	report, err := block.Verify(context.Background(), dir, &block.VerifyOptions{Examples: 1})
	testutil.Ok(t, err)
	got := map[block.ProblemKind]int{}
	for _, p := range report.Problems {
		got[p.Kind] = p.Count
		testutil.Equals(t, 1, len(p.Examples))
		var se *block.SeriesError
		testutil.Assert(t, errors.As(p.Examples[0], &se) && se.Kind == p.Kind, "%v", p)
	}
	testutil.Equals(t, map[block.ProblemKind]int{
		block.UnsortedChunks: 1, block.OverlappingChunks: 2, block.DuplicateChunks: 1,
		block.UnsortedSeries: 2, block.DuplicateSeries: 1, block.NoChunks: 1, block.InvalidLabels: 1,
		block.OutsideChunks: 1, block.BoundaryChunks: 1, block.CompletelyOutsideChunks: 1,
		block.EmptyChunk: 1, block.ChunkTimes: 1,
	}, got)
	testutil.Equals(t, block.UnsortedSeries, report.Problems[0].Kind) // readers fail at it: it is first
	testutil.Assert(t, strings.Contains(report.String(), "unsorted series: 2\n  series {m=\"b\"}: unsorted series: it follows {m=\"c\"}\n  and 1 more\n"), "%s", report)
	testutil.Assert(t, strings.HasPrefix(report.Err().Error(), "verify block "+report.Block.String()+": unsorted series: 2, "), "%v", report.Err())
}

func TestVerifyUnsortedLabels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := block.NewWriter(dir, &block.Meta{ULID: newID(1)}, &block.WriterOptions{Unchecked: true})
	testutil.Ok(t, err)
	testutil.Ok(t, errors.Join(w.AddSymbol("a"), w.AddSymbol("b")))
	testutil.Ok(t, w.AddRefs([]block.LabelRef{{Name: 1, Value: 0}, {Name: 0, Value: 1}}, []block.Chunk{chunk(1)}))
	m, err := w.Commit()
	testutil.Ok(t, err)
	built := filepath.Join(dir, m.ULID.String())
	report, err := block.Verify(context.Background(), built, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 1, report.Count(block.UnsortedLabels))
	testutil.Assert(t, !report.Unreadable())

	r, err := block.Open(built)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	it := r.Series()
	testutil.Assert(t, it.Next())
	sb := labels.NewScratchBuilder(0)
	testutil.Equals(t, `{a="b", b="a"}`, it.Labels(&sb).String()) // what is read is sorted
}

// TestVerifyGoesOn: damage in one place does not hide what is in others.
func TestVerifyGoesOn(t *testing.T) {
	t.Parallel()
	dir := blocktest.Build(t, t.TempDir(), nil, blocktest.Random(2, &blocktest.RandomOptions{Series: 30})...)
	var refs []block.ChunkRef
	var series []uint64
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	for it := r.Series(); it.Next(); {
		series = append(series, it.Offset())
		refs = append(refs, it.Chunks()[0].Ref)
	}
	testutil.Ok(t, r.Close())
	patch(t, dir, "index", func(b []byte) []byte {
		b[series[3]+5]++
		b[series[9]+5]++
		return b
	})
	patch(t, dir, "chunks/000001", func(b []byte) []byte {
		for _, i := range []int{0, 7, 20, 29} {
			b[refs[i].Offset()+10]++
		}
		return b
	})
	report, err := block.Verify(context.Background(), dir, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, uint64(28), report.Stats.NumSeries)
	testutil.Equals(t, 2, report.Count(block.CorruptIndex))
	testutil.Equals(t, 4, report.Count(block.CorruptChunk))
	testutil.Assert(t, errors.Is(report.Err(), block.ErrCorrupt), "%v", report.Err())

	// Without a look at the chunks, theirs is not found.
	report, err = block.Verify(context.Background(), dir, &block.VerifyOptions{Depth: block.VerifyIndex})
	testutil.Ok(t, err)
	testutil.Equals(t, 0, report.Count(block.CorruptChunk))
}

// TestVerifyPostings: lists with a good checksum that are not those of the
// series.
func TestVerifyPostings(t *testing.T) {
	t.Parallel()
	good := smallBlock(t)
	l := layout(t, good)
	list := func(b []byte, i int) uint64 { // where the i-th list is
		at := (l.Postings + 3) / 4 * 4
		for ; i > 0; i-- {
			at = (at + 8 + uint64(binary.BigEndian.Uint32(b[at:])) + 3) / 4 * 4
		}
		return at
	}
	for name, tc := range map[string]struct {
		patch func(b []byte)
		text  string
	}{
		"checksum":       {func(b []byte) { b[list(b, 1)+8]++ }, `postings of "__name__"="a": checksum mismatch`},
		"another series": {func(b []byte) { at := list(b, 1); b[at+11]++; sign(b, at) }, `postings of label "__name__" are not those of its series: 2 and 2`},
		"one missing": {func(b []byte) {
			at := list(b, 0)
			binary.BigEndian.PutUint32(b[at+4:], 1)
			sign(b, at)
		}, "wrong number of series"},
		"all of all wrong": {func(b []byte) { at := list(b, 0); b[at+11]++; sign(b, at) }, "postings of all series have 2 series, there are 2"},
		"unsorted list": {func(b []byte) {
			at := list(b, 0)
			copy(b[at+8:], append(bytes.Clone(b[at+12:at+16]), b[at+8:at+12]...))
			sign(b, at)
		}, `postings of ""="" do not ascend`},
		"table checksum": {func(b []byte) { b[l.PostingsTable+9]++ }, "table of postings: checksum mismatch"},
		"table of three": {func(b []byte) { b[l.PostingsTable+8] = 3; sign(b, l.PostingsTable) }, "entry of 3 strings"},
	} {
		dir := filepath.Join(t.TempDir(), filepath.Base(good))
		testutil.Ok(t, os.CopyFS(dir, os.DirFS(good)))
		patch(t, dir, "index", func(b []byte) []byte { tc.patch(b); return b })
		report, err := block.Verify(context.Background(), dir, nil)
		testutil.Ok(t, err)
		testutil.Assert(t, report.Count(block.CorruptPostings) > 0 && report.Unreadable(), "%s: %s", name, report)
		testutil.Assert(t, strings.Contains(report.String(), tc.text), "%s: %s", name, report)
	}
}

func TestVerifyMeta(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(m *block.Meta)
		kind   block.ProblemKind
		text   string
	}{
		"series":        {func(m *block.Meta) { m.Stats.NumSeries++ }, block.WrongStats, "numSeries is 2, not 3"},
		"chunks":        {func(m *block.Meta) { m.Stats.NumChunks++ }, block.WrongStats, "numChunks is 4, not 5"},
		"samples":       {func(m *block.Meta) { m.Stats.NumSamples++ }, block.WrongStats, "numSamples is 8, not 9"},
		"floats":        {func(m *block.Meta) { m.Stats.NumFloatSamples++ }, block.WrongStats, "numFloatSamples is 8, not 9"},
		"histograms":    {func(m *block.Meta) { m.Stats.NumHistogramSamples++ }, block.WrongStats, "numHistogramSamples is 0, not 1"},
		"series size":   {func(m *block.Meta) { m.Thanos.IndexStats.SeriesMaxSize-- }, block.WrongStats, "series_max_size is"},
		"larger size":   {func(m *block.Meta) { m.Thanos.IndexStats.SeriesMaxSize++ }, "", ""},
		"not counted":   {func(m *block.Meta) { m.Stats = block.Stats{} }, "", ""},
		"size of index": {func(m *block.Meta) { m.Thanos.Files[1].SizeBytes++ }, block.WrongFiles, "index has"},
		"hash":          {func(m *block.Meta) { m.Thanos.Files[1].Hash = &block.Hash{Func: block.HashSHA256, Value: "00"} }, block.WrongFiles, "index has the SHA256"},
		"another hash":  {func(m *block.Meta) { m.Thanos.Files[1].Hash = &block.Hash{Func: "MD5", Value: "00"} }, "", ""},
		"another file":  {func(m *block.Meta) { m.Thanos.Files[1].RelPath = "what" }, block.MissingFile, "what: not found"},
		"segment":       {func(m *block.Meta) { m.Thanos.SegmentFiles = append(m.Thanos.SegmentFiles, "000002") }, block.MissingFile, "chunks/000002 is corrupt: missing"},
		"range":         {func(m *block.Meta) { m.MaxTime = 3 }, block.BoundaryChunks, "[3, 4] in a block of [1, 3)"},
		"version":       {func(m *block.Meta) { m.Version = 2 }, block.Unsupported, "version 2 not supported"},
	} {
		dir := smallBlock(t)
		m, err := block.ReadMeta(dir)
		testutil.Ok(t, err)
		tc.change(m)
		testutil.Ok(t, block.WriteMeta(dir, m))
		report, err := block.Verify(context.Background(), dir, nil)
		testutil.Ok(t, err)
		if tc.kind == "" {
			testutil.Ok(t, report.Err())
			continue
		}
		testutil.Assert(t, report.Count(tc.kind) > 0, "%s: %s", name, report)
		testutil.Assert(t, strings.Contains(report.String(), tc.text), "%s: %s", name, report)
	}
	dir := smallBlock(t)
	patch(t, dir, "meta.json", func(b []byte) []byte { return []byte("{") })
	report, err := block.Verify(context.Background(), dir, nil)
	testutil.Ok(t, err)
	testutil.Assert(t, report.Count(block.CorruptMeta) == 1 && report.Stats.NumSeries == 2, "%s", report)
}

// TestVerifyChunks: chunks with a good checksum that are none.
func TestVerifyChunks(t *testing.T) {
	t.Parallel()
	aggregates := blocktest.Downsample(block.FiveMinutes, blocktest.Floats(labels.FromStrings("a", "b"), 0, 100_000, 1, 2, 3, 4))[0].Chunks[0]
	for name, tc := range map[string]struct {
		encoding chunkenc.Encoding
		data     []byte
		kind     block.ProblemKind
	}{
		"too short":          {chunkenc.EncXOR, []byte{0}, block.CorruptChunk},
		"fewer samples":      {chunkenc.EncXOR, append([]byte{0, 9}, chunk(1, 2).Data[2:]...), block.CorruptChunk},
		"no histogram":       {chunkenc.EncHistogram, []byte{0, 1}, block.CorruptChunk},
		"empty histogram":    {chunkenc.EncHistogram, []byte{0, 1, 0}, block.CorruptChunk},
		"too many buckets":   {chunkenc.EncFloatHistogram, []byte("\xc0hc\x11_\xf9\x15\xb0;\xa8?\x84\xbf\xff\xac\xe0"), block.CorruptChunk},
		"cut aggregates":     {block.EncodingAggregates, aggregates.Data[:len(aggregates.Data)-1], block.CorruptChunk},
		"no aggregates":      {block.EncodingAggregates, []byte{0, 0, 0, 0, 0}, block.EmptyChunk},
		"unknown":            {7, []byte{1, 2, 3}, block.Unsupported},
		"unknown aggregates": {block.EncodingAggregates, []byte{3, 7, 0, 1, 2, 0, 0, 0, 0}, block.Unsupported},
		"other times":        {block.EncodingAggregates, aggregates.Data, block.ChunkTimes},
	} {
		dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{Unchecked: true},
			block.Series{Labels: labels.FromStrings("a", "b"), Chunks: []block.Chunk{{MinTime: 1, MaxTime: 2, Encoding: tc.encoding, Data: tc.data}}})
		report, err := block.Verify(context.Background(), dir, nil)
		testutil.Ok(t, err)
		testutil.Assert(t, report.Count(tc.kind) == 1, "%s: %s", name, report)
	}
}

// TestVerifyBucketReports: what keeps a block from being downloaded is a problem
// of the block too.
func TestVerifyBucketReports(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, tc := range map[string]struct {
		change func(bkt *objstore.InMemBucket, id string) error
		kind   block.ProblemKind
	}{
		"nothing": {func(*objstore.InMemBucket, string) error { return nil }, ""},
		"index is gone": {func(bkt *objstore.InMemBucket, id string) error {
			return bkt.Delete(ctx, id+"/index")
		}, block.MissingFile},
		"segment is cut": {func(bkt *objstore.InMemBucket, id string) error {
			return bkt.Upload(ctx, id+"/chunks/000001", strings.NewReader("\x85\xbd\x40\xdd\x01\x00\x00\x00"))
		}, block.CorruptChunk},
		"index is another": {func(bkt *objstore.InMemBucket, id string) error {
			return bkt.Upload(ctx, id+"/index", strings.NewReader("no index"))
		}, block.CorruptIndex},
		"no JSON": {func(bkt *objstore.InMemBucket, id string) error {
			return bkt.Upload(ctx, id+"/meta.json", strings.NewReader("{"))
		}, block.CorruptMeta},
	} {
		bkt := objstore.NewInMemBucket()
		m, err := block.Upload(ctx, bkt, smallBlock(t), nil)
		testutil.Ok(t, err)
		testutil.Ok(t, tc.change(bkt, m.ULID.String()))
		dir := t.TempDir()
		report, err := block.VerifyBucket(ctx, bkt, m.ULID, dir, nil)
		testutil.Ok(t, err)
		isEmpty(t, dir)
		if tc.kind == "" {
			testutil.Ok(t, report.Err())
			continue
		}
		testutil.Assert(t, report.Count(tc.kind) == 1 && report.Unreadable() && report.Block == m.ULID, "%s: %s", name, report)
	}
	_, err := block.VerifyBucket(ctx, objstore.NewInMemBucket(), newID(1), t.TempDir(), nil)
	testutil.Assert(t, errors.Is(err, block.ErrNotFound), "%v", err)
}
