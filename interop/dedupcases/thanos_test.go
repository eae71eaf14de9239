package dedupcases

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"go.uber.org/atomic"

	"github.com/thanos-io/thanos/pkg/component"
	thanosdedup "github.com/thanos-io/thanos/pkg/dedup"
	thanosquery "github.com/thanos-io/thanos/pkg/query"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"
	storetestutil "github.com/thanos-io/thanos/pkg/store/storepb/testutil"

	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// thanosSamples is what Thanos' iterator makes of replicas for a PromQL function.
func thanosSamples(t *testing.T, algorithm, fn string, replicas []deduptest.Replica) []deduptest.Sample {
	t.Helper()
	set := thanosdedup.NewSeriesSet(&replicaSet{replicas: replicas, i: -1}, fn, algorithm)
	testutil.Assert(t, set.Next())
	out, err := deduptest.Walk(set.At().Iterator(nil))
	testutil.Ok(t, err)
	testutil.Ok(t, set.Err())
	return out
}

// replicaSet is a series set of replicas with equal labels.
type replicaSet struct {
	replicas []deduptest.Replica
	i        int
}

func (s *replicaSet) Next() bool { s.i++; return s.i < len(s.replicas) }
func (s *replicaSet) At() storage.Series {
	return &storage.SeriesEntry{Lset: labels.FromStrings("a", "1"), SampleIteratorFn: s.replicas[s.i].Iterator}
}
func (s *replicaSet) Err() error                        { return nil }
func (s *replicaSet) Warnings() annotations.Annotations { return nil }

// thanosQueryable is Thanos' querier over its proxy and stores.
func thanosQueryable(algorithm string, stores []member) storage.Queryable {
	var clients []thanosstore.Client
	for _, m := range stores {
		clients = append(clients, storetestutil.TestClient{
			StoreClient: storepb.ServerAsClient(&peer{member: m}, atomic.Bool{}),
			Name:        m.name, ExtLset: []labels.Labels{m.external()}, MinTime: math.MinInt64, MaxTime: math.MaxInt64,
			WithoutReplicaLabelsEnabled: !m.old,
		})
	}
	proxy := thanosstore.NewProxyStore(nil, nil, func() []thanosstore.Client { return clients }, component.Query, labels.EmptyLabels(), 0, thanosstore.EagerRetrieval)
	create := thanosquery.NewQueryableCreator(nil, nil, proxy, 4, time.Minute, algorithm, 1)
	return create(true, []string{replicaLabel}, nil, 0, true, false, nil, thanosquery.NoopSeriesStatsReporter)
}

// peer is a member as Thanos' proxy sees it: it sends whole chunks that are in
// range, and removes replica labels as told, unless it is an old one.
type peer struct {
	storepb.StoreServer
	member
}

// Series implements storepb.StoreServer.
func (p *peer) Series(req *storepb.SeriesRequest, srv storepb.Store_SeriesServer) error {
	var series []*storepb.Series
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, s := range p.series {
		b.Reset(s.labels)
		if !s.labels.Has(replicaLabel) {
			b.Set(replicaLabel, p.name)
		}
		if !p.old {
			b.Del(req.WithoutReplicaLabels...)
		}
		out := &storepb.Series{Labels: labelpb.ZLabelsFromPromLabels(b.Labels())}
		for _, c := range s.chunks {
			if c.MaxTime >= req.MinTime && c.MinTime <= req.MaxTime {
				out.Chunks = append(out.Chunks, storepb.AggrChunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: &storepb.Chunk{
					Type: thanosEncoding(c), Data: c.Chunk.Bytes(),
				}})
			}
		}
		series = append(series, out)
	}
	if !p.unsorted {
		slices.SortStableFunc(series, func(a, b *storepb.Series) int {
			return labels.Compare(a.PromLabels(), b.PromLabels())
		})
	}
	for _, out := range series {
		if err := srv.Send(storepb.NewSeriesResponse(out)); err != nil {
			return err
		}
	}
	return nil
}

func thanosEncoding(c chunks.Meta) storepb.Chunk_Encoding {
	switch c.Chunk.Encoding() {
	case chunkenc.EncHistogram:
		return storepb.Chunk_HISTOGRAM
	case chunkenc.EncFloatHistogram:
		return storepb.Chunk_FLOAT_HISTOGRAM
	default:
		return storepb.Chunk_XOR
	}
}
