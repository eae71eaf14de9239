package compact_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// tsdbCompact compacts blocks with Prometheus' own compactor.
func tsdbCompact(t testing.TB, dirs []string) string {
	t.Helper()
	c, err := tsdb.NewLeveledCompactor(context.Background(), nil, slog.New(slog.DiscardHandler), []int64{hourMS}, nil, nil)
	testutil.Ok(t, err)
	out := t.TempDir()
	ids, err := c.Compact(out, dirs, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(ids))
	return filepath.Join(out, ids[0].String())
}

// TestHorizontalEqualsTSDB: of blocks that follow each other, index and chunks are
// byte for byte those that Prometheus makes of them: same series, same samples,
// same chunks.
func TestHorizontalEqualsTSDB(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6 / raceDivisor) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			series := blocktest.Random(seed, &blocktest.RandomOptions{
				Series: 10 + rnd.IntN(40), Samples: 400 + rnd.IntN(900), Start: jobStart, Jitter: rnd.Int64N(15_000), Gaps: rnd.Float64() / 2,
			})
			// Not every series is in every block.
			dirs := cut(t, blocktest.Options{}, series, randomBounds(rnd, 1+rnd.IntN(9), jobStart, jobStart+6*hourMS)...)
			theirs := tsdbCompact(t, dirs)
			ours := runOK(t, jobOf(t, dirs, block.Raw), dirs, nil)
			sameFiles(t, theirs, ours[0])
			equalSamples(t, samplesOf(t, dirs...), samplesOf(t, ours[0]))
		})
	}
}

// TestHorizontalMeta: meta.json is as Thanos writes it.
func TestHorizontalMeta(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(4, &blocktest.RandomOptions{Start: jobStart})
	dirs := cut(t, blocktest.Options{ExternalLabels: replicaLabels("a")}, series, jobStart, jobStart+hourMS, jobStart+3*hourMS)
	for i, ext := range []string{`{"a":{"x":1},"b":[2]}`, `{"c":1,"a":7}`} {
		m, err := block.ReadMeta(dirs[i])
		testutil.Ok(t, err)
		m.Compaction.Level += i
		m.Thanos.Extensions = []byte(ext)
		testutil.Ok(t, block.WriteMeta(dirs[i], m))
	}
	job := jobOf(t, dirs, block.Raw)
	ours := runOK(t, job, dirs, nil)
	m, err := block.ReadMeta(ours[0])
	testutil.Ok(t, err)

	theirs, _, err := readTSDBMeta(tsdbCompact(t, dirs))
	testutil.Ok(t, err)
	testutil.Equals(t, fmt.Sprint(theirs.Stats), fmt.Sprint(tsdbStats(m.Stats)))
	testutil.Equals(t, theirs.Compaction.Level, m.Compaction.Level)
	testutil.Equals(t, theirs.Compaction.Sources, m.Compaction.Sources)
	testutil.Equals(t, fmt.Sprint(theirs.Compaction.Parents), fmt.Sprint(m.Compaction.Parents))
	testutil.Equals(t, [2]int64{theirs.MinTime, theirs.MaxTime}, [2]int64{m.MinTime, m.MaxTime})

	testutil.Equals(t, map[string]string{"cluster": "eu"}, m.Thanos.Labels)
	testutil.Equals(t, block.SourceCompactor, m.Thanos.Source)
	testutil.Equals(t, block.Raw, m.Resolution())
	testutil.Equals(t, `{"a":{"x":1}}`, compactJSON(t, m.Thanos.Extensions))
	testutil.Assert(t, m.Thanos.UploadTime.IsZero() && m.IndexSize() > 0 && m.Thanos.IndexStats.SeriesMaxSize > 0)
}
