package downsample_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
)

// allKinds is a raw block of series of all kinds over three days.
func allKinds(t testing.TB, dir string, series, samples int) string {
	t.Helper()
	return blocktest.Build(t, dir, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "eu1"), Level: 3},
		blocktest.Random(1, &blocktest.RandomOptions{Series: series, Samples: samples, Step: 60_000, Jitter: 100, Gaps: 0.05})...)
}

// TestBlock: the new block is whole, and says what it was made of.
func TestBlock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	raw := allKinds(t, dir, 60, 1000)
	old, err := block.ReadMeta(raw)
	testutil.Ok(t, err)
	for _, to := range []block.Resolution{block.FiveMinutes, block.OneHour} {
		out := filepath.Join(t.TempDir(), "made")
		meta, err := downsample.Block(t.Context(), raw, out, to, nil)
		testutil.Ok(t, err)
		made := filepath.Join(out, meta.ULID.String())
		onDisk, err := block.ReadMeta(made)
		testutil.Ok(t, err)
		testutil.Equals(t, onDisk, meta)

		testutil.Assert(t, meta.ULID != old.ULID, "no ULID of its own")
		testutil.Equals(t, to, meta.Resolution())
		testutil.Equals(t, block.SourceCompactor, meta.Thanos.Source)
		testutil.Equals(t, old.Thanos.Labels, meta.Thanos.Labels)
		testutil.Equals(t, old.Compaction, meta.Compaction)
		testutil.Equals(t, []int64{old.MinTime, old.MaxTime}, []int64{meta.MinTime, meta.MaxTime})
		testutil.Equals(t, old.Stats.NumSeries, meta.Stats.NumSeries)
		testutil.Assert(t, meta.Stats.NumSamples < old.Stats.NumSamples, "%d samples of %d", meta.Stats.NumSamples, old.Stats.NumSamples)
		report, err := block.Verify(t.Context(), made, nil)
		testutil.Ok(t, err)
		testutil.Ok(t, report.Err())
		testutil.Equals(t, symbols(t, raw), symbols(t, made))
		raw, old = made, meta
	}
}

func symbols(t testing.TB, dir string) (out []string) {
	t.Helper()
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	for i := range uint32(r.Symbols().Len()) {
		out = append(out, string(r.Symbols().Bytes(i)))
	}
	testutil.Ok(t, r.Close())
	return out
}

// TestBlockOnManyCores: however many work on it, the block is the same, file by
// file.
func TestBlockOnManyCores(t *testing.T) {
	t.Parallel()
	raw := allKinds(t, t.TempDir(), 600, 150)
	id := ulid.Make()
	var want map[string]string
	for _, n := range []int{1, 2, 3, 16} {
		out := t.TempDir()
		_, err := downsample.Block(t.Context(), raw, out, block.FiveMinutes, &downsample.Options{Concurrency: n, ULID: id, SegmentSize: 100_000})
		testutil.Ok(t, err)
		got := map[string]string{}
		testutil.Ok(t, fs.WalkDir(os.DirFS(out), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(filepath.Join(out, name))
			got[name] = string(b)
			return err
		}))
		testutil.Assert(t, len(got) >= 4, "%d files", len(got))
		if want == nil {
			want = got
		}
		for name := range want {
			testutil.Assert(t, want[name] == got[name], "%s is not the same with a concurrency of %d", name, n)
		}
		testutil.Equals(t, len(want), len(got))
	}
}

// TestBlockMemory: what is allocated does not grow with the number of series.
func TestBlockMemory(t *testing.T) {
	allocated := func(series int) uint64 {
		raw := blocktest.Build(t, t.TempDir(), nil, blocktest.Random(1, &blocktest.RandomOptions{Series: series, Samples: 500, Kinds: []blocktest.Kind{blocktest.Counter, blocktest.Gauge}})...)
		var before, after runtime.MemStats
		out := t.TempDir()
		runtime.ReadMemStats(&before)
		_, err := downsample.Block(t.Context(), raw, out, block.FiveMinutes, &downsample.Options{Concurrency: 2})
		testutil.Ok(t, err)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := allocated(1000), allocated(4000)
	testutil.Assert(t, many < few+1<<20, "%d bytes for 1000 series, %d for 4000", few, many)
}

// TestBlockErrors: whatever is wrong, it is told by type and with the series, and
// nothing is left of the new block.
func TestBlockErrors(t *testing.T) {
	t.Parallel()
	lset := labels.FromStrings("a", "b")
	floats := func(from int64, n int) block.Chunk {
		return blocktest.Floats(lset, from, 1000, make([]float64, n)...).Chunks[0]
	}
	series := func(chunks ...block.Chunk) []block.Series { return []block.Series{{Labels: lset, Chunks: chunks}} }
	with := func(c block.Chunk, change func(*block.Chunk)) block.Chunk {
		change(&c)
		return c
	}
	stale := math.Float64frombits(value.StaleNaN)
	for _, tc := range []struct {
		name   string
		res    block.Resolution
		to     block.Resolution
		series []block.Series
		is     error
		kind   block.ProblemKind
	}{
		{name: "overlapping chunks", series: series(floats(1000, 10), floats(5000, 10)), kind: block.OverlappingChunks},
		{name: "unsorted chunks", series: series(floats(90_000, 10), floats(5000, 10)), kind: block.UnsortedChunks},
		{name: "chunk that ends before it begins", series: series(with(floats(1000, 10), func(c *block.Chunk) { c.MaxTime = 5 }), floats(20_000, 10)), kind: block.ChunkTimes},
		{name: "unsorted series", series: []block.Series{{Labels: lset, Chunks: []block.Chunk{floats(0, 1)}}, {Labels: labels.FromStrings("a", "a"), Chunks: []block.Chunk{floats(0, 1)}}}, kind: block.UnsortedSeries},
		{name: "chunk that is cut short", series: series(with(floats(1000, 10), func(c *block.Chunk) { c.Data = c.Data[:12] })), is: block.ErrCorrupt},
		{name: "unknown encoding", series: series(with(floats(1000, 10), func(c *block.Chunk) { c.Encoding = 77 })), is: block.ErrUnsupported},
		{name: "aggregates in a raw block", series: series(blocktest.Downsample(block.FiveMinutes, series(floats(0, 10))...)[0].Chunks...), is: block.ErrUnsupported},
		{name: "malformed aggregates", res: block.FiveMinutes, to: block.OneHour, series: series(block.Chunk{MinTime: 1, MaxTime: 2, Encoding: block.EncodingAggregates, Data: []byte{1, 2, 3}}), is: block.ErrCorrupt},
		{name: "wrong resolution", to: block.OneHour, series: series(floats(0, 1)), is: downsample.ErrResolution},
		{name: "coarsest resolution", res: block.OneHour, to: block.OneHour, series: series(floats(0, 1)), is: downsample.ErrResolution},
		{name: "nothing left", series: []block.Series{blocktest.Floats(lset, 0, 1000, stale, stale)}, is: block.ErrEmpty},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{Resolution: tc.res, Unchecked: true}, tc.series...)
			if tc.to == 0 {
				tc.to = block.FiveMinutes
			}
			for _, n := range []int{1, 2} {
				out := t.TempDir()
				_, err := downsample.Block(t.Context(), dir, out, tc.to, &downsample.Options{Concurrency: n})
				testutil.NotOk(t, err)
				isEmpty(t, out)
				if tc.is != nil {
					testutil.Assert(t, errors.Is(err, tc.is), "%v", err)
				} else {
					e, ok := errors.AsType[*block.SeriesError](err)
					testutil.Assert(t, ok && e.Kind == tc.kind && e.Labels.Len() == 1, "%v", err)
				}
				if c, ok := errors.AsType[*block.CorruptError](err); ok {
					m, err := block.ReadMeta(dir)
					testutil.Ok(t, err)
					testutil.Equals(t, m.ULID, c.Block)
				}
			}
		})
	}
	_, err := downsample.Block(t.Context(), t.TempDir(), t.TempDir(), block.FiveMinutes, nil)
	testutil.Assert(t, errors.Is(err, fs.ErrNotExist), "%v", err)
	_, err = downsample.Block(t.Context(), "", "", block.FiveMinutes, &downsample.Options{Concurrency: -1})
	testutil.Equals(t, "downsample block: option Concurrency is -1, not 0 or more", err.Error())
}

// TestBlockDamaged: wherever a segment is damaged, the block is corrupt, its series
// is named, and nothing is left of the new one.
func TestBlockDamaged(t *testing.T) {
	t.Parallel()
	raw := blocktest.Build(t, t.TempDir(), nil, blocktest.Random(3, &blocktest.RandomOptions{Series: 12, Samples: 130})...)
	name := filepath.Join(raw, block.ChunksDir, "000001")
	whole, err := os.ReadFile(name)
	testutil.Ok(t, err)
	info, err := block.ReadMeta(raw)
	testutil.Ok(t, err)
	for at := 8; at < len(whole); at += len(whole) / 50 {
		damaged := append([]byte(nil), whole...)
		damaged[at] ^= 0x20
		testutil.Ok(t, os.WriteFile(name, damaged, 0o600))
		out := t.TempDir()
		_, err := downsample.Block(t.Context(), raw, out, block.FiveMinutes, &downsample.Options{Concurrency: 1 + at%2})
		c, ok := errors.AsType[*block.CorruptError](err)
		testutil.Assert(t, ok && c.Block == info.ULID, "byte %d: %v", at, err)
		isEmpty(t, out)
	}
}

// errContext ends when it has been asked so many times whether it has.
type errContext struct {
	context.Context
	left atomic.Int64
}

func (c *errContext) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestBlockCancelled: whenever the context ends, nothing is left of the new block.
func TestBlockCancelled(t *testing.T) {
	t.Parallel()
	raw := allKinds(t, t.TempDir(), 12, 300)
	for _, n := range []int{1, 3} {
		for calls := int64(0); ; calls++ {
			ctx := &errContext{Context: t.Context()}
			ctx.left.Store(calls)
			out := t.TempDir()
			_, err := downsample.Block(ctx, raw, out, block.FiveMinutes, &downsample.Options{Concurrency: n})
			if err == nil {
				testutil.Assert(t, calls > 0, "the context was not asked")
				break
			}
			testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
			isEmpty(t, out)
		}
	}
}

// TestBlockBlocked: what cannot be written is an error, and nothing is left.
func TestBlockBlocked(t *testing.T) {
	t.Parallel()
	raw := allKinds(t, t.TempDir(), 10, 10)
	out := filepath.Join(t.TempDir(), "file")
	testutil.Ok(t, os.WriteFile(out, nil, 0o600))
	_, err := downsample.Block(t.Context(), raw, out, block.FiveMinutes, nil)
	testutil.NotOk(t, err)

	out, id := t.TempDir(), ulid.Make()
	testutil.Ok(t, os.Mkdir(filepath.Join(out, id.String()), 0o700))
	_, err = downsample.Block(t.Context(), raw, out, block.FiveMinutes, &downsample.Options{ULID: id})
	testutil.Assert(t, errors.Is(err, fs.ErrExist), "%v", err)
}
