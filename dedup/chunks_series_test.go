package dedup_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// chunkList is a storage.ChunkSeries of chunks.
type chunkList struct {
	lset   labels.Labels
	chunks []dedup.Chunk
	err    error
}

func (l chunkList) Labels() labels.Labels { return l.lset }

func (l chunkList) Iterator(chunks.Iterator) chunks.Iterator {
	var metas []chunks.Meta
	for _, c := range l.chunks {
		chunk, err := chunkenc.FromData(c.Encoding, c.Data)
		if err != nil {
			chunk = aggregated{c}
		}
		metas = append(metas, chunks.Meta{MinTime: c.MinTime, MaxTime: c.MaxTime, Chunk: chunk, Ref: chunks.ChunkRef(c.Ref)})
	}
	return failingChunks{storage.NewListChunkSeriesIterator(metas...), l.err}
}

type failingChunks struct {
	chunks.Iterator
	err error
}

func (f failingChunks) Err() error { return f.err }

// aggregated is a chunk as Thanos' readers have it.
type aggregated struct{ c dedup.Chunk }

func (a aggregated) Bytes() []byte                              { return a.c.Data }
func (a aggregated) Encoding() chunkenc.Encoding                { return a.c.Encoding }
func (aggregated) Appender() (chunkenc.Appender, error)         { return nil, errors.New("none") }
func (aggregated) Iterator(chunkenc.Iterator) chunkenc.Iterator { return chunkenc.NewNopIterator() }
func (aggregated) NumSamples() int                              { return 0 }
func (aggregated) Compact()                                     {}
func (aggregated) Reset([]byte)                                 {}

// readChunks returns what an iterator has.
func readChunks(it chunks.Iterator) (out []dedup.Chunk, err error) {
	for it.Next() {
		m := it.At()
		out = append(out, dedup.Chunk{MinTime: m.MinTime, MaxTime: m.MaxTime, Encoding: m.Chunk.Encoding(), Data: m.Chunk.Bytes(), Ref: uint64(m.Ref)})
	}
	return out, it.Err()
}

// TestChunkSeriesRandom: a series of chunks is what ChunkMerger makes, its iterator
// used again.
func TestChunkSeriesRandom(t *testing.T) {
	t.Parallel()
	var it chunks.Iterator
	for seed := range uint64(60 / raceDivisor) {
		rng := rand.New(rand.NewPCG(seed, 3))
		replicas := randomChunks(t, rng)
		if seed%2 == 1 {
			_, replicas = randomAggregates(t, rng)
		}
		var series []storage.ChunkSeries
		for _, r := range replicas {
			series = append(series, chunkList{chunks: r})
		}
		var m dedup.ChunkMerger
		want, err := m.Merge(nil, replicas...)
		testutil.Ok(t, err)
		it = dedup.NewChunkSeries(labels.EmptyLabels(), dedup.Follow{}, series...).Iterator(it)
		got, err := readChunks(it)
		testutil.Ok(t, err)
		testutil.Equals(t, want, got, "seed %d", seed)
		testutil.Assert(t, !it.Next())
	}
}

func TestChunkSeriesErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("cannot be read")
	good := chunkList{chunks: []dedup.Chunk{{MinTime: 1, MaxTime: 2, Encoding: chunkenc.EncXOR, Data: []byte{0, 1}}}}
	bad := chunkList{err: cause}
	it := dedup.NewChunkSeries(labels.EmptyLabels(), dedup.Follow{}, good, bad).Iterator(nil)
	testutil.Assert(t, !it.Next())
	testutil.Assert(t, !it.Next())
	testutil.Assert(t, errors.Is(it.Err(), cause), "%v", it.Err())

	other := chunkList{chunks: []dedup.Chunk{{MinTime: 1, MaxTime: 3, Encoding: chunkenc.EncXOR, Data: []byte{0, 1}}}}
	it = dedup.NewChunkSeries(labels.EmptyLabels(), dedup.Follow{}, good, other).Iterator(it)
	testutil.Assert(t, !it.Next())
	var chunkErr *dedup.ChunkError
	testutil.Assert(t, errors.As(it.Err(), &chunkErr) && errors.Is(it.Err(), dedup.ErrMalformedChunk), "%v", it.Err())

	merge := dedup.MergeChunkSeries(dedup.Follow{})
	testutil.Assert(t, merge() == nil)
	_, ok := merge(good).(chunkList)
	testutil.Assert(t, ok, "a lone replica is passed on")
}

// chunkSets is a storage.ChunkSeriesSet.
type chunkSets struct {
	storage.ChunkSeriesSet
	series []storage.ChunkSeries
	at     int
	err    error
}

func (s *chunkSets) Next() bool              { s.at++; return s.at < len(s.series) }
func (s *chunkSets) At() storage.ChunkSeries { return s.series[s.at] }
func (s *chunkSets) Err() error              { return s.err }

func TestChunkSeriesSet(t *testing.T) {
	t.Parallel()
	lset := func(v string) labels.Labels { return labels.FromStrings("a", v) }
	x := encodeChunks(t, []deduptest.Sample{{T: 1, Type: chunkenc.ValFloat, V: 1}, {T: 2, Type: chunkenc.ValFloat, V: 2}}, 120)
	var list []storage.ChunkSeries
	for _, v := range []string{"1", "1", "2", "3", "3"} {
		list = append(list, chunkList{lset: lset(v), chunks: x})
	}
	for _, failed := range []error{nil, errors.New("incomplete")} {
		set := dedup.NewChunkSeriesSet(&chunkSets{series: list, at: -1, err: failed}, dedup.Follow{})
		var got []string
		for set.Next() {
			cs, err := readChunks(set.At().Iterator(nil))
			testutil.Ok(t, err)
			got = append(got, fmt.Sprint(set.At().Labels(), len(cs)))
		}
		testutil.Assert(t, !set.Next())
		want := []string{`{a="1"} 1`, `{a="2"} 1`, `{a="3"} 1`}
		if failed != nil {
			want = want[:2] // replicas of the last one may be missing
		}
		testutil.Equals(t, want, got)
		testutil.Equals(t, failed, set.Err())
	}
}

// TestPrometheusCompaction: Prometheus' own compactor deduplicates by Follow.
func TestPrometheusCompaction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lset := labels.FromStrings("__name__", "up")
	var replicas []deduptest.Replica
	var dirs []string
	for _, offset := range []int64{0, 2000} {
		var r deduptest.Replica
		var list []chunks.Sample
		for at := offset; at < 7_200_000; at += 15_000 {
			if at > 3_000_000+offset*300 && at < 3_600_000+offset*300 {
				continue // each is away for ten minutes
			}
			r = append(r, deduptest.Sample{T: at, Type: chunkenc.ValFloat, V: float64(at)})
			list = append(list, floatSample{at, float64(at)})
		}
		replicas = append(replicas, r)
		path, err := tsdb.CreateBlock([]storage.Series{storage.NewListSeries(lset, list)}, filepath.Join(dir, fmt.Sprint(offset)), 0, promslog.NewNopLogger())
		testutil.Ok(t, err)
		dirs = append(dirs, path)
	}
	compactor, err := tsdb.NewLeveledCompactorWithOptions(context.Background(), nil, promslog.NewNopLogger(), []int64{7_200_000}, nil, tsdb.LeveledCompactorOptions{
		MergeFunc: dedup.MergeChunkSeries(dedup.Follow{}), EnableOverlappingCompaction: true,
	})
	testutil.Ok(t, err)
	ids, err := compactor.Compact(dir, dirs, nil)
	testutil.Ok(t, err)
	block, err := tsdb.OpenBlock(nil, filepath.Join(dir, ids[0].String()), nil, nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, block.Close()) }()

	q, err := tsdb.NewBlockQuerier(block, math.MinInt64, math.MaxInt64)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, q.Close()) }()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"))
	testutil.Assert(t, set.Next())
	got, err := deduptest.Walk(set.At().Iterator(nil))
	testutil.Ok(t, err)
	testutil.Assert(t, !set.Next())
	// In which order the compactor gives the replicas is not known.
	for i := range 2 {
		want, err := deduptest.Walk(dedup.Follow{}.Merge(nil, dedup.Untyped, replicas[i], replicas[1-i]))
		testutil.Ok(t, err)
		if deduptest.Differ(want, got) < 0 {
			return
		}
	}
	t.Fatalf("%d samples are not what Follow makes of either order", len(got))
}

// floatSample is a chunks.Sample.
type floatSample struct {
	t int64
	v float64
}

func (s floatSample) T() int64                    { return s.t }
func (s floatSample) F() float64                  { return s.v }
func (floatSample) H() *histogram.Histogram       { return nil }
func (floatSample) FH() *histogram.FloatHistogram { return nil }
func (floatSample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s floatSample) Copy() chunks.Sample         { return s }
