package memstore_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

const minute = int64(60_000)

// every returns times from..to in steps, in minutes, both included.
func every(from, to, step int64) []int64 {
	var out []int64
	for t := from; t <= to; t += step {
		out = append(out, t*minute)
	}
	return out
}

// shown shows chunks by kind and range in minutes.
func shown(chunks []store.Chunk) []string {
	var out []string
	for _, c := range chunks {
		kind := "raw"
		if c.Aggregated != nil {
			kind = "agg"
		}
		out = append(out, fmt.Sprintf("%s %d..%d", kind, c.MinTime/minute, c.MaxTime/minute))
	}
	return out
}

func TestResolutions(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	// Raw data at minutes 1..240 in chunks of an hour; 5m for 5..60 and
	// 125..180; 1h for 180 alone, that is for minutes 121..180.
	add := func(resolution time.Duration, chunks ...store.Chunk) {
		series := &store.Series{Labels: up, Chunks: chunks}
		if resolution == 0 {
			testutil.Ok(t, s.AddSeries(series))
			return
		}
		testutil.Ok(t, s.AddDownsampled(resolution, series))
	}
	add(0, chunk(t, every(1, 60, 1)...), chunk(t, every(61, 120, 1)...), chunk(t, every(121, 180, 1)...), chunk(t, every(181, 240, 1)...))
	add(5*time.Minute, aggregated(t, every(125, 180, 5)...), aggregated(t, every(5, 30, 5)...), aggregated(t, every(35, 60, 5)...))
	add(time.Hour, aggregated(t, 180*minute))

	for name, tc := range map[string]struct {
		mint, maxt int64 // minutes
		max        time.Duration
		aggregates store.Aggregates
		want       []string
	}{
		"raw":                  {0, 300, 0, store.AggregateSum, []string{"raw 1..60", "raw 61..120", "raw 121..180", "raw 181..240"}},
		"just too fine":        {0, 60, 5*time.Minute - time.Millisecond, store.AggregateSum, []string{"raw 1..60"}},
		"5m, gaps from raw":    {0, 300, 5 * time.Minute, store.AggregateSum, []string{"agg 5..30", "agg 35..60", "raw 61..120", "agg 125..180", "raw 181..240"}},
		"5m without a gap":     {5, 60, 5 * time.Minute, store.AggregateSum, []string{"agg 5..30", "agg 35..60"}},
		"one window is no gap": {31, 34, 5 * time.Minute, store.AggregateSum, []string{"raw 1..60"}}, // no 5m chunk overlaps
		"1h, gaps from both":   {0, 300, time.Hour, store.AggregateSum, []string{"agg 5..30", "agg 35..60", "raw 61..120", "agg 180..180", "raw 181..240"}},
		"1h covers its window": {125, 180, math.MaxInt64, store.AggregateSum, []string{"agg 180..180"}},
		"no aggregates wanted": {0, 60, time.Hour, 0, []string{"raw 1..60"}},
		"a chunk once only":    {61, 200, 5 * time.Minute, store.AggregateSum, []string{"raw 61..120", "agg 125..180", "raw 181..240"}},
		"nothing there":        {241, 300, time.Hour, store.AggregateSum, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := &store.SeriesRequest{MinTime: tc.mint * minute, MaxTime: tc.maxt * minute, MaxResolution: tc.max, Aggregates: tc.aggregates}
			var got []string
			for _, series := range collect(t, &s, req) {
				got = append(got, shown(series.Chunks)...)
			}
			testutil.Equals(t, tc.want, got)
			req.SkipChunks = true
			testutil.Equals(t, len(tc.want) > 0, len(collect(t, &s, req)) == 1)
		})
	}
}

// TestRawFillsTwoGaps has one raw chunk reach over two gaps of the 5m data.
func TestRawFillsTwoGaps(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Ok(t, s.AddSeries(&store.Series{Labels: up, Chunks: []store.Chunk{chunk(t, every(1, 100, 1)...)}}))
	testutil.Ok(t, s.AddDownsampled(5*time.Minute, &store.Series{Labels: up, Chunks: []store.Chunk{
		aggregated(t, every(30, 40, 5)...), aggregated(t, every(60, 70, 5)...),
	}}))
	got := collect(t, &s, &store.SeriesRequest{MaxTime: 100 * minute, MaxResolution: time.Hour, Aggregates: store.AggregateSum})
	testutil.Equals(t, []string{"raw 1..100", "agg 30..40", "agg 60..70"}, shown(got[0].Chunks))
}

func TestOnlyDownsampled(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Ok(t, s.AddDownsampled(5*time.Minute, &store.Series{Labels: up, Chunks: []store.Chunk{aggregated(t, every(5, 60, 5)...)}}))
	req := everything()
	testutil.Equals(t, 0, len(collect(t, &s, req)))
	req.MaxResolution = 5 * time.Minute
	testutil.Equals(t, 0, len(collect(t, &s, req)))
	req.SkipChunks = true
	testutil.Equals(t, []string{up.String()}, names(collect(t, &s, req)))
	testutil.Ok(t, s.Append(up, 0, 1)) // earlier, but raw data is a matter of its own
}

func TestExtremeTimes(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Ok(t, s.AddDownsampled(time.Hour, &store.Series{Labels: up, Chunks: []store.Chunk{
		aggregated(t, math.MinInt64), aggregated(t, math.MaxInt64),
	}}))
	testutil.Ok(t, s.AddSeries(&store.Series{Labels: up, Chunks: []store.Chunk{chunk(t, 0)}}))
	req := everything()
	req.MaxResolution, req.Aggregates = time.Hour, store.AggregateSum
	testutil.Equals(t, 3, len(collect(t, &s, req)[0].Chunks))
}

func TestAggregates(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	in := store.Chunk{MinTime: 1, MaxTime: 9, Aggregated: &store.AggregatedChunk{
		Count: chunk(t, 1).Raw, Sum: chunk(t, 2).Raw, Max: chunk(t, 4).Raw, Counter: chunk(t, 5).Raw, // a series without minimum
	}}
	testutil.Ok(t, s.AddDownsampled(time.Hour, &store.Series{Labels: up, Chunks: []store.Chunk{in}}))
	for want := store.AggregateCount; want < store.AggregateCounter<<1; want++ {
		req := everything()
		req.MaxResolution, req.Aggregates = time.Hour, want
		got := collect(t, &s, req)[0].Chunks[0]
		testutil.Assert(t, got.Raw.IsZero())
		testutil.Assert(t, got.MinTime == 1 && got.MaxTime == 9)
		keep := func(a store.Aggregates, d store.ChunkData) store.ChunkData {
			if want.Has(a) {
				return d
			}
			return store.ChunkData{}
		}
		for a, d := range map[store.Aggregates][2]store.ChunkData{
			store.AggregateCount:   {in.Aggregated.Count, got.Aggregated.Count},
			store.AggregateSum:     {in.Aggregated.Sum, got.Aggregated.Sum},
			store.AggregateMin:     {in.Aggregated.Min, got.Aggregated.Min},
			store.AggregateMax:     {in.Aggregated.Max, got.Aggregated.Max},
			store.AggregateCounter: {in.Aggregated.Counter, got.Aggregated.Counter},
		} {
			testutil.Equals(t, keep(a, d[0]).Encoding, d[1].Encoding, "%s of %s", a, want)
			testutil.Equals(t, string(keep(a, d[0]).Bytes), string(d[1].Bytes), "%s of %s", a, want)
		}
	}
}

// TestReplicasOfResolutions merges series that differ in their replica label
// and in what is downsampled of them.
func TestReplicasOfResolutions(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Ok(t, s.AddSeries(&store.Series{Labels: labels.FromStrings("a", "1", "replica", "1"), Chunks: []store.Chunk{chunk(t, every(1, 60, 1)...)}}))
	testutil.Ok(t, s.AddDownsampled(5*time.Minute, &store.Series{Labels: labels.FromStrings("a", "1", "replica", "0"), Chunks: []store.Chunk{aggregated(t, every(5, 60, 5)...)}}))
	req := everything()
	req.WithoutReplicaLabels, req.MaxResolution, req.Aggregates = []string{"replica"}, time.Hour, store.AggregateSum
	got := collect(t, &s, req)
	testutil.Equals(t, []string{`{a="1"}`}, names(got))
	testutil.Equals(t, []string{"raw 1..60", "agg 5..60"}, shown(got[0].Chunks))
}
