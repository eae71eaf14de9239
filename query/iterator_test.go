package query_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// randomSamples are of several kinds in runs.
func randomSamples(r *rand.Rand, n int) (out []sample) {
	t, kind := r.Int63n(1000), chunkenc.ValFloat
	for i := range n {
		if r.Intn(15) == 0 {
			kind = []chunkenc.ValueType{chunkenc.ValFloat, chunkenc.ValHistogram, chunkenc.ValFloatHistogram}[r.Intn(3)]
		}
		out = append(out, sample{t, float64(i + 1), kind})
		t += 1 + r.Int63n(30)
	}
	return out
}

// cut makes chunks of runs of the same kind, that overlap if overlap is set.
func cut(tb testing.TB, r *rand.Rand, ss []sample, overlap bool) (out []store.Chunk) {
	for from := 0; from < len(ss); {
		to := from + 1 + r.Intn(12)
		end := from
		for end < min(to, len(ss)) && ss[end].kind == ss[from].kind {
			end++
		}
		out = append(out, raw(tb, ss[from:end]))
		if overlap && r.Intn(2) == 0 && end-from > 2 {
			end -= 1 + r.Intn(end-from-1)
		}
		from = end
	}
	return out
}

// walk compares an iterator with a list of samples, under random steps.
func walk(r *rand.Rand, it chunkenc.Iterator, want []sample) error {
	pos := -1
	for pos < len(want) {
		var vt chunkenc.ValueType
		did := "Next"
		if r.Intn(3) > 0 {
			pos++
			vt = it.Next()
		} else {
			t := r.Int63n(2000) - 10
			if pos >= 0 && pos < len(want) {
				t = want[pos].t + r.Int63n(120) - 10
			}
			did = fmt.Sprintf("Seek(%d)", t)
			pos = max(pos, 0)
			for pos < len(want) && want[pos].t < t {
				pos++
			}
			vt = it.Seek(t)
		}
		if pos >= len(want) {
			if vt != chunkenc.ValNone {
				return fmt.Errorf("%s: got %v, want the end", did, at(it, vt))
			}
			break
		}
		if vt == chunkenc.ValNone {
			return fmt.Errorf("%s: ended, want %v", did, want[pos])
		}
		if got := at(it, vt); !got.same(want[pos]) {
			return fmt.Errorf("%s: got %v, want %v", did, got, want[pos])
		}
	}
	if vt := it.Next(); vt != chunkenc.ValNone {
		return fmt.Errorf("Next after the end: got %v", at(it, vt))
	}
	return it.Err()
}

// TestIterator walks series of random chunks, and compares with the samples that
// they were made of.
func TestIterator(t *testing.T) {
	t.Parallel()
	for _, overlap := range []bool{false, true} {
		t.Run(fmt.Sprintf("overlap=%t", overlap), func(t *testing.T) {
			t.Parallel()
			var it chunkenc.Iterator
			for seed := range int64(300) {
				r := rand.New(rand.NewSource(seed))
				all := randomSamples(r, 1+r.Intn(150))
				chunks := cut(t, r, all, overlap)
				if overlap && r.Intn(2) == 0 {
					r.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
					chunks = append(chunks, chunks[r.Intn(len(chunks))])
				}
				mint, maxt := int64(math.MinInt64), int64(math.MaxInt64)
				if r.Intn(3) > 0 {
					mint = all[r.Intn(len(all))].t - r.Int63n(3)
					maxt = mint + r.Int63n(3000)
				}
				want := slices.DeleteFunc(slices.Clone(all), func(s sample) bool { return s.t < mint || s.t > maxt })

				sq, err := newQuerier(t, plainStore(series("up", chunks...)), nil).Queryable(nil).Querier(mint, maxt)
				testutil.Ok(t, err)
				set := sq.Select(context.Background(), true, nil)
				testutil.Assert(t, set.Next())
				it = set.At().Iterator(it)
				if err := walk(r, it, want); err != nil {
					t.Fatalf("seed %d, from %d to %d: %v\n%v", seed, mint, maxt, err, want)
				}
				testutil.Ok(t, sq.Close())
			}
		})
	}
}

// window is an aggregated chunk; nil samples are an aggregate that is not there.
type window struct{ raw, count, sum, min, max, counter []sample }

func (w window) chunk(tb testing.TB) store.Chunk {
	c := store.Chunk{MinTime: math.MaxInt64, MaxTime: math.MinInt64, Aggregated: &store.AggregatedChunk{}}
	for _, x := range []struct {
		ss []sample
		to *store.ChunkData
	}{
		{w.raw, &c.Raw}, {w.count, &c.Aggregated.Count}, {w.sum, &c.Aggregated.Sum},
		{w.min, &c.Aggregated.Min}, {w.max, &c.Aggregated.Max}, {w.counter, &c.Aggregated.Counter},
	} {
		if x.ss == nil {
			continue
		}
		*x.to = data(tb, x.ss)
		c.MinTime, c.MaxTime = min(c.MinTime, x.ss[0].t), max(c.MaxTime, x.ss[len(x.ss)-1].t)
	}
	if w.raw != nil {
		c.Aggregated = nil
	}
	return c
}

func TestAggregates(t *testing.T) {
	t.Parallel()
	histograms := func(tv ...float64) []sample {
		out := floats(tv...)
		for i := range out {
			out[i].kind = chunkenc.ValFloatHistogram
		}
		return out
	}
	full := window{
		count: floats(10, 2, 20, 4), sum: floats(10, 6, 20, 10), min: floats(10, 1, 20, 2), max: floats(10, 5, 20, 3),
		counter: floats(5, 1, 10, 7, 20, 20, 20, 4),
	}
	rawAfter := window{raw: floats(30, 7, 40, 9)}
	native := window{count: floats(10, 2), sum: histograms(10, 6), counter: histograms(10, 6)}
	for name, tc := range map[string]struct {
		fn      string
		windows []window
		want    []sample
		wantErr error
	}{
		"average, then raw":     {fn: "avg_over_time", windows: []window{full, rawAfter}, want: floats(10, 3, 20, 2.5, 30, 7, 40, 9)},
		"average without a fn":  {windows: []window{full}, want: floats(10, 3, 20, 2.5)},
		"sum is of the average": {fn: "sum", windows: []window{full}, want: floats(10, 3, 20, 2.5)},
		"count":                 {fn: "count_over_time", windows: []window{full, rawAfter}, want: floats(10, 2, 20, 4, 30, 7, 40, 9)},
		"sum":                   {fn: "sum_over_time", windows: []window{full}, want: floats(10, 6, 20, 10)},
		"min":                   {fn: "min", windows: []window{full}, want: floats(10, 1, 20, 2)},
		"max":                   {fn: "max_over_time", windows: []window{full}, want: floats(10, 5, 20, 3)},
		"counter": {
			fn: "rate", windows: []window{full, rawAfter, {counter: floats(50, 1, 60, 3, 60, 3)}},
			want: floats(5, 1, 10, 7, 20, 20, 30, 23, 40, 25, 50, 26, 60, 28),
		},
		"raw counters alone keep resets":     {fn: "rate", windows: []window{{raw: floats(1, 5, 2, 1)}, {raw: floats(3, 0)}}, want: floats(1, 5, 2, 1, 3, 0)},
		"histogram average":                  {windows: []window{native}, want: histograms(10, 3)},
		"histogram sum":                      {fn: "sum_over_time", windows: []window{native}, want: histograms(10, 6)},
		"histogram counter":                  {fn: "increase", windows: []window{native}, want: histograms(10, 6)},
		"histograms have no minimum":         {fn: "min_over_time", windows: []window{native, rawAfter}, want: floats(30, 7, 40, 9)},
		"average without counts":             {windows: []window{{sum: floats(10, 6)}}, wantErr: query.ErrNoAggregate},
		"average without sums":               {windows: []window{{count: floats(10, 6)}}, wantErr: query.ErrNoAggregate},
		"no counter":                         {fn: "rate", windows: []window{{count: floats(10, 6), sum: floats(10, 6)}}, wantErr: query.ErrNoAggregate},
		"nothing at all":                     {fn: "rate", windows: []window{{}}, wantErr: query.ErrNoAggregate},
		"counts are no floats":               {windows: []window{{sum: floats(10, 6), count: histograms(10, 6)}}, wantErr: query.ErrNoAggregate},
		"raw and aggregated: the first wins": {windows: []window{{raw: floats(1, 1, 15, 2)}, full}, want: floats(1, 1, 15, 2, 20, 2.5)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var chunks []store.Chunk
			for _, w := range tc.windows {
				chunks = append(chunks, w.chunk(t))
			}
			for kind, s := range map[string]store.Store{
				"plain":  plainStore(series("up", chunks...)),
				"frames": &frameStore{series: []*store.Series{series("up", chunks...)}, perFrame: 1},
			} {
				got, err := tryRead(t, newQuerier(t, s, nil), 0, 100, &storage.SelectHints{Start: 0, End: 100, Func: tc.fn}, nil)
				testutil.Assert(t, errors.Is(err, tc.wantErr), "%s: %v", kind, err)
				if tc.wantErr == nil {
					testutil.Equals(t, fmt.Sprint(tc.want), fmt.Sprint(got[`{__name__="up"}`]), kind)
				}
			}
		})
	}
}

// TestCounterSeesSamplesBeforeItsBounds: a reset before the first sample that is
// wanted is part of what a later one is compared with.
func TestCounterSeesSamplesBeforeItsBounds(t *testing.T) {
	t.Parallel()
	s := plainStore(series("up",
		window{counter: floats(10, 5, 20, 9, 20, 9)}.chunk(t),
		window{counter: floats(30, 1, 40, 3, 50, 8, 50, 8)}.chunk(t)))
	got := read(t, newQuerier(t, s, nil), 40, 40, &storage.SelectHints{Func: "rate"}, nil)
	testutil.Equals(t, fmt.Sprint(floats(40, 12)), fmt.Sprint(got[`{__name__="up"}`]))

	// Seek passes over nothing either.
	sq, err := newQuerier(t, s, nil).Queryable(nil).Querier(0, 100)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, &storage.SelectHints{Func: "rate"})
	testutil.Assert(t, set.Next())
	it := set.At().Iterator(nil)
	testutil.Equals(t, chunkenc.ValFloat, it.Seek(35))
	testutil.Equals(t, "40:12", at(it, chunkenc.ValFloat).String())
	testutil.Ok(t, sq.Close())
}

// TestHistogramHints: where chunks overlap, the first sample read of the later one
// has a hint about a sample that is not read.
func TestHistogramHints(t *testing.T) {
	t.Parallel()
	var early, late []sample
	for i := range int64(5) {
		early = append(early, sample{i * 10, float64(100 + i), chunkenc.ValHistogram})
		late = append(late, sample{i*10 + 15, float64(1 + i), chunkenc.ValHistogram})
	}
	// Aggregated, so that the two are not merged sample by sample.
	c1, c2 := window{count: early}.chunk(t), window{count: late}.chunk(t)
	sq, err := newQuerier(t, plainStore(series("up", c1, c2)), nil).Queryable(nil).Querier(0, 100)
	testutil.Ok(t, err)
	defer sq.Close()
	set := sq.Select(context.Background(), true, &storage.SelectHints{Func: "count_over_time"})
	testutil.Assert(t, set.Next())
	it := set.At().Iterator(nil)
	var got []string
	for it.Next() != chunkenc.ValNone {
		ts, h := it.AtHistogram(nil)
		_, fh := it.AtFloatHistogram(nil)
		testutil.Equals(t, h.CounterResetHint, fh.CounterResetHint)
		got = append(got, fmt.Sprint(ts, h.CounterResetHint == histogram.UnknownCounterReset))
	}
	testutil.Ok(t, it.Err())
	testutil.Equals(t, "[0 true 10 false 20 false 30 false 40 false 45 true 55 false]", fmt.Sprint(got))
}

func TestMalformedChunks(t *testing.T) {
	t.Parallel()
	good := data(t, every(10, 0, 20, 1, 1.7))
	hist := data(t, []sample{{0, 1, chunkenc.ValHistogram}, {10, 2, chunkenc.ValHistogram}})
	for name, c := range map[string]store.Chunk{
		"no bytes":                  {Raw: store.ChunkData{Encoding: chunkenc.EncXOR}},
		"truncated":                 {Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: good.Bytes[:20]}},
		"no histogram header":       {Raw: store.ChunkData{Encoding: chunkenc.EncHistogram, Bytes: []byte{0, 1}}},
		"truncated histogram":       {Raw: store.ChunkData{Encoding: chunkenc.EncHistogram, Bytes: hist.Bytes[:len(hist.Bytes)-2]}},
		"truncated count":           {Aggregated: &store.AggregatedChunk{Sum: good, Count: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: good.Bytes[:9]}}},
		"truncated histogram count": {Aggregated: &store.AggregatedChunk{Sum: hist, Count: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: good.Bytes[:1]}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.MaxTime = 1000
			_, err := tryRead(t, newQuerier(t, plainStore(series("up", c)), nil), 0, 1000, nil, nil)
			testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err)
			testutil.Assert(t, err != nil && fmt.Sprint(err) != "" && containsText(err, `{__name__="up"}`), "%v names no series", err)
		})
	}
	_, err := tryRead(t, newQuerier(t, plainStore(series("up", store.Chunk{MaxTime: 1, Raw: store.ChunkData{Encoding: 4, Bytes: good.Bytes}})), nil), 0, 1000, nil, nil)
	var ee *store.EncodingError
	testutil.Assert(t, errors.As(err, &ee) && errors.Is(err, store.ErrEncoding), "%v", err)
	testutil.Equals(t, `{__name__="up"}`, ee.Series.String())
}
