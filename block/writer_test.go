package block_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// TestTSDBReadsWhatIsWritten: Prometheus' own reader finds the same chunks.
func TestTSDBReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(7, &blocktest.RandomOptions{Series: 60, Jitter: 500, Gaps: 0.05})
	dir := blocktest.Build(t, t.TempDir(), nil, series...)

	b, err := tsdb.OpenBlock(nil, dir, nil, nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, b.Close()) }()
	q, err := tsdb.NewBlockChunkQuerier(b, 0, 1<<62)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, q.Close()) }()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	n := 0
	for ; set.Next(); n++ {
		testutil.Equals(t, series[n].Labels.String(), set.At().Labels().String())
		it := set.At().Iterator(nil)
		i := 0
		for ; it.Next(); i++ {
			want := series[n].Chunks[i]
			testutil.Equals(t, want.MinTime, it.At().MinTime)
			testutil.Equals(t, want.MaxTime, it.At().MaxTime)
			testutil.Equals(t, want.Encoding, it.At().Chunk.Encoding())
			testutil.Assert(t, bytes.Equal(want.Data, it.At().Chunk.Bytes()), "%s: chunk %d differs", series[n].Labels, i)
		}
		testutil.Ok(t, it.Err())
		testutil.Equals(t, len(series[n].Chunks), i)
	}
	testutil.Ok(t, set.Err())
	testutil.Equals(t, len(series), n)
}

// TestWritesWhatTSDBWrites: Prometheus' own writers make the same bytes of the
// same series.
func TestWritesWhatTSDBWrites(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long", 100)
	for name, series := range map[string][]block.Series{
		"random":         blocktest.Random(7, &blocktest.RandomOptions{Series: 60, Jitter: 500, Gaps: 0.05}),
		"one":            {blocktest.Floats(labels.FromStrings("a", "b"), 0, 1, 1)},
		"negative times": {blocktest.Floats(labels.FromStrings("a", "b"), -5000, 1000, 1, 2, 3)},
		"a value is a name": {
			blocktest.Floats(labels.FromStrings("a", "b", "b", "a"), 0, 1, 1),
			blocktest.Floats(labels.FromStrings("a", "b", "c", "a", "é\xff", long), 0, 1, 1),
			blocktest.Floats(labels.FromStrings("b", "c"), 0, 1, 1),
		},
		"many values": blocktest.Random(8, &blocktest.RandomOptions{Series: 700, Samples: 1}),
		"far apart": {{Labels: labels.FromStrings("a", "b"), Chunks: blocktest.Chunks(1,
			blocktest.Sample{T: math.MinInt64 / 4}, blocktest.Sample{T: 0}, blocktest.Sample{T: math.MaxInt64 / 4})}},
	} {
		dir, want := blocktest.Build(t, t.TempDir(), nil, series...), t.TempDir()
		writeWithTSDB(t, want, series)
		for _, file := range []string{"index", "chunks/000001"} {
			a, err := os.ReadFile(filepath.Join(want, file))
			testutil.Ok(t, err)
			b, err := os.ReadFile(filepath.Join(dir, file))
			testutil.Ok(t, err)
			testutil.Assert(t, bytes.Equal(a, b), "%s: %s is not what Prometheus writes", name, file)
		}
		mustVerify(t, dir)
	}
}

// writeWithTSDB writes index and chunks with the writers of Prometheus.
func writeWithTSDB(t testing.TB, dir string, series []block.Series) {
	t.Helper()
	iw, err := index.NewWriter(context.Background(), filepath.Join(dir, "index"))
	testutil.Ok(t, err)
	cw, err := chunks.NewWriter(filepath.Join(dir, "chunks"))
	testutil.Ok(t, err)
	for _, s := range symbols(series) {
		testutil.Ok(t, iw.AddSymbol(s))
	}
	for i, s := range series {
		metas := make([]chunks.Meta, len(s.Chunks))
		for j, c := range s.Chunks {
			chunk, err := chunkenc.FromData(c.Encoding, c.Data)
			testutil.Ok(t, err)
			metas[j] = chunks.Meta{MinTime: c.MinTime, MaxTime: c.MaxTime, Chunk: chunk}
		}
		testutil.Ok(t, cw.WriteChunks(metas...))
		testutil.Ok(t, iw.AddSeries(storage.SeriesRef(i), s.Labels, metas...))
	}
	testutil.Ok(t, cw.Close())
	testutil.Ok(t, iw.Close())
}

func symbols(series []block.Series) []string {
	seen := map[string]bool{}
	for _, s := range series {
		s.Labels.Range(func(l labels.Label) { seen[l.Name], seen[l.Value] = true, true })
	}
	return sortedKeys(seen)
}
