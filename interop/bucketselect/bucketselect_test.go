package bucketselect_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"
	thanosblock "github.com/thanos-io/thanos/pkg/block"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/hintspb"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
	kit "github.com/thanoskit/thanoskit/store/thanosstore"
)

const hour = int64(3_600_000)

// thanos returns Thanos' store gateway over a bucket, which says in hints which
// blocks it has read.
func thanos(t testing.TB, bkt objstore.Bucket) store.Store {
	ctx := context.Background()
	ibkt := objstore.WithNoopInstr(bkt)
	dir := t.TempDir()
	f, err := thanosblock.NewMetaFetcher(log.NewNopLogger(), 4, ibkt, thanosblock.NewConcurrentLister(log.NewNopLogger(), ibkt), dir, nil, nil)
	testutil.Ok(t, err)
	s, err := thanosstore.NewBucketStore(ibkt, f, dir,
		thanosstore.NewChunksLimiterFactory(0), thanosstore.NewSeriesLimiterFactory(0), thanosstore.NewBytesLimiterFactory(0),
		thanosstore.NewGapBasedPartitioner(512<<10), 4, 32, true, false, 0,
	)
	testutil.Ok(t, err)
	testutil.Ok(t, s.SyncBlocks(ctx))
	t.Cleanup(func() { testutil.Ok(t, s.Close()) })
	return kit.FromServer(s, nil)
}

func ours(t testing.TB, bkt objstore.Bucket) store.Store {
	s, err := bucketstore.Open(context.Background(), bkt, t.TempDir(), &bucketstore.Options{SeriesHints: true})
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, s.Close()) })
	return s
}

// answer returns the blocks that were read, each once, and what was sent.
func answer(t testing.TB, s store.Store, req *store.SeriesRequest) (blocks, sent []string) {
	out := &store.Outcome{}
	for series, err := range store.All(context.Background(), s, req, out) {
		testutil.Ok(t, err)
		text := series.Labels.String()
		for _, c := range series.Chunks {
			text += fmt.Sprintf(" %d-%d", c.MinTime, c.MaxTime)
			for _, d := range data(c) {
				text += fmt.Sprintf(" %d:%x", d.Encoding, d.Bytes)
			}
		}
		sent = append(sent, text)
	}
	testutil.Equals(t, 0, len(out.Warnings()), "%v", out.Warnings())
	testutil.Equals(t, 1, len(out.Hints()))
	var h hintspb.SeriesResponseHints
	testutil.Ok(t, h.Unmarshal(out.Hints()[0].Value))
	for _, b := range h.QueriedBlocks {
		blocks = append(blocks, b.Id)
	}
	slices.Sort(blocks)
	return slices.Compact(blocks), sent
}

func data(c store.Chunk) []store.ChunkData {
	out := []store.ChunkData{c.Raw}
	if a := c.Aggregated; a != nil {
		out = append(out, a.Count, a.Sum, a.Min, a.Max, a.Counter)
	}
	return out
}

// TestSameBlocks puts blocks of all resolutions, with gaps and overlaps, into a
// bucket and asks both gateways the same random questions.
func TestSameBlocks(t *testing.T) {
	t.Parallel()
	for seed := range int64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewSource(seed))
			bkt := objstore.NewInMemBucket()
			for range 4 + r.Intn(10) {
				mint := r.Int63n(20) * hour
				o := blocktest.Options{
					MinTime: mint, MaxTime: mint + (1+r.Int63n(8))*hour, NoIndexStats: r.Intn(2) == 0,
					Resolution:     []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour}[r.Intn(3)],
					ExternalLabels: labels.FromStrings("cluster", []string{"a", "b"}[r.Intn(2)]),
				}
				var series []block.Series
				for i := range 1 + r.Intn(4) {
					vs := make([]float64, (o.MaxTime-mint)/60_000)
					for j := range vs {
						vs[j] = float64(r.Intn(100))
					}
					series = append(series, blocktest.Floats(labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "replica", fmt.Sprint(r.Intn(2))), mint, 60_000, vs...))
				}
				if o.Resolution != block.Raw {
					series = blocktest.Downsample(o.Resolution, series...)
				}
				_, err := block.Upload(context.Background(), bkt, blocktest.Build(t, t.TempDir(), &o, series...), nil)
				testutil.Ok(t, err)
			}
			theirs, mine := thanos(t, bkt), ours(t, bkt)
			for range 150 {
				req := &store.SeriesRequest{
					MinTime: r.Int63n(24*hour) - hour, Strategy: store.Abort,
					Aggregates:    store.AggregateCount | store.AggregateMax,
					MaxResolution: []time.Duration{0, time.Minute, 5 * time.Minute, 59 * time.Minute, time.Hour, 100 * time.Hour}[r.Intn(6)],
					Matchers:      []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")},
				}
				req.MaxTime = req.MinTime + r.Int63n(15*hour)
				if r.Intn(2) == 0 {
					req.Matchers = append(req.Matchers, labels.MustNewMatcher(labels.MatchType(r.Intn(4)), []string{"cluster", "i"}[r.Intn(2)], []string{"a", "1", "0|a", ""}[r.Intn(4)]))
				}
				if r.Intn(2) == 0 {
					req.WithoutReplicaLabels = []string{"replica"}
				}
				if r.Intn(3) == 0 {
					req.Shard = &store.Shard{Index: r.Int63n(2), Total: 2, By: r.Intn(2) == 0, Labels: []string{"i"}}
				}
				wantBlocks, want := answer(t, theirs, req)
				gotBlocks, got := answer(t, mine, req)
				what := fmt.Sprintf("%s at %s", req, req.MaxResolution)
				testutil.Equals(t, wantBlocks, gotBlocks, what)
				testutil.Equals(t, want, got, what)
			}
		})
	}
}
