package selecting_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
)

// Two clusters of two replicas each, six hours of a scrape every 15 s.
const (
	pods        = 60
	verbs       = 4
	perStore    = pods * verbs
	perChunk    = 120
	chunks      = 12
	step        = 15_000
	span        = chunks * perChunk * step
	inAllStores = 4 * perStore * chunks * perChunk // samples
)

// replica is what one replica of a cluster has scraped.
type replica struct {
	cluster, name string
	series        []*store.Series // with all labels, sorted
}

// replicasOf makes two replicas of two clusters. The second of each scrapes the
// same values offset later, and if it is later at all, misses a chunk now and then.
func replicasOf(t testing.TB, offset int64, countersOnly bool) (out []*replica) {
	for _, cluster := range []string{"eu", "us"} {
		for i, name := range []string{"a", "b"} {
			r := &replica{cluster: cluster, name: name}
			rng := rand.New(rand.NewPCG(1, 2))
			for k := range perStore {
				s := &store.Series{Labels: labels.FromStrings(
					"__name__", "http_requests_total", "cluster", cluster, "container", "api-server", "instance", fmt.Sprintf("10.0.0.%03d:9090", k/verbs),
					"job", "kubernetes-pods", "namespace", "team-001", "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05x", k/verbs), "replica", name,
					"verb", []string{"DELETE", "GET", "POST", "PUT"}[k%verbs],
				)}
				s.Chunks = chunksOf(t, rng, k, int64(i)*offset, countersOnly)
				r.series = append(r.series, s)
			}
			out = append(out, r)
		}
	}
	return out
}

// chunksOf are the chunks of series k: a counter, a gauge or a constant.
func chunksOf(t testing.TB, rng *rand.Rand, k int, offset int64, countersOnly bool) (out []store.Chunk) {
	kind := k % 10
	if countersOnly {
		kind = 0
	}
	v := 0.0
	for c := range chunks {
		x := chunkenc.NewXORChunk()
		app, err := x.Appender()
		testutil.Ok(t, err)
		mint, maxt := int64(math.MaxInt64), int64(0)
		for i := range perChunk {
			at := int64(c*perChunk+i)*step + offset + rng.Int64N(5)
			switch {
			case kind < 5 && offset > 0 && rng.IntN(3000) == 0:
				v = 0
			case kind < 5:
				v += float64(rng.IntN(200))
			case kind < 8:
				v = math.Round(rng.Float64()*1e4) / 100
			}
			app.Append(at, v)
			mint, maxt = min(mint, at), at
		}
		if offset > 0 && k%3 == 0 && c%5 == 2 {
			continue
		}
		out = append(out, store.Chunk{MinTime: mint, MaxTime: maxt, Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: x.Bytes()}})
	}
	return out
}

// without is the same series without the replica label, sorted.
func (r *replica) without() (out []*store.Series) {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, s := range r.series {
		b.Reset(s.Labels)
		out = append(out, &store.Series{Labels: b.Del("replica").Labels(), Chunks: s.Chunks})
	}
	return out
}

// halves are two members that have the replica's series between them, as a store
// gateway and a sidecar do: both have the hour in the middle, the second one in
// chunks that were cut elsewhere.
func (r *replica) halves(t testing.TB) (old, recent *replica) {
	old, recent = &replica{cluster: r.cluster, name: r.name}, &replica{cluster: r.cluster, name: r.name}
	const middle = chunks / 2 * perChunk * step
	for _, s := range r.series {
		var before, after []store.Chunk
		var both []point
		for _, c := range s.Chunks {
			if c.MinTime < middle {
				before = append(before, c)
			}
			if c.MaxTime >= middle-perChunk*step {
				x, err := chunkenc.FromData(c.Raw.Encoding, c.Raw.Bytes)
				testutil.Ok(t, err)
				for it := x.Iterator(nil); it.Next() != chunkenc.ValNone; {
					ts, v := it.At()
					both = append(both, point{ts, v})
				}
			}
		}
		after = append(cut(t, both[:perChunk/3]), cut(t, both[perChunk/3:])...)
		old.series = append(old.series, &store.Series{Labels: s.Labels, Chunks: before})
		recent.series = append(recent.series, &store.Series{Labels: s.Labels, Chunks: after})
	}
	return old, recent
}
