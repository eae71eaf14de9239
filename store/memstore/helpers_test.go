package memstore_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// everything asks for all raw data.
func everything(ms ...*labels.Matcher) *store.SeriesRequest {
	return &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64, Matchers: ms}
}

func matcher(t labels.MatchType, name, value string) *labels.Matcher {
	return labels.MustNewMatcher(t, name, value)
}

// collect reads the whole answer.
func collect(t testing.TB, s store.Store, req *store.SeriesRequest) []*store.Series {
	t.Helper()
	var out []*store.Series
	for series, err := range store.All(context.Background(), s, req, nil) {
		testutil.Ok(t, err)
		out = append(out, series)
	}
	return out
}

// names shows the label sets of series, in order.
func names(series []*store.Series) []string {
	var out []string
	for _, s := range series {
		out = append(out, s.Labels.String())
	}
	return out
}

// point shows one sample.
func point(ts int64, v any) string { return fmt.Sprintf("%v@%d", v, ts) }

// points shows all samples of raw chunks, in order, and checks that they lie
// within their chunks' bounds.
func points(t testing.TB, chunks []store.Chunk) []string {
	t.Helper()
	var out []string
	for _, c := range chunks {
		testutil.Assert(t, c.Aggregated == nil, "raw chunk expected")
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		out = append(out, dataPoints(t, c.Raw, &first, &last)...)
		testutil.Equals(t, c.MinTime, first)
		testutil.Equals(t, c.MaxTime, last)
	}
	return out
}

func dataPoints(t testing.TB, d store.ChunkData, first, last *int64) []string {
	t.Helper()
	c, err := d.Chunk()
	testutil.Ok(t, err)
	var out []string
	it := c.Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		*first, *last = min(*first, it.AtT()), max(*last, it.AtT())
		switch vt {
		case chunkenc.ValFloat:
			ts, v := it.At()
			out = append(out, point(ts, v))
		case chunkenc.ValHistogram:
			ts, h := it.AtHistogram(nil)
			out = append(out, point(ts, h))
		case chunkenc.ValFloatHistogram:
			ts, h := it.AtFloatHistogram(nil)
			out = append(out, point(ts, h))
		}
	}
	testutil.Ok(t, it.Err())
	return out
}

// chunk makes a raw chunk of samples at the given times, each of which is its
// own value.
func chunk(t testing.TB, times ...int64) store.Chunk {
	t.Helper()
	var s memstore.Store
	for _, ts := range times {
		testutil.Ok(t, s.Append(labels.EmptyLabels(), ts, float64(ts)))
	}
	got := collect(t, &s, everything())
	testutil.Equals(t, 1, len(got))
	testutil.Equals(t, 1, len(got[0].Chunks))
	return got[0].Chunks[0]
}

// aggregated makes an aggregated chunk of which every aggregate has the same
// samples.
func aggregated(t testing.TB, times ...int64) store.Chunk {
	t.Helper()
	c := chunk(t, times...)
	d := c.Raw
	return store.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Aggregated: &store.AggregatedChunk{Count: d, Sum: d, Min: d, Max: d, Counter: d}}
}
