package bucketstore_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

const hour = int64(3_600_000)

// random returns a block's series: few labels, so that many are alike in several
// blocks, some of them those that external and replica labels are about.
func random(r *rand.Rand, mint, maxt int64) []block.Series {
	var out []block.Series
	seen := map[string]bool{}
	for range 1 + r.Intn(25) {
		b := labels.NewScratchBuilder(0)
		for _, n := range []string{"__name__", "a", "b", "replica", "z"} {
			if r.Intn(3) > 0 {
				b.Add(n, fmt.Sprint(r.Intn(3)))
			}
		}
		lset := b.Labels()
		if lset.IsEmpty() || seen[lset.String()] {
			continue
		}
		seen[lset.String()] = true
		var vs []float64
		step := (maxt - mint) / 300
		for range 1 + r.Intn(290) {
			vs = append(vs, float64(r.Intn(1000)))
		}
		out = append(out, blocktest.Floats(lset, mint+r.Int63n(step*5), step, vs...))
	}
	return out
}

// held is a block of a model: what a bucket holds.
type held struct {
	external labels.Labels
	meta     *block.Meta
	series   []block.Series
}

// expect answers a request for raw data from what is held, without a clue of how
// it is stored: series and the times of their chunks.
func expect(blocks []held, req *store.SeriesRequest) map[string][]string {
	chunks := map[string][]block.Chunk{}
	for _, h := range blocks {
		if h.meta.MinTime > req.MaxTime || h.meta.MaxTime <= req.MinTime {
			continue
		}
		for _, s := range h.series {
			b := labels.NewBuilder(s.Labels)
			h.external.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
			if !req.Matches(b.Labels()) {
				continue
			}
			lset := b.Del(req.WithoutReplicaLabels...).Labels()
			if lset.IsEmpty() || !req.Shard.Matches(lset) {
				continue
			}
			for _, c := range s.Chunks {
				if c.MinTime <= req.MaxTime && c.MaxTime >= req.MinTime {
					chunks[lset.String()] = append(chunks[lset.String()], c)
				}
			}
		}
	}
	out := map[string][]string{}
	for name, cs := range chunks {
		slices.SortFunc(cs, func(a, b block.Chunk) int {
			return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.MaxTime, b.MaxTime), slices.Compare(b.Data, a.Data))
		})
		cs = slices.CompactFunc(cs, func(a, b block.Chunk) bool {
			return a.MinTime == b.MinTime && a.MaxTime == b.MaxTime && string(a.Data) == string(b.Data)
		})
		out[name] = []string{}
		for _, c := range cs {
			if req.SkipChunks {
				break
			}
			out[name] = append(out[name], fmt.Sprintf("%d-%d %x", c.MinTime, c.MaxTime, c.Data))
		}
	}
	return out
}

// flatten returns what was sent in the same form. Each series must be there once.
func flatten(t *testing.T, a *answer, what string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for i, s := range a.series {
		if i > 0 {
			testutil.Assert(t, labels.Compare(a.series[i-1].Labels, s.Labels) < 0, "%s: %s follows %s", what, s.Labels, a.series[i-1].Labels)
		}
		out[s.Labels.String()] = []string{}
		for _, c := range s.Chunks {
			out[s.Labels.String()] = append(out[s.Labels.String()], fmt.Sprintf("%d-%d %x", c.MinTime, c.MaxTime, c.Raw.Bytes))
		}
	}
	return out
}

// TestSeriesEqualsModel asks random questions about random blocks: several with
// the same external labels, overlapping, some the same as another one.
func TestSeriesEqualsModel(t *testing.T) {
	t.Parallel()
	for seed := range int64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewSource(seed))
			bkt := newBucket()
			var blocks []held
			for range 2 + r.Intn(4) {
				h := held{external: labels.FromStrings([]string{"A", "cluster", "replica", "zz"}[r.Intn(4)], fmt.Sprint(r.Intn(2)))}
				if n := len(blocks); n > 0 && r.Intn(3) > 0 {
					h.external = blocks[r.Intn(n)].external
				}
				mint := r.Int63n(4) * hour
				h.series = random(r, mint, mint+2*hour)
				if n := len(blocks); n > 0 && r.Intn(4) == 0 {
					h.series = slices.Clone(blocks[r.Intn(n)].series)
				}
				h.meta = put(t, bkt, &blocktest.Options{ExternalLabels: h.external, NoIndexStats: r.Intn(2) == 0, SegmentSize: 1 << 10}, h.series...)
				blocks = append(blocks, h)
			}
			opts := &bucketstore.Options{}
			if seed%2 == 0 {
				opts = &bucketstore.Options{BatchSize: 1 + r.Intn(9), CallBytes: 1}
			}
			s := open(t, bkt, opts)
			for range 60 {
				req := randomRequest(r)
				a, err := ask(t, s, req)
				testutil.Ok(t, err)
				what := fmt.Sprintf("%s without %v, shard %v", req, req.WithoutReplicaLabels, req.Shard)
				testutil.Equals(t, expect(blocks, req), flatten(t, a, what), what)
			}
		})
	}
}

func randomRequest(r *rand.Rand) *store.SeriesRequest {
	req := &store.SeriesRequest{MinTime: r.Int63n(7*hour) - hour, SkipChunks: r.Intn(4) == 0}
	req.MaxTime = req.MinTime + r.Int63n(5*hour)
	for range r.Intn(3) {
		name := []string{"__name__", "a", "b", "replica", "z", "A", "cluster", "zz", "none"}[r.Intn(9)]
		req.Matchers = append(req.Matchers, matcher(labels.MatchType(r.Intn(4)), name, []string{"", "0", "1", "1|2", ".+"}[r.Intn(5)]))
	}
	if r.Intn(2) == 0 {
		req.WithoutReplicaLabels = []string{"replica", []string{"a", "A", "none", "z"}[r.Intn(4)]}
	}
	if r.Intn(3) == 0 {
		req.Shard = &store.Shard{Index: r.Int63n(2), Total: 2, By: r.Intn(2) == 0, Labels: []string{"a", "b"}}
	}
	return req
}

// at returns series with one sample each, which say in which block they are.
func at(t int64, value float64, names ...string) []block.Series {
	var out []block.Series
	for _, n := range names {
		out = append(out, blocktest.Floats(labels.FromStrings("__name__", n), t, 1000, value))
	}
	return out
}

// TestResolutions has raw, 5m and 1h blocks with gaps, of two sets of external
// labels of which one has raw ones only.
func TestResolutions(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	a, b := labels.FromStrings("cluster", "a"), labels.FromStrings("cluster", "b")
	var ids []ulid.ULID
	add := func(lset labels.Labels, res block.Resolution, mint, maxt int64) {
		series := blocktest.Floats(labels.FromStrings("__name__", "m"), mint, 60_000, make([]float64, (maxt-mint)/60_000)...)
		if res != block.Raw {
			series = blocktest.Downsample(res, series)[0]
		}
		m := put(t, bkt, &blocktest.Options{ExternalLabels: lset, Resolution: res, MinTime: mint, MaxTime: maxt}, series)
		ids = append(ids, m.ULID)
	}
	add(a, block.Raw, 0, 8*hour)
	add(a, block.Raw, 8*hour, 16*hour)
	add(a, block.FiveMinutes, 0, 12*hour)
	add(a, block.OneHour, 0, 6*hour)
	add(b, block.Raw, 0, 4*hour)
	s := open(t, bkt, &bucketstore.Options{SeriesHints: true})
	for _, tc := range []struct {
		maxResolution time.Duration
		aggregates    store.Aggregates
		blocks        []int
	}{
		{0, store.AggregateCount, []int{0, 1, 4}},
		{5*time.Minute - 1, store.AggregateCount, []int{0, 1, 4}},
		{5 * time.Minute, store.AggregateCount, []int{1, 2, 4}},
		{time.Hour, store.AggregateCount | store.AggregateMax, []int{1, 2, 3, 4}},
		{time.Hour, 0, []int{0, 1, 4}}, // raw is all that is wanted
		{1000 * time.Hour, store.AggregateCounter, []int{1, 2, 3, 4}},
		{-time.Hour, store.AggregateCounter, []int{0, 1, 4}},
	} {
		got, err := ask(t, s, &store.SeriesRequest{MaxTime: 20 * hour, MaxResolution: tc.maxResolution, Aggregates: tc.aggregates})
		testutil.Ok(t, err)
		what := fmt.Sprintf("%s %s", tc.maxResolution, tc.aggregates)
		testutil.Equals(t, []string{`{__name__="m", cluster="a"}`, `{__name__="m", cluster="b"}`}, got.labels(), what)
		var want []string
		for _, i := range tc.blocks {
			want = append(want, ids[i].String())
		}
		slices.Sort(want)
		testutil.Equals(t, want, queried(t, got, wire.SeriesResponseHintsType), what)
		for _, c := range got.series[0].Chunks {
			if x := c.Aggregated; x != nil {
				testutil.Equals(t, tc.aggregates.Has(store.AggregateCount), !x.Count.IsZero(), what)
				testutil.Equals(t, tc.aggregates.Has(store.AggregateMax), !x.Max.IsZero(), what)
				testutil.Equals(t, tc.aggregates.Has(store.AggregateCounter), !x.Counter.IsZero(), what)
				testutil.Assert(t, x.Sum.IsZero() && x.Min.IsZero() && c.Raw.IsZero(), what)
			}
		}
	}
}

// queried returns the blocks of the one hint of an answer.
func queried(t *testing.T, a *answer, typeURL string) []string {
	t.Helper()
	hints := a.outcome.Hints()
	testutil.Equals(t, 1, len(hints))
	testutil.Equals(t, typeURL, hints[0].TypeURL)
	ids, err := wire.DecodeQueriedBlocks(hints[0].Value)
	testutil.Ok(t, err)
	return ids
}

// TestMissingAggregates asks for the minimum of a histogram, which has none.
func TestMissingAggregates(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	series := blocktest.Random(1, &blocktest.RandomOptions{Series: 6, Start: hour, Step: 15_000, Samples: 400})
	put(t, bkt, &blocktest.Options{Resolution: block.FiveMinutes}, blocktest.Downsample(block.FiveMinutes, series...)...)
	s := open(t, bkt, nil)
	all, err := ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour, MaxResolution: time.Hour, Aggregates: store.AggregateCount})
	testutil.Ok(t, err)
	testutil.Equals(t, len(series), len(all.series))
	some, err := ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour, MaxResolution: time.Hour, Aggregates: store.AggregateMin})
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(some.warnings))
	testutil.Assert(t, 0 < len(some.series) && len(some.series) < len(series), "%d of %d", len(some.series), len(series))
	for _, x := range some.series {
		for _, c := range x.Chunks {
			testutil.Assert(t, !c.Aggregated.Min.IsZero() && c.Aggregated.Count.IsZero())
		}
	}
}

func TestSeriesLimits(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	for i := range 2 {
		var series []block.Series
		for j := range 10 {
			lset := labels.FromStrings("__name__", "m", "id", fmt.Sprint(j))
			series = append(series, blocktest.Floats(lset, int64(i)*hour, 1000, make([]float64, 300)...))
		}
		put(t, bkt, nil, series...)
	}
	all := &store.SeriesRequest{MaxTime: 10 * hour}
	first := &store.SeriesRequest{MaxTime: 10 * hour, Matchers: []*labels.Matcher{matcher(labels.MatchEqual, "id", "1")}}
	for _, tc := range []struct {
		limits store.Limits
		req    *store.SeriesRequest
		want   error
	}{
		{store.Limits{Series: 20, Chunks: 60}, all, nil},
		{store.Limits{Series: 19}, all, &store.LimitError{Limit: "series", Max: 19}},
		{store.Limits{Chunks: 59}, all, &store.LimitError{Limit: "chunks", Max: 59}},
		{store.Limits{Bytes: 100}, all, &store.LimitError{Limit: "bytes", Max: 100}},
		{store.Limits{Series: 2, Chunks: 6}, first, nil},
		{store.Limits{Series: 1}, first, &store.LimitError{Limit: "series", Max: 1}},
	} {
		s := open(t, bkt, &bucketstore.Options{Limits: tc.limits})
		for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
			req := *tc.req
			req.Strategy = strategy
			a, err := ask(t, s, &req)
			if tc.want == nil {
				testutil.Ok(t, err)
				testutil.Assert(t, len(a.warnings) == 0 && len(a.series) > 0)
				continue
			}
			testutil.Equals(t, tc.want.Error(), fmt.Sprint(err))
			testutil.Assert(t, errors.Is(err, store.ErrLimit))
		}
	}
	// What a request limits is what is sent.
	s := open(t, bkt, nil)
	for limit, want := range map[int]int{0: 10, 1: 1, 9: 9, 11: 10} {
		req := *all
		req.Limit = limit
		a, err := ask(t, s, &req)
		testutil.Ok(t, err)
		testutil.Equals(t, want, len(a.series))
		testutil.Equals(t, 6, len(a.series[0].Chunks))
	}
}

// TestLimitsOfGroups has series that wait for each other, as an external label
// takes the place of one of theirs: limits hold while they do.
func TestLimitsOfGroups(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	var series []block.Series
	for j := range 1000 {
		lset := labels.FromStrings("__name__", "m", "id", fmt.Sprintf("%04d", j), "replica", "own")
		series = append(series, blocktest.Floats(lset, 0, 1000, 1, 2, 3))
	}
	put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("replica", "over")}, series...)
	for name, limits := range map[string]store.Limits{"series": {Series: 25}, "chunks": {Chunks: 25}, "bytes": {Bytes: 10_000}} {
		s := open(t, bkt, &bucketstore.Options{BatchSize: 10, Limits: limits})
		bkt.Reset()
		_, err := ask(t, s, &store.SeriesRequest{MaxTime: hour})
		limit, ok := errors.AsType[*store.LimitError](err)
		testutil.Assert(t, ok && limit.Limit == name, "%s: %v", name, err)
		testutil.Assert(t, len(bkt.Requests()) < 20, "%s: %d requests", name, len(bkt.Requests()))
	}
}

func TestBlockHints(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	x := put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "x")}, at(0, 1, "m", "only_x")...)
	put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "y")}, at(0, 1, "m")...)
	broken := put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "y")}, at(1, 1, "m")...)
	rewrite(t, bkt, broken.ULID, "index", func(b []byte) { clear(b) })
	s := open(t, bkt, nil)
	ctx := context.Background()
	hint := func(typeURL string, ms ...*labels.Matcher) *store.Any {
		return &store.Any{TypeURL: typeURL, Value: wire.AppendBlockHints(nil, &wire.BlockHints{Matchers: ms})}
	}
	for _, m := range []*labels.Matcher{
		matcher(labels.MatchEqual, "__block_id", x.ULID.String()), matcher(labels.MatchNotEqual, "cluster", "y"),
	} {
		a, err := ask(t, s, &store.SeriesRequest{MaxTime: hour, StoreHints: hint(wire.SeriesRequestHintsType, m)})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{`{__name__="m", cluster="x"}`, `{__name__="only_x", cluster="x"}`}, a.labels())
		testutil.Equals(t, 0, len(a.outcome.Hints()))
		testutil.Equals(t, 0, len(a.warnings), "%v", a.warnings) // of a block that was not asked for

		out := &store.Outcome{}
		names, err := s.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: hour, StoreHints: hint(wire.LabelNamesRequestHintsType, m), Outcome: out})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"__name__", "cluster"}, names)
		testutil.Equals(t, 0, len(out.Warnings()), "%v", out.Warnings())
		testutil.Equals(t, []string{x.ULID.String()}, queried(t, &answer{outcome: out}, wire.LabelNamesResponseHintsType))

		out = &store.Outcome{}
		values, err := s.LabelValues(ctx, &store.LabelValuesRequest{Label: "cluster", MaxTime: hour, StoreHints: hint(wire.LabelValuesRequestHintsType, m), Outcome: out})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"x"}, values)
		testutil.Equals(t, []string{x.ULID.String()}, queried(t, &answer{outcome: out}, wire.LabelValuesResponseHintsType))
	}
	for name, h := range map[string]*store.Any{
		"unknown": {TypeURL: "type.googleapis.com/hintspb.Unknown"}, "damaged": {TypeURL: wire.SeriesRequestHintsType, Value: []byte{0x0a}},
	} {
		_, err := ask(t, s, &store.SeriesRequest{MaxTime: hour, StoreHints: h})
		testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%s: %v", name, err)
		_, err = s.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: hour, StoreHints: h})
		testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%s: %v", name, err)
		_, err = s.LabelValues(ctx, &store.LabelValuesRequest{Label: "a", MaxTime: hour, StoreHints: h})
		testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%s: %v", name, err)
	}
}

// TestQueryStats asks for statistics, which come with hints only.
func TestQueryStats(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	put(t, bkt, nil, at(0, 1, "m")...)
	h := &store.Any{TypeURL: wire.SeriesRequestHintsType, Value: wire.AppendBlockHints(nil, &wire.BlockHints{QueryStats: true})}
	a, err := ask(t, open(t, bkt, &bucketstore.Options{SeriesHints: true}), &store.SeriesRequest{MaxTime: hour, StoreHints: h})
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(queried(t, a, wire.SeriesResponseHintsType)))
	// The block, then the statistics, of which the first three are 1.
	b := a.outcome.Hints()[0].Value
	testutil.Equals(t, []byte{1 << 3, 1, 2 << 3, 1, 3 << 3, 1}, b[2+2+ulid.EncodedSize+2:][:6])
}
