package bucketstore_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
)

// TestGolden reads blocks that a real Thanos compacted and downsampled: for each
// series, the samples counted at every resolution are those that raw data has.
func TestGolden(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	metas, err := blocktest.Golden(context.Background(), bkt.Unwrap(), nil)
	testutil.Ok(t, err)
	mint, maxt := int64(math.MaxInt64), int64(math.MinInt64)
	for _, m := range metas {
		if m.Resolution() == block.OneHour {
			mint, maxt = min(mint, m.MinTime), max(maxt, m.MaxTime-1)
		}
	}
	s := open(t, bkt, nil)
	counts := map[time.Duration]map[string]int{}
	for _, resolution := range []time.Duration{0, 5 * time.Minute, time.Hour} {
		counts[resolution] = map[string]int{}
		a, err := ask(t, s, &store.SeriesRequest{
			MinTime: mint, MaxTime: maxt, MaxResolution: resolution, Strategy: store.Abort,
			Aggregates: store.AggregateCount | store.AggregateSum | store.AggregateMin | store.AggregateMax | store.AggregateCounter,
		})
		testutil.Ok(t, err)
		testutil.Assert(t, slices.IsSortedFunc(a.series, func(a, b *store.Series) int { return labels.Compare(a.Labels, b.Labels) }))
		for _, x := range a.series {
			counts[resolution][x.Labels.String()] = samples(t, x, resolution, mint, maxt)
		}
	}
	testutil.Assert(t, len(counts[0]) > 3, "%v", counts)
	testutil.Equals(t, counts[0], counts[5*time.Minute])
	testutil.Equals(t, counts[0], counts[time.Hour])
}

// samples returns how many raw samples a series has, or says that it has.
func samples(t *testing.T, s *store.Series, resolution time.Duration, mint, maxt int64) (n int) {
	t.Helper()
	for _, c := range s.Chunks {
		d := c.Raw
		if resolution > 0 {
			testutil.Assert(t, c.Aggregated != nil, "%s has raw data at %s", s.Labels, resolution)
			d = c.Aggregated.Count
			testutil.Assert(t, !c.Aggregated.Sum.IsZero() && !c.Aggregated.Counter.IsZero(), "%s", s.Labels)
		}
		chunk, err := d.Chunk()
		testutil.Ok(t, err)
		it := chunk.Iterator(nil)
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			at := it.AtT()
			if resolution > 0 {
				_, v := it.At()
				n += int(v)
			} else if at >= mint && at <= maxt && !stale(it, vt) {
				n++
			}
		}
		testutil.Ok(t, it.Err())
	}
	return n
}

// stale reports whether a sample is a marker, which downsampling does not count,
// nor any other NaN.
func stale(it chunkenc.Iterator, vt chunkenc.ValueType) bool {
	switch vt {
	case chunkenc.ValFloat:
		_, v := it.At()
		return math.IsNaN(v)
	case chunkenc.ValHistogram:
		_, h := it.AtHistogram(nil)
		return math.IsNaN(h.Sum)
	case chunkenc.ValFloatHistogram:
		_, h := it.AtFloatHistogram(nil)
		return math.IsNaN(h.Sum)
	}
	panic(fmt.Sprint("value type ", vt)) // there are no others
}
