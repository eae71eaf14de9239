package buckets

import (
	"bytes"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// Blocks that package block writes are blocks to Prometheus and to Thanos.
func TestWrittenBlocks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "blocks")
	series := blocktest.Random(4, nil)
	opts := &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "c1", "replica", "a"), SegmentSize: 20_000}
	written := blocktest.Build(t, dir, opts, series...)

	// And what is left of one after some of it was dropped.
	rewritten, err := block.RewriteBlock(t.Context(), written, filepath.Join(t.TempDir(), "rewritten"), &block.RewriteOptions{
		Deletions: []block.Deletion{{Matchers: []block.Matcher{{Type: labels.MatchEqual, Name: "instance", Value: "host-003:9100"}}}},
	})
	testutil.Ok(t, err)
	testutil.Equals(t, uint64(len(series)-1), rewritten.Stats.NumSeries)

	t.Run("tsdb", func(t *testing.T) { opensInPrometheus(t, written, series) })
	b := filesystemBucket(t)
	upload(t, dir, b)
	t.Run("verify", func(t *testing.T) { verifiedByThanos(t, b) })

	p := startPrometheus(t, dir)
	start := time.UnixMilli(1_700_000_400_000)
	about := asker{start.Add(5 * time.Minute), start.Add(115 * time.Minute), 71 * time.Second}
	exprs := []string{
		`{kind=~".+",kind!="mixed types"}`,
		`{kind="mixed types"}`,
		`rate({kind="counter"}[5m])`,
		`{"température.°C"="froid"}`,
		`histogram_quantile(0.5, {kind=~".*histogram"})`,
	}
	want := about.answers(t, p.url, "", exprs)
	for _, tc := range []struct{ gateway, querier string }{{ours, ours}, {thanos, ours}, {thanos, thanos}, {ours, thanos}} {
		t.Run("gateway of "+tc.gateway+", querier of "+tc.querier, func(t *testing.T) {
			q := querier(t, tc.querier, gateway(t, tc.gateway, b))
			same(t, want, about.answers(t, "http://"+q.http, "", exprs))
		})
	}
}

// opensInPrometheus compares what Prometheus finds in a block with what was
// written, chunk by chunk.
func opensInPrometheus(t *testing.T, dir string, want []block.Series) {
	b, err := tsdb.OpenBlock(slog.New(slog.DiscardHandler), dir, nil, nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, b.Close()) }()
	entries, err := os.ReadDir(filepath.Join(dir, "chunks"))
	testutil.Ok(t, err)
	testutil.Assert(t, len(entries) > 1, "one segment only")
	q, err := tsdb.NewBlockChunkQuerier(b, math.MinInt64, math.MaxInt64)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, q.Close()) }()
	set := q.Select(t.Context(), true, &storage.SelectHints{Start: math.MinInt64, End: math.MaxInt64, DisableTrimming: true},
		labels.MustNewMatcher(labels.MatchNotEqual, labels.MetricName, ""))
	n := 0
	var it chunks.Iterator
	for ; set.Next(); n++ {
		s := set.At()
		testutil.Assert(t, labels.Equal(want[n].Labels, s.Labels()), "%s is not %s", s.Labels(), want[n].Labels)
		it = s.Iterator(it)
		for i, c := range want[n].Chunks {
			testutil.Assert(t, it.Next(), "chunk %d of %s missing", i, s.Labels())
			got := it.At()
			if got.MinTime != c.MinTime || got.MaxTime != c.MaxTime || got.Chunk.Encoding() != c.Encoding || !bytes.Equal(got.Chunk.Bytes(), c.Data) {
				t.Errorf("chunk %d of %s differs", i, s.Labels())
			}
			read(t, got.Chunk)
		}
		testutil.Assert(t, !it.Next(), "too many chunks of %s", s.Labels())
		testutil.Ok(t, it.Err())
	}
	testutil.Ok(t, set.Err())
	testutil.Equals(t, len(want), n)
}

func read(t *testing.T, c chunkenc.Chunk) {
	it := c.Iterator(nil)
	n := 0
	for it.Next() != chunkenc.ValNone {
		n++
	}
	testutil.Ok(t, it.Err())
	testutil.Equals(t, c.NumSamples(), n)
}
