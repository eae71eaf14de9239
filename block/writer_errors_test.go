package block_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

func ExampleWriter() {
	dir, _ := os.MkdirTemp("", "block")
	defer os.RemoveAll(dir)

	meta := &block.Meta{ULID: newID(1), Thanos: block.Thanos{Labels: map[string]string{"cluster": "eu"}, Source: block.SourceTest}}
	w, err := block.NewWriter(dir, meta, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	for _, s := range []string{"__name__", "a", "b", "job", "up"} { // ascending
		if err := w.AddSymbol(s); err != nil {
			fmt.Println(err)
		}
	}
	var e block.ChunkEncoder
	for _, job := range []string{"a", "b"} { // ascending too
		for t := range int64(5) {
			if err := e.Float(1000*t, 1); err != nil {
				fmt.Println(err)
			}
		}
		if err := w.Add(labels.FromStrings("__name__", "up", "job", job), e.Chunks()); err != nil {
			fmt.Println(err)
		}
	}
	meta, err = w.Commit()
	fmt.Println(meta, err)
	fmt.Println(meta.Stats.NumSeries, "series,", meta.Stats.NumFloatSamples, "samples,", meta.Thanos.SegmentFiles)
	// Output:
	// 01EMS4F6G00000000000000001 [0, 4001) raw level 1 <nil>
	// 2 series, 10 samples, [000001]
}

func ExampleWriteBlock() {
	dir, _ := os.MkdirTemp("", "block")
	defer os.RemoveAll(dir)

	var e block.ChunkEncoder
	if err := e.Float(1000, 1); err != nil {
		fmt.Println(err)
	}
	series := []block.Series{{Labels: labels.FromStrings("__name__", "up"), Chunks: e.Chunks()}}
	meta, err := block.WriteBlock(dir, &block.Meta{ULID: newID(1)}, series, nil)
	fmt.Println(meta, err)
	// Output: 01EMS4F6G00000000000000001 [1000, 1001) raw level 1 <nil>
}

func ExampleChunkEncoder() {
	e := block.ChunkEncoder{PerChunk: 2}
	for t := range int64(3) {
		if err := e.Float(t, float64(t)); err != nil {
			fmt.Println(err)
		}
	}
	for _, c := range e.Chunks() {
		n, err := c.NumSamples()
		fmt.Println(c.MinTime, c.MaxTime, c.Encoding, n, err)
	}
	// Output:
	// 0 1 XOR 2 <nil>
	// 2 2 XOR 1 <nil>
}

// chunk returns a chunk of one or two floats.
func chunk(t ...int64) block.Chunk {
	var e block.ChunkEncoder
	for _, t := range t {
		if err := e.Float(t, 1); err != nil {
			panic(err)
		}
	}
	return e.Chunks()[0]
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	m := func(v string) labels.Labels { return labels.FromStrings("m", v) }
	good := []block.Chunk{chunk(100, 200)}
	empty := chunk(100)
	empty.Data = []byte{0, 0}
	reversed := good[0]
	reversed.MinTime, reversed.MaxTime = 200, 100
	for name, tc := range map[string]struct {
		lset   labels.Labels
		chunks []block.Chunk
		want   block.ProblemKind
		text   string
	}{
		"series less":           {m("a"), good, block.UnsortedSeries, `it follows {m="b"}`},
		"series again":          {m("b"), good, block.DuplicateSeries, ""},
		"no labels":             {labels.EmptyLabels(), good, block.InvalidLabels, ""},
		"no chunks":             {m("c"), nil, block.NoChunks, ""},
		"no samples":            {m("c"), []block.Chunk{empty}, block.EmptyChunk, ""},
		"reversed":              {m("c"), []block.Chunk{reversed}, block.ChunkTimes, "[200, 100]"},
		"chunk before":          {m("c"), []block.Chunk{chunk(150), chunk(100)}, block.UnsortedChunks, "[100, 100] follows [150, 150]"},
		"chunk again":           {m("c"), []block.Chunk{good[0], good[0]}, block.DuplicateChunks, ""},
		"chunk overlaps":        {m("c"), []block.Chunk{good[0], chunk(200, 300)}, block.OverlappingChunks, "[200, 300] follows [100, 200]"},
		"before the block":      {m("c"), []block.Chunk{chunk(-5, -1)}, block.CompletelyOutsideChunks, "in a block of [0, 1000)"},
		"after the block":       {m("c"), []block.Chunk{chunk(1001)}, block.CompletelyOutsideChunks, ""},
		"partly in the block":   {m("c"), []block.Chunk{chunk(900, 1001)}, block.OutsideChunks, ""},
		"at the block's end":    {m("c"), []block.Chunk{chunk(1000, 1001)}, block.BoundaryChunks, ""},
		"last sample on border": {m("c"), []block.Chunk{chunk(900, 1000)}, "", ""}, // as Thanos lets pass
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w, err := block.NewWriter(dir, &block.Meta{ULID: newID(1), MaxTime: 1000}, nil)
			testutil.Ok(t, err)
			defer func() { testutil.Ok(t, w.Close()) }()
			for _, s := range []string{"a", "b", "c", "d", "m"} {
				testutil.Ok(t, w.AddSymbol(s))
			}
			testutil.Ok(t, w.Add(m("b"), good))
			err = w.Add(tc.lset, tc.chunks)
			if tc.want == "" {
				testutil.Ok(t, err)
				return
			}
			var se *block.SeriesError
			testutil.Assert(t, errors.As(err, &se), "%v", err)
			testutil.Equals(t, tc.want, se.Kind)
			testutil.Equals(t, tc.lset.String(), se.Labels.String())
			testutil.Assert(t, strings.Contains(err.Error(), tc.text), "%v", err)

			// It goes on without the series.
			testutil.Ok(t, w.Add(m("d"), good))
			meta, err := w.Commit()
			testutil.Ok(t, err)
			testutil.Equals(t, block.Stats{NumSeries: 2, NumChunks: 2, NumSamples: 4, NumFloatSamples: 4}, meta.Stats)
			mustVerify(t, filepath.Join(dir, meta.ULID.String()))
		})
	}
}

func TestWriterRefusesRefs(t *testing.T) {
	t.Parallel()
	good := []block.Chunk{chunk(100, 200)}
	for name, tc := range map[string]struct {
		refs []block.LabelRef
		want block.ProblemKind
	}{
		"names do not ascend": {[]block.LabelRef{{Name: 2, Value: 1}, {Name: 1, Value: 1}}, block.UnsortedLabels},
		"a name comes twice":  {[]block.LabelRef{{Name: 1, Value: 1}, {Name: 1, Value: 2}}, block.InvalidLabels},
		"empty name":          {[]block.LabelRef{{Name: 0, Value: 1}}, block.InvalidLabels},
		"empty value":         {[]block.LabelRef{{Name: 1, Value: 0}}, block.InvalidLabels},
		"no such symbol":      {[]block.LabelRef{{Name: 1, Value: 3}}, ""},
	} {
		w, err := block.NewWriter(t.TempDir(), &block.Meta{ULID: newID(1)}, nil)
		testutil.Ok(t, err)
		for _, s := range []string{"", "a", "b"} {
			testutil.Ok(t, w.AddSymbol(s))
		}
		err = w.AddRefs(tc.refs, good)
		var se *block.SeriesError
		if tc.want == "" {
			testutil.Assert(t, err != nil && !errors.As(err, &se), "%s: %v", name, err)
		} else {
			testutil.Assert(t, errors.As(err, &se) && se.Kind == tc.want, "%s: %v", name, err)
		}
		testutil.Ok(t, w.Close())
	}
}

// TestWriterMisuse: what a program does wrong ends the Writer, and no block is
// there.
func TestWriterMisuse(t *testing.T) {
	t.Parallel()
	good := []block.Chunk{chunk(100, 200)}
	lset := labels.FromStrings("a", "b")
	begin := func(w *block.Writer) error { return errors.Join(w.AddSymbol("a"), w.AddSymbol("b")) }
	for name, tc := range map[string]struct {
		do   func(w *block.Writer) error
		text string
		is   error
	}{
		"symbols do not ascend": {func(w *block.Writer) error { return errors.Join(w.AddSymbol("b"), w.AddSymbol("a")) }, `"a" follows "b"`, nil},
		"symbol twice":          {func(w *block.Writer) error { return errors.Join(w.AddSymbol("a"), w.AddSymbol("a")) }, `"a" follows "a"`, nil},
		"symbol after series": {func(w *block.Writer) error {
			return errors.Join(begin(w), w.Add(lset, good), w.AddSymbol("c"))
		}, "series were added before", nil},
		"no symbol": {func(w *block.Writer) error {
			return errors.Join(begin(w), w.Add(labels.FromStrings("a", "c"), good))
		}, `"c" is not among the symbols`, nil},
		"no series": {begin, "block has no series", block.ErrEmpty},
		"record of another chunk": {func(w *block.Writer) error {
			c := good[0]
			c.Record = []byte{1, 2, 3, 4, 5, 6, 7}
			return errors.Join(begin(w), w.Add(lset, []block.Chunk{c}))
		}, "record is not that of the chunk", nil},
		"unknown encoding": {func(w *block.Writer) error {
			c := good[0]
			c.Encoding = chunkenc.Encoding(9)
			return errors.Join(begin(w), w.Add(lset, []block.Chunk{c}))
		}, "chunk encoding 9", block.ErrUnsupported},
		"more than a range can hold": {func(w *block.Writer) error {
			return errors.Join(begin(w), w.Add(lset, []block.Chunk{chunk(math.MaxInt64)}))
		}, "minTime", block.ErrCorrupt},
		"after Close": {func(w *block.Writer) error { return errors.Join(w.Close(), w.AddSymbol("a")) }, "writer is closed", nil},
	} {
		dir := t.TempDir()
		w, err := block.NewWriter(dir, &block.Meta{ULID: newID(1)}, nil)
		testutil.Ok(t, err)
		err = tc.do(w)
		_, commitErr := w.Commit()
		err = errors.Join(err, commitErr)
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.text), "%s: %v", name, err)
		testutil.Assert(t, tc.is == nil || errors.Is(err, tc.is), "%s: %v", name, err)
		testutil.Assert(t, commitErr != nil, "%s: there is a block", name)
		testutil.Ok(t, w.Close())
		isEmpty(t, dir)
	}
	// It stays ended, whatever comes next.
	w, err := block.NewWriter(t.TempDir(), &block.Meta{ULID: newID(1)}, nil)
	testutil.Ok(t, errors.Join(err, begin(w)))
	bad := w.Add(lset, []block.Chunk{{MinTime: 1, MaxTime: 2, Encoding: 9, Data: []byte{0, 1, 2}}})
	testutil.Assert(t, errors.Is(bad, block.ErrUnsupported), "%v", bad)
	testutil.Equals(t, bad, w.Add(lset, good))
	testutil.Ok(t, w.Close())
	for name, meta := range map[string]*block.Meta{
		"no ULID":        {},
		"reversed range": {ULID: newID(1), MinTime: 2, MaxTime: 1},
	} {
		_, err := block.NewWriter(t.TempDir(), meta, nil)
		testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%s: %v", name, err)
	}
	for _, size := range []int64{-1, 1 << 32} {
		_, err := block.NewWriter(t.TempDir(), &block.Meta{ULID: newID(1)}, &block.WriterOptions{SegmentSize: size})
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), "SegmentSize"), "%v", err)
	}
}

func isEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	testutil.Ok(t, err)
	testutil.Assert(t, len(entries) == 0, "left: %v", entries)
}

// TestWriterCopiesMeta: what the caller does with its Meta is not the block's.
func TestWriterCopiesMeta(t *testing.T) {
	t.Parallel()
	given := &block.Meta{ULID: newID(3), Compaction: block.Compaction{Level: 2, Parents: []block.Parent{{ULID: newID(1)}, {ULID: newID(2)}}}}
	got, err := block.WriteBlock(t.TempDir(), given, []block.Series{{Labels: labels.FromStrings("a", "b"), Chunks: []block.Chunk{chunk(1)}}}, nil)
	testutil.Ok(t, err)
	given.Compaction.Parents[0].ULID = newID(9)
	testutil.Equals(t, newID(1), got.Compaction.Parents[0].ULID)
}

// TestChunksCountNoFurther: a chunk counts its samples in two bytes.
func TestChunksCountNoFurther(t *testing.T) {
	t.Parallel()
	e := block.ChunkEncoder{PerChunk: 1 << 20}
	for i := range int64(1<<16 + 1) {
		testutil.Ok(t, e.Float(i, 0))
	}
	total := 0
	for _, c := range e.Chunks() {
		n, err := c.NumSamples()
		testutil.Ok(t, err)
		total += n
	}
	testutil.Equals(t, 1<<16+1, total)
}

func TestWriterKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	built := blocktest.Build(t, dir, &blocktest.Options{ULID: newID(1)}, blocktest.Random(1, nil)...)
	_, err := block.NewWriter(dir, &block.Meta{ULID: newID(1)}, nil)
	testutil.Assert(t, errors.Is(err, fs.ErrExist), "%v", err)
	mustVerify(t, built)
}

// TestPostingsInBatches: however many postings are sorted at once, the index is
// the same.
func TestPostingsInBatches(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(4, &blocktest.RandomOptions{Series: 150, Samples: 2})
	var want string
	for _, batch := range []int{0, 1, 151, 290, 301} {
		dir := t.TempDir()
		m, err := block.WriteBlock(dir, &block.Meta{ULID: newID(1)}, series, block.WriterOptions{}.WithPostingsBatch(batch))
		testutil.Ok(t, err)
		b, err := os.ReadFile(filepath.Join(dir, m.ULID.String(), "index"))
		testutil.Ok(t, err)
		if want == "" {
			want = string(b)
		}
		testutil.Assert(t, want == string(b), "batches of %d make another index", batch)
	}
}

// writeWith writes a block of two segments, asking step before each operation.
func writeWith(dir string, step func(op, file string) error) error {
	series := blocktest.Random(6, &blocktest.RandomOptions{Series: 4, Samples: 150})
	opts := block.WriterOptions{SegmentSize: 2000}.WithSteps(step)
	_, err := block.WriteBlock(dir, &block.Meta{ULID: newID(1)}, series, opts)
	return err
}

// TestFullDisk: whichever operation fails, nothing is left.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		dir := t.TempDir()
		at := 0
		err := writeWith(dir, func(op, file string) error {
			if at++; at == n+1 && op != "remove" {
				return syscall.ENOSPC
			}
			return nil
		})
		if n >= at {
			testutil.Ok(t, err)
			testutil.Assert(t, at > 20, "only %d operations", at)
			t.Logf("%d operations", at)
			return
		}
		if err == nil {
			continue // it was a removal
		}
		testutil.Assert(t, errors.Is(err, syscall.ENOSPC), "operation %d: %v", n, err)
		isEmpty(t, dir)
	}
}

// TestWriterCrash: from some operation on nothing happens any more. There is no block,
// or a whole one; and who comes next writes it.
func TestWriterCrash(t *testing.T) {
	t.Parallel()
	dead := errors.New("dead")
	whole := 0
	for n := 0; ; n++ {
		dir := t.TempDir()
		at := 0
		err := writeWith(dir, func(string, string) error {
			if at++; at > n {
				return dead
			}
			return nil
		})
		if n >= at {
			testutil.Ok(t, err)
			t.Logf("%d cut points, at %d of them the block was there", n, whole)
			testutil.Assert(t, n > 20 && whole > 0 && whole < 3, "%d of %d", whole, n)
			return
		}
		testutil.Assert(t, errors.Is(err, dead), "operation %d: %v", n, err)
		built := filepath.Join(dir, newID(1).String())
		if _, err := os.Stat(built); err == nil {
			whole++
			mustVerify(t, built)
			continue
		}
		testutil.Ok(t, writeWith(dir, nil))
		mustVerify(t, built)
		entries, err := os.ReadDir(dir)
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(entries))
	}
}

// TestSegmentsAreCut: chunks go into the next segment when one is full, and a chunk
// that is too large for any goes alone.
func TestSegmentsAreCut(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(6, &blocktest.RandomOptions{Series: 30, Samples: 400})
	for _, size := range []int64{1, 5000} {
		dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{SegmentSize: size}, series...)
		mustVerify(t, dir)
		m, err := block.ReadMeta(dir)
		testutil.Ok(t, err)
		segments := m.Segments()
		testutil.Equals(t, len(segments), len(m.Thanos.SegmentFiles))
		if size == 1 {
			testutil.Equals(t, int(m.Stats.NumChunks), len(segments))
		}
		for _, s := range segments {
			testutil.Assert(t, size == 1 || s.SizeBytes <= size, "%s has %d bytes", s.RelPath, s.SizeBytes)
		}
		testutil.Equals(t, asTSDB(t, dir), asOurs(t, dir))
	}
}
