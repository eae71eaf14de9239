package compact_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// copyDir copies a block, so that something can be done to it.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(dir))
	testutil.Ok(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// TestBadSources: a job blames the block that is bad, says what is wrong, leaves the
// sources as they are and nothing of what it made.
func TestBadSources(t *testing.T) {
	t.Parallel()
	up := labels.FromStrings("__name__", "up", "job", "a")
	down := labels.FromStrings("__name__", "down")
	floats := func(lset labels.Labels, from int64, n int) block.Series {
		return blocktest.Floats(lset, from, 1000, make([]float64, n)...)
	}
	good := cut(t, blocktest.Options{}, []block.Series{floats(up, jobStart, 100), floats(down, jobStart, 100)}, jobStart, jobStart+hourMS)[0]
	build := func(t *testing.T, series ...block.Series) string {
		return blocktest.Build(t, t.TempDir(), &blocktest.Options{Unchecked: true, MinTime: jobStart + hourMS, MaxTime: jobStart + 2*hourMS}, series...)
	}
	from := jobStart + hourMS
	chunk := func(c block.Chunk) block.Series { return block.Series{Labels: up, Chunks: []block.Chunk{c}} }
	one := floats(up, from, 50).Chunks[0]
	with := func(change func(c *block.Chunk)) block.Series {
		c := one
		change(&c)
		return chunk(c)
	}
	for name, tc := range map[string]struct {
		series []block.Series
		kind   block.ProblemKind // of a SeriesError
		is     error             // else
	}{
		"duplicate series":   {series: []block.Series{floats(up, from, 3), floats(up, from+60_000, 3)}, kind: block.DuplicateSeries},
		"unsorted series":    {series: []block.Series{floats(up, from, 3), floats(down, from, 3)}, kind: block.UnsortedSeries},
		"no labels":          {series: []block.Series{floats(labels.EmptyLabels(), from, 3)}, kind: block.InvalidLabels},
		"before the block":   {series: []block.Series{floats(up, from-1000, 3)}, kind: block.OutsideChunks},
		"elsewhere":          {series: []block.Series{floats(up, from-hourMS, 3)}, kind: block.CompletelyOutsideChunks},
		"after the block":    {series: []block.Series{floats(up, from+hourMS, 3)}, kind: block.BoundaryChunks},
		"duplicate chunks":   {series: []block.Series{{Labels: up, Chunks: []block.Chunk{one, one}}}, kind: block.DuplicateChunks},
		"overlapping chunks": {series: []block.Series{{Labels: up, Chunks: []block.Chunk{one, floats(up, from+1000, 1).Chunks[0]}}}, kind: block.OverlappingChunks},
		"unsorted chunks":    {series: []block.Series{{Labels: up, Chunks: []block.Chunk{floats(up, from+100_000, 1).Chunks[0], one}}}, kind: block.UnsortedChunks},
		"reversed chunk":     {series: []block.Series{with(func(c *block.Chunk) { c.MinTime, c.MaxTime = c.MaxTime, c.MinTime })}, kind: block.ChunkTimes},
		"empty chunk":        {series: []block.Series{with(func(c *block.Chunk) { c.Data = chunkenc.NewXORChunk().Bytes() })}, kind: block.EmptyChunk},
		"chunk cut off":      {series: []block.Series{with(func(c *block.Chunk) { c.Data = c.Data[:4] })}, is: block.ErrCorrupt},
		"no chunk at all":    {series: []block.Series{with(func(c *block.Chunk) { c.Data = nil })}, is: block.ErrCorrupt},
		"unknown encoding":   {series: []block.Series{with(func(c *block.Chunk) { c.Encoding = 99 })}, is: block.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := build(t, tc.series...)
			dirs := []string{good, bad}
			job := jobOf(t, dirs, block.Raw, block.FiveMinutes, block.OneHour)
			out := t.TempDir()
			_, err := compact.RunJob(context.Background(), job, dirs, out, nil)
			e, ok := errors.AsType[*compact.SourceError](err)
			testutil.Assert(t, ok, "%v", err)
			testutil.Equals(t, job.Sources[1].ULID, e.Block)
			if tc.is != nil {
				testutil.Assert(t, errors.Is(err, tc.is), "%v", err)
			} else {
				s, ok := errors.AsType[*block.SeriesError](err)
				testutil.Assert(t, ok, "%v", err)
				testutil.Equals(t, tc.kind, s.Kind, "%v", err)
				testutil.Equals(t, tc.series[len(tc.series)-1].Labels.String(), s.Labels.String())
			}
			onlyBlocks(t, out, 0)
		})
	}
}

// TestUnsortedLabels: labels of a series that do not ascend, which no Writer writes
// and early Prometheus did, are the fault of their block.
func TestUnsortedLabels(t *testing.T) {
	t.Parallel()
	lset := labels.FromStrings("a", "1", "b", "2")
	dir := blocktest.Build(t, t.TempDir(), nil, blocktest.Floats(lset, jobStart, 1000, 1, 2))
	swapLabels(t, dir)
	out := t.TempDir()
	_, err := compact.RunJob(context.Background(), jobOf(t, []string{dir}, block.Raw), []string{dir}, out, nil)
	_, blamed := errors.AsType[*compact.SourceError](err)
	s, ok := errors.AsType[*block.SeriesError](err)
	testutil.Assert(t, blamed && ok, "%v", err)
	testutil.Equals(t, block.UnsortedLabels, s.Kind)
	onlyBlocks(t, out, 0)
}

// TestMissingSources: what is not there, or is another block than was asked for, is
// the fault of the block.
func TestMissingSources(t *testing.T) {
	t.Parallel()
	dirs := cut(t, blocktest.Options{}, blocktest.Random(1, &blocktest.RandomOptions{Start: jobStart}), jobStart, jobStart+hourMS, jobStart+2*hourMS)
	for name, damage := range map[string]func(dir string) error{
		"no directory": os.RemoveAll,
		"no meta.json": func(dir string) error { return os.Remove(filepath.Join(dir, block.MetaFile)) },
		"no index":     func(dir string) error { return os.Remove(filepath.Join(dir, block.IndexFile)) },
		"no segment":   func(dir string) error { return os.Remove(filepath.Join(dir, block.ChunksDir, "000001")) },
		"empty index":  func(dir string) error { return os.Truncate(filepath.Join(dir, block.IndexFile), 0) },
		"another block": func(dir string) error {
			return os.CopyFS(dir+"/x", os.DirFS(dirs[0])) // replaced below
		},
		"another range": func(dir string) error {
			m, err := block.ReadMeta(dir)
			if err != nil {
				return err
			}
			m.MaxTime++
			return block.WriteMeta(dir, m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := jobOf(t, dirs, block.Raw)
			damaged := copyDir(t, dirs[1])
			testutil.Ok(t, damage(damaged))
			if name == "another block" {
				damaged = filepath.Join(damaged, "x")
			}
			out := t.TempDir()
			_, err := compact.RunJob(context.Background(), job, []string{dirs[0], damaged}, out, nil)
			e, ok := errors.AsType[*compact.SourceError](err)
			testutil.Assert(t, ok, "%v", err)
			testutil.Equals(t, job.Sources[1].ULID, e.Block)
			onlyBlocks(t, out, 0)
		})
	}
}

// TestHostileSources: bytes of sources that are changed at random never make a job
// panic. It ends well, or blames the block; and nothing is left of a job that fails.
func TestHostileSources(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 5))
	raw := cut(t, blocktest.Options{}, blocktest.Random(2, &blocktest.RandomOptions{Start: jobStart, Samples: 300, Series: 13}),
		jobStart, jobStart+hourMS/2, jobStart+2*hourMS)
	late := cut(t, blocktest.Options{}, blocktest.Random(2, &blocktest.RandomOptions{Start: jobStart + 7000, Samples: 300, Series: 13}), jobStart, jobStart+2*hourMS)
	five := standAlone(t, raw[1], block.FiveMinutes)
	for name, tc := range map[string]struct {
		dirs    []string
		outputs []block.Resolution
	}{
		"in turn":    {raw, []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour}},
		"overlap":    {[]string{late[0], raw[1]}, []block.Resolution{block.Raw, block.FiveMinutes}},
		"aggregates": {[]string{five}, []block.Resolution{block.FiveMinutes, block.OneHour}},
	} {
		files := []string{block.IndexFile, filepath.Join(block.ChunksDir, "000001")}
		job := jobOf(t, tc.dirs, tc.outputs...)
		for range 60 / raceDivisor {
			last := len(tc.dirs) - 1
			damaged := copyDir(t, tc.dirs[last])
			file := filepath.Join(damaged, files[rnd.IntN(2)])
			b, err := os.ReadFile(file)
			testutil.Ok(t, err)
			for range 1 + rnd.IntN(3) {
				b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
			}
			testutil.Ok(t, os.WriteFile(file, b, 0o600))
			out := t.TempDir()
			_, err = compact.RunJob(context.Background(), job, append(tc.dirs[:last:last], damaged), out, nil)
			if err == nil {
				continue
			}
			e, ok := errors.AsType[*compact.SourceError](err)
			testutil.Assert(t, ok, "%s: %v", name, err)
			testutil.Equals(t, job.Sources[last].ULID, e.Block)
			onlyBlocks(t, out, 0)
		}
	}
}

// TestHostileChunks: chunks with a good checksum whose bits are wrong are found where
// they have to be decoded, and their block is blamed.
func TestHostileChunks(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(6, 6))
	whole := blocktest.Random(3, &blocktest.RandomOptions{Start: jobStart, Samples: 200, Series: 13})
	good := cut(t, blocktest.Options{}, blocktest.Random(3, &blocktest.RandomOptions{Start: jobStart + 5000, Samples: 200, Series: 13}), jobStart, jobStart+hourMS)[0]
	failed := 0
	for range 60 / raceDivisor {
		series := make([]block.Series, len(whole))
		for i, s := range whole {
			series[i] = block.Series{Labels: s.Labels}
			for _, c := range s.Chunks {
				c.Data = append([]byte(nil), c.Data...)
				if i == rnd.IntN(len(whole)) {
					c.Data[2+rnd.IntN(len(c.Data)-2)] ^= 1 << rnd.IntN(8)
				}
				series[i].Chunks = append(series[i].Chunks, c)
			}
		}
		bad := blocktest.Build(t, t.TempDir(), &blocktest.Options{Unchecked: true, MinTime: jobStart, MaxTime: jobStart + hourMS}, series...)
		dirs := []string{good, bad}
		job := jobOf(t, dirs, block.Raw, block.FiveMinutes, block.OneHour)
		out := t.TempDir()
		if _, err := compact.RunJob(context.Background(), job, dirs, out, nil); err != nil {
			e, ok := errors.AsType[*compact.SourceError](err)
			testutil.Assert(t, ok, "%v", err)
			testutil.Equals(t, job.Sources[1].ULID, e.Block)
			onlyBlocks(t, out, 0)
			failed++
		}
	}
	testutil.Assert(t, failed > 0)
}
