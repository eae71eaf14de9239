package bucketratio_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
)

const (
	hour = int64(3_600_000)
	// start of the first block, ms.
	start = 472_222 * hour
	step  = 15_000
	// blockHours is what a block of level 2 spans.
	blockHours = 8
	// chunksEach is how many chunks of 120 samples each series has in a block.
	chunksEach = blockHours * int(hour) / step / store.SamplesPerChunk
)

// shape says how much data there is.
type shape struct {
	blocks, series int
}

// kinds are what the series are like: of a hundred, as a Prometheus that scrapes
// Kubernetes has them. Many do not change, most of the others count; there are few
// histograms, each of them many times larger.
var kinds = []struct {
	name  string
	share int
	chunk func(r *rand.Rand) func(i int) blocktest.Sample
}{
	{"constant", 40, func(*rand.Rand) func(int) blocktest.Sample {
		return func(int) blocktest.Sample { return blocktest.Sample{F: 1} }
	}},
	{"counter", 40, func(r *rand.Rand) func(int) blocktest.Sample {
		v := float64(r.IntN(1e6))
		return func(int) blocktest.Sample {
			v += float64(r.IntN(200))
			return blocktest.Sample{F: v}
		}
	}},
	{"gauge", 17, func(r *rand.Rand) func(int) blocktest.Sample {
		return func(int) blocktest.Sample { return blocktest.Sample{F: r.Float64()} }
	}},
	{"histogram", 3, func(r *rand.Rand) func(int) blocktest.Sample {
		h := histogram.Histogram{Schema: 3, PositiveSpans: []histogram.Span{{Offset: -8, Length: 24}}, PositiveBuckets: make([]int64, 24)}
		counts := make([]int64, 24)
		return func(int) blocktest.Sample {
			last := int64(0)
			for b := range counts {
				n := r.Int64N(20)
				counts[b] += n
				h.Count += uint64(n)
				h.Sum += float64(n) * r.Float64()
				h.PositiveBuckets[b] = counts[b] - last
				last = counts[b]
			}
			return blocktest.Sample{H: h.Copy()}
		}
	}},
}

// kindOf returns the kind of the i-th series.
func kindOf(i int) int {
	n := int(hash(i) >> 8 % 100)
	for k := range kinds {
		if n -= kinds[k].share; n < 0 {
			return k
		}
	}
	return 0
}

func hash(i int) uint32 {
	h := fnv.New32a()
	fmt.Fprint(h, "series", i)
	return h.Sum32()
}

// lset returns the labels of the i-th series. Its value of percent is shared with
// a hundredth of all, wherever they are.
func lset(i int) labels.Labels {
	k := kinds[kindOf(i)].name
	return labels.FromStrings(
		"__name__", fmt.Sprintf("http_requests_%s_%d", k, i%25), "container", "api-server", "instance", fmt.Sprintf("10.0.%d.%d:9090", i/250, i%250),
		"job", "kubernetes-pods", "namespace", fmt.Sprintf("team-%03d", i%100), "percent", fmt.Sprint(hash(i)/7%100),
		"pod", fmt.Sprintf("api-server-7c9f6b7d5-%05d", i),
	)
}

// series returns the series of the n-th block. Those of a kind share some runs of
// chunks.
func (s shape) data(n int) []block.Series {
	const runs = 8
	r := rand.New(rand.NewPCG(uint64(n), 1))
	pool := make([][runs][]block.Chunk, len(kinds))
	for k := range kinds {
		for i := range runs {
			next := kinds[k].chunk(r)
			samples := make([]blocktest.Sample, chunksEach*store.SamplesPerChunk)
			for j := range samples {
				samples[j] = next(j)
				samples[j].T = start + int64(n*blockHours)*hour + int64(j)*step + int64(i*100+r.IntN(10))
			}
			pool[k][i] = blocktest.Chunks(0, samples...)
		}
	}
	out := make([]block.Series, s.series)
	for i := range out {
		out[i] = block.Series{Labels: lset(i), Chunks: pool[kindOf(i)][hash(i)>>16%runs]}
	}
	return out
}

// put writes the blocks and uploads them to two buckets: one with index_stats in
// meta.json, one without. Either may be nil.
func (s shape) put(t testing.TB, with, without objstore.Bucket) {
	t.Helper()
	for n := range s.blocks {
		dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "eu-1", "replica", "a")}, s.data(n)...)
		if with != nil {
			upload(t, with, dir)
		}
		if without != nil {
			m, err := block.ReadMeta(dir)
			testutil.Ok(t, err)
			testutil.Assert(t, m.Thanos.IndexStats.ChunkMaxSize > 0 && m.Thanos.IndexStats.SeriesMaxSize > 0)
			m.Thanos.IndexStats = block.IndexStats{}
			testutil.Ok(t, block.WriteMeta(dir, m))
			upload(t, without, dir)
		}
	}
}

// upload uploads a block, at a time that is past in a testing/synctest bubble as
// well: Thanos does not read what it thinks was uploaded just now.
func upload(t testing.TB, bkt objstore.Bucket, dir string) {
	t.Helper()
	ctx := context.Background()
	m, err := block.Upload(ctx, bkt, dir, nil)
	testutil.Ok(t, err)
	m.Thanos.UploadTime = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	b, err := m.Encode()
	testutil.Ok(t, err)
	testutil.Ok(t, bkt.Upload(ctx, block.ObjectName(m.ULID, block.MetaFile), bytes.NewReader(b)))
}

// span is the range of all blocks, both ends inclusive, ms.
func (s shape) span() (mint, maxt int64) {
	return start, start + int64(s.blocks*blockHours)*hour - 1
}
