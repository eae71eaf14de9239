package compact_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

const (
	hourMS   = int64(3_600_000)
	jobStart = 472_222 * hourMS // of the first block
)

// jobOf returns the job that compacts blocks to some resolutions.
func jobOf(t testing.TB, dirs []string, outputs ...block.Resolution) *compact.Job {
	t.Helper()
	job := &compact.Job{Outputs: outputs, Labels: map[string]string{"cluster": "eu"}}
	for i, dir := range dirs {
		m, err := block.ReadMeta(dir)
		testutil.Ok(t, err)
		job.Sources = append(job.Sources, m)
		if i == 0 {
			job.MinTime, job.MaxTime = m.MinTime, m.MaxTime
		}
		job.MinTime, job.MaxTime = min(job.MinTime, m.MinTime), max(job.MaxTime, m.MaxTime)
	}
	return job
}

// runOK runs a job that succeeds and whose outputs are good, and returns their
// directories.
func runOK(t testing.TB, job *compact.Job, dirs []string, o *compact.Options) []string {
	t.Helper()
	out := t.TempDir()
	res, err := compact.RunJob(context.Background(), job, dirs, out, o)
	testutil.Ok(t, err)
	var made []string
	for _, m := range res.Metas {
		dir := filepath.Join(out, m.ULID.String())
		checkGood(t, dir)
		made = append(made, dir)
	}
	testutil.Equals(t, len(job.Outputs), len(made)+len(res.Empty))
	onlyBlocks(t, out, len(made))
	return made
}

func checkGood(t testing.TB, dir string) {
	t.Helper()
	report, err := block.Verify(context.Background(), dir, nil)
	testutil.Ok(t, err)
	testutil.Ok(t, report.Err(), report.String())
}

// onlyBlocks checks that nothing but so many blocks is in a directory.
func onlyBlocks(t testing.TB, dir string, n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	testutil.Ok(t, err)
	for _, e := range entries {
		_, ok := block.ParseID(e.Name())
		testutil.Assert(t, ok && len(e.Name()) == 26, "%s is left", e.Name())
	}
	testutil.Equals(t, n, len(entries))
}

// cut distributes the samples of series over blocks that begin at the given times,
// each until the next begins, and writes them. Of a series without samples in a
// block nothing is in it.
func cut(t testing.TB, opts blocktest.Options, series []block.Series, bounds ...int64) []string {
	t.Helper()
	samples := make([][]blocktest.Sample, len(series)) // of which no block has had any yet
	for i, s := range series {
		var err error
		samples[i], err = blocktest.Samples(s.Chunks...)
		testutil.Ok(t, err)
		samples[i] = samples[i][countBefore(samples[i], bounds[0]):]
	}
	var dirs []string
	for i := range bounds[:len(bounds)-1] {
		var in []block.Series
		for k, s := range series {
			if n := countBefore(samples[k], bounds[i+1]); n > 0 {
				in = append(in, blocktest.Series(s.Labels, samples[k][:n]...))
				samples[k] = samples[k][n:]
			}
		}
		if len(in) == 0 {
			continue
		}
		o := opts
		o.MinTime, o.MaxTime = bounds[i], bounds[i+1]
		dirs = append(dirs, blocktest.Build(t, t.TempDir(), &o, in...))
	}
	return dirs
}

// countBefore returns how many of some samples, which ascend in time, come before a
// time.
func countBefore(samples []blocktest.Sample, maxt int64) int {
	n, _ := slices.BinarySearchFunc(samples, maxt, func(s blocktest.Sample, maxt int64) int { return cmp.Compare(s.T, maxt) })
	return n
}

// replicaLabels are the external labels of a replica.
func replicaLabels(replica string) labels.Labels {
	return labels.FromStrings("cluster", "eu", "replica", replica)
}

// randomBounds returns the bounds of n blocks of random length from from to to.
func randomBounds(rnd *rand.Rand, n int, from, to int64) []int64 {
	bounds := []int64{from, to}
	for len(bounds) < n+1 {
		if b := from + rnd.Int64N(to-from); !slices.Contains(bounds, b) {
			bounds = append(bounds, b)
		}
	}
	slices.Sort(bounds)
	return bounds
}

// samplesOf decodes all samples of a block, by series.
func samplesOf(t testing.TB, dirs ...string) map[string][]blocktest.Sample {
	t.Helper()
	out := map[string][]blocktest.Sample{}
	for _, dir := range dirs {
		r, err := block.Open(dir)
		testutil.Ok(t, err)
		for s, err := range r.All(context.Background()) {
			testutil.Ok(t, err)
			samples, err := blocktest.Samples(s.Chunks...)
			testutil.Ok(t, err)
			out[s.Labels.String()] = append(out[s.Labels.String()], samples...)
		}
		testutil.Ok(t, r.Close())
	}
	return out
}

// equalSamples compares samples, bit by bit.
func equalSamples(t testing.TB, want, got map[string][]blocktest.Sample) {
	t.Helper()
	testutil.Equals(t, len(want), len(got))
	for lset, w := range want {
		g := got[lset]
		for i := range max(len(w), len(g)) {
			switch {
			case i >= len(w):
				t.Fatalf("%s: there is %s, and nothing more should be", lset, g[i])
			case i >= len(g):
				t.Fatalf("%s: there is nothing more, and %s should be", lset, w[i])
			case !sameSample(w[i], g[i]):
				t.Fatalf("%s: sample %d of %d is %s, not %s", lset, i, len(w), g[i], w[i])
			}
		}
	}
}

func sameSample(a, b blocktest.Sample) bool {
	switch {
	case a.T != b.T || a.Type() != b.Type():
		return false
	case a.H != nil:
		return a.H.CounterResetHint == b.H.CounterResetHint && a.H.Equals(b.H)
	case a.FH != nil:
		return a.FH.CounterResetHint == b.FH.CounterResetHint && a.FH.Equals(b.FH)
	}
	return math.Float64bits(a.F) == math.Float64bits(b.F)
}

// sameFiles checks that two blocks have the same index and the same segments.
func sameFiles(t testing.TB, a, b string) {
	t.Helper()
	names := func(dir string) []string {
		entries, err := os.ReadDir(filepath.Join(dir, block.ChunksDir))
		testutil.Ok(t, err)
		out := []string{block.IndexFile}
		for _, e := range entries {
			out = append(out, filepath.Join(block.ChunksDir, e.Name()))
		}
		return out
	}
	testutil.Equals(t, names(a), names(b))
	for _, name := range names(a) {
		x, err := os.ReadFile(filepath.Join(a, name))
		testutil.Ok(t, err)
		y, err := os.ReadFile(filepath.Join(b, name))
		testutil.Ok(t, err)
		if string(x) != string(y) {
			diff, err := blocktest.Diff(a, b)
			t.Fatal(fmt.Sprintf("%s differs: %d and %d bytes", name, len(x), len(y)), diff, err)
		}
	}
}

// readTSDBMeta reads meta.json as Prometheus does.
func readTSDBMeta(dir string) (*tsdb.BlockMeta, int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, block.MetaFile))
	if err != nil {
		return nil, 0, err
	}
	var m tsdb.BlockMeta
	return &m, int64(len(b)), json.Unmarshal(b, &m)
}

func tsdbStats(s block.Stats) tsdb.BlockStats {
	return tsdb.BlockStats{
		NumSamples: s.NumSamples, NumFloatSamples: s.NumFloatSamples, NumHistogramSamples: s.NumHistogramSamples,
		NumSeries: s.NumSeries, NumChunks: s.NumChunks, NumTombstones: s.NumTombstones,
	}
}

func compactJSON(t testing.TB, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	testutil.Ok(t, json.Compact(&out, b))
	return out.String()
}

// swapLabels swaps the labels of the one series of a block, which has two.
func swapLabels(t testing.TB, dir string) {
	t.Helper()
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	it := r.Series()
	testutil.Assert(t, it.Next())
	off := it.Offset()
	testutil.Ok(t, r.Close())
	name := filepath.Join(dir, block.IndexFile)
	b, err := os.ReadFile(name)
	testutil.Ok(t, err)
	size, n := binary.Uvarint(b[off:])
	entry := b[off+uint64(n):][:size+4]
	// A count, then two places for each label, all of them of one byte.
	testutil.Equals(t, byte(2), entry[0])
	entry[1], entry[2], entry[3], entry[4] = entry[3], entry[4], entry[1], entry[2]
	binary.BigEndian.PutUint32(entry[size:], crc32.Checksum(entry[:size], crc32.MakeTable(crc32.Castagnoli)))
	testutil.Ok(t, os.WriteFile(name, b, 0o600))
}
