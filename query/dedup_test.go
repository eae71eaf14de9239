package query_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// replicas are series of equal labels but for the replica.
func replicas(chunks ...[]store.Chunk) (out []*store.Series) {
	for i, cs := range chunks {
		out = append(out, &store.Series{Labels: labels.FromStrings("__name__", "up", "replica", string(rune('a'+i))), Chunks: cs})
	}
	return out
}

// merged is what an algorithm makes of samples.
func merged(tb testing.TB, alg dedup.Algorithm, values dedup.Values, mint, maxt int64, replicas ...[]sample) (out []sample) {
	var its []chunkenc.Iterable
	for _, ss := range replicas {
		ss = slices.DeleteFunc(slices.Clone(ss), func(s sample) bool { return s.t < mint || s.t > maxt })
		if len(ss) == 0 {
			ss = floats(float64(maxt+1), 0)
		}
		d := data(tb, ss)
		c, err := chunkenc.FromData(d.Encoding, d.Bytes)
		testutil.Ok(tb, err)
		its = append(its, c)
	}
	it := alg.Merge(nil, values, its...)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if s := at(it, vt); s.t <= maxt {
			out = append(out, s)
		}
	}
	testutil.Ok(tb, it.Err())
	return out
}

const upSeries = `{__name__="up"}`

// TestDedupEqualsAlgorithm: what a Querier returns is what an algorithm that need
// not know who is who makes of the replicas within the querier's bounds, however
// they are cut into chunks and sent.
func TestDedupEqualsAlgorithm(t *testing.T) {
	t.Parallel()
	for seed := range int64(300) {
		r := rand.New(rand.NewSource(seed))
		var reps [][]sample
		var chunks [][]store.Chunk
		for i := range 2 + r.Intn(2) {
			// Jitter and offset, with a gap, as of two Prometheus that scrape one target.
			all := every(15_000, int64(i)*4_000, 200, 1, 1)
			for k := range all {
				all[k].t += r.Int63n(20)
			}
			gap := r.Intn(150)
			all = slices.Delete(all, gap, gap+r.Intn(40))
			reps = append(reps, all)
			// Each replica is one chunk, since the tracks of several are not the replicas.
			chunks = append(chunks, []store.Chunk{raw(t, all)})
		}
		slices.SortFunc(chunks, func(a, b []store.Chunk) int { return int(a[0].MinTime - b[0].MinTime) })
		mint := r.Int63n(2_000_000)
		maxt := mint + r.Int63n(2_000_000)
		for _, alg := range []dedup.Algorithm{dedup.Penalty{}, dedup.Chain{}} {
			want := merged(t, alg, dedup.Untyped, mint, maxt, reps...)
			for kind, s := range map[string]store.Store{
				"plain":  plainStore(replicas(chunks...)...),
				"frames": &frameStore{series: replicas(chunks...), perFrame: 2},
			} {
				got := read(t, newQuerier(t, s, &query.Options{ReplicaLabels: []string{"replica"}, Algorithm: alg}), mint, maxt, nil, nil)[upSeries]
				if !slices.EqualFunc(got, want, sample.same) {
					t.Fatalf("seed %d, %s, %T, from %d to %d:\ngot  %v\nwant %v", seed, kind, alg, mint, maxt, got, want)
				}
			}
		}
	}
}

func TestDedup(t *testing.T) {
	t.Parallel()
	hist := func(ss []sample) []sample {
		for i := range ss {
			ss[i].kind = chunkenc.ValHistogram
		}
		return ss
	}
	// Replica a misses the time from 50 to 110 s; b is 5 s and 1 behind.
	a1, a2 := every(10_000, 0, 6, 0, 10), every(10_000, 110_000, 5, 110, 10)
	b := every(10_000, 5_000, 15, 4, 10)
	// The counter is reset at 70 s, while a misses it. From then on a has
	// 3, 13, ..., b 0, 10, ...
	aReset := every(10_000, 110_000, 5, 43, 10)
	bReset := slices.Concat(every(10_000, 5_000, 7, 4, 10), every(10_000, 75_000, 8, 0, 10))
	for name, tc := range map[string]struct {
		fn       string
		replicas [][]store.Chunk
		opts     query.QueryOptions
		want     map[string][]sample
	}{
		"dedup off": {
			replicas: [][]store.Chunk{{raw(t, a1)}, {raw(t, b)}},
			opts:     query.QueryOptions{Dedup: new(false)},
			want:     map[string][]sample{`{__name__="up", replica="a"}`: a1, `{__name__="up", replica="b"}`: b},
		},
		"identical": {
			replicas: [][]store.Chunk{{raw(t, a1), raw(t, a2)}, {raw(t, a1), raw(t, a2)}},
			want:     map[string][]sample{upSeries: slices.Concat(a1, a2)},
		},
		"identical where both have data": {
			replicas: [][]store.Chunk{{raw(t, a1)}, {raw(t, a1), raw(t, a2)}},
			want:     map[string][]sample{upSeries: slices.Concat(a1, a2)},
		},
		"a gap is filled": {
			replicas: [][]store.Chunk{{raw(t, a1), raw(t, a2)}, {raw(t, b)}},
			want:     map[string][]sample{upSeries: merged(t, dedup.Penalty{}, dedup.Untyped, 0, 200_000, slices.Concat(a1, a2), b)},
		},
		"histograms": {
			replicas: [][]store.Chunk{{raw(t, hist(every(10_000, 0, 6, 10, 10)))}, {raw(t, hist(every(10_000, 5_000, 15, 14, 10)))}},
			want: map[string][]sample{upSeries: merged(t, dedup.Penalty{}, dedup.Untyped, 0, 200_000,
				hist(every(10_000, 0, 6, 10, 10)), hist(every(10_000, 5_000, 15, 14, 10)))},
		},
		"counters of one replica are left alone": {
			fn: "rate", replicas: [][]store.Chunk{{raw(t, bReset)}},
			want: map[string][]sample{upSeries: bReset},
		},
		"counters are raised before they are merged": {
			// b, raised at its reset: 4 .. 64, 64, 74, ...; a likewise, from 50 at
			// 50 s to 50+43 at 110 s.
			fn: "rate", replicas: [][]store.Chunk{{raw(t, a1), raw(t, aReset)}, {raw(t, bReset)}},
			want: map[string][]sample{upSeries: merged(t, dedup.Penalty{}, dedup.Counters, 0, 200_000,
				slices.Concat(a1, every(10_000, 110_000, 5, 93, 10)),
				slices.Concat(every(10_000, 5_000, 7, 4, 10), every(10_000, 75_000, 8, 64, 10)))},
		},
		"resets are not hidden": {
			fn: "resets", replicas: [][]store.Chunk{{raw(t, a1), raw(t, aReset)}, {raw(t, bReset)}},
			want: map[string][]sample{upSeries: merged(t, dedup.Penalty{}, dedup.Counters, 0, 200_000, slices.Concat(a1, aReset), bReset)},
		},
		"chain takes all as they are": {
			fn: "rate", replicas: [][]store.Chunk{{raw(t, floats(1, 1, 2, 2, 3, 1))}, {raw(t, floats(2, 2, 3, 1, 4, 2))}},
			opts: query.QueryOptions{Algorithm: dedup.Chain{}},
			want: map[string][]sample{upSeries: floats(1, 1, 2, 2, 3, 1, 4, 2)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQuerier(t, plainStore(replicas(tc.replicas...)...), &query.Options{ReplicaLabels: []string{"replica"}, Algorithm: dedup.Penalty{}})
			got := read(t, q, 0, 200_000, &storage.SelectHints{Start: 0, End: 200_000, Func: tc.fn}, &tc.opts)
			testutil.Equals(t, fmt.Sprint(tc.want), fmt.Sprint(got))
			for _, ss := range got {
				testutil.Assert(t, len(ss) > 0)
			}
		})
	}
}

// stubborn is a store that does not remove replica labels.
func stubborn(s store.Store) store.Store {
	return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		r := *req
		r.WithoutReplicaLabels = nil
		return s.Series(ctx, &r, w)
	})
}

// TestStoreThatKeepsReplicaLabels: the answer is the same, though series of a
// stream sorted with replica labels are not sorted without them.
func TestStoreThatKeepsReplicaLabels(t *testing.T) {
	t.Parallel()
	var mem memstore.Store
	for _, replica := range []string{"x", "y", "z"} {
		for _, pod := range []string{"1", "2", "3"} {
			for i := range int64(200) {
				testutil.Ok(t, mem.Append(labels.FromStrings("__name__", "up", "a_replica", replica, "pod", pod), i*10_000, float64(i)))
			}
		}
	}
	testutil.Ok(t, mem.Append(labels.FromStrings("__name__", "up", "a_replica", "x"), 1000, 1))
	testutil.Ok(t, mem.Append(labels.FromStrings("a_replica", "x"), 1000, 1))
	opts := &query.Options{ReplicaLabels: []string{"a_replica"}}
	testutil.Equals(t,
		read(t, newQuerier(t, &mem, opts), 0, 2_000_000, nil, nil),
		read(t, newQuerier(t, stubborn(&mem), opts), 0, 2_000_000, nil, nil))

	ctx := context.Background()
	for _, s := range []store.Store{&mem, stubborn(&mem)} {
		q := newQuerier(t, s, opts)
		lsets, _, err := q.Series(ctx, 0, 2_000_000, [][]*labels.Matcher{{equals("pod", "1")}, {equals("pod", "3")}}, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, `[{__name__="up", pod="1"} {__name__="up", pod="3"}]`, fmt.Sprint(lsets))
		names, _, err := q.LabelNames(ctx, 0, 2_000_000, nil, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"__name__", "pod"}, names)
		values, _, err := q.LabelValues(ctx, "a_replica", 0, 2_000_000, nil, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(values))
		values, _, err = q.LabelValues(ctx, "a_replica", 0, 2_000_000, nil, &query.QueryOptions{Dedup: new(false)})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"x", "y", "z"}, values)
	}
}

// TestDedupRate: the rate of a counter that two replicas scrape, each with gaps
// where the other has none, is about that of the counter.
func TestDedupRate(t *testing.T) {
	t.Parallel()
	var mem memstore.Store
	for i, replica := range []string{"a", "b"} {
		l := labels.FromStrings("__name__", "requests_total", "replica", replica)
		for at := int64(i) * 7_000; at < 7_200_000; at += 15_000 {
			if at/150_000%8 != int64(4*i) {
				testutil.Ok(t, mem.Append(l, at, float64(at/1000)*3))
			}
		}
	}
	q := newQuerier(t, &mem, &query.Options{ReplicaLabels: []string{"replica"}})
	res, err := q.Range(context.Background(), "rate(requests_total[5m])", time.Unix(600, 0), time.Unix(7000, 0), 30*time.Second, nil)
	testutil.Ok(t, err)
	defer res.Close()
	m := res.Value.(promql.Matrix)
	testutil.Equals(t, 1, len(m))
	testutil.Equals(t, `{}`, m[0].Metric.String())
	testutil.Equals(t, 214, len(m[0].Floats))
	for _, p := range m[0].Floats {
		// The rate is extrapolated to the ends of the range, and at a change of replica
		// up to a scrape is skipped, but nothing falls and rises again.
		testutil.Assert(t, p.F > 2.8 && p.F < 3.01, "rate %v at %d", p.F, p.T)
	}
}
