package query_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// scene is series that up to five replicas have scraped, as members hold them.
type scene struct {
	// samples are those of each replica, by its label, of each series.
	samples map[string]map[string][]sample
	members [][]*store.Series
	// What there was of each.
	gaps, resets, shared, alike int
}

// sceneOf draws a scene. Replicas differ in offset, jitter and interval, have gaps
// and are reset, on their own or together. Each has one or two members, as a
// sidecar and a store gateway, with chunks that overlap but are cut at different
// samples.
func sceneOf(tb testing.TB, r *rand.Rand) *scene {
	s := &scene{samples: map[string]map[string][]sample{}}
	names := []string{"a", "b", "c", "d", ""}[:1+r.Intn(5)]
	if len(names) == 1 {
		names = append(names, "z")
	}
	for _, replica := range names {
		own := make([][]*store.Series, 1+r.Intn(2))
		for _, pod := range []string{"1", "2"} {
			for _, zone := range []string{"x", "y"} {
				series := pod + zone
				if s.samples[series] == nil {
					s.samples[series] = map[string][]sample{}
				}
				var ss []sample
				if r.Intn(6) == 0 && len(s.samples[series]) > 0 { // a copy
					for _, name := range names {
						if have := s.samples[series][name]; len(have) > 0 {
							ss = have
							break
						}
					}
					s.alike++
				} else {
					ss = s.scraped(r)
				}
				s.samples[series][replica] = ss
				lset := labels.FromStrings("__name__", "up", "pod", pod, "replica", replica, "zone", zone)
				if replica == "" {
					lset = labels.FromStrings("__name__", "up", "pod", pod, "zone", zone)
				}
				s.hold(tb, r, own, lset.WithoutEmpty(), ss)
			}
		}
		s.members = append(s.members, own...)
	}
	return s
}

// scraped are two hours of samples as one replica may see them.
func (s *scene) scraped(r *rand.Rand) (out []sample) {
	interval := []int64{15_000, 15_000, 15_000, 30_000}[r.Intn(4)]
	jitter := []int64{1, 20, interval / 4}[r.Intn(3)]
	kind := []chunkenc.ValueType{chunkenc.ValFloat, chunkenc.ValFloat, chunkenc.ValHistogram}[r.Intn(3)]
	v := float64(r.Intn(100))
	gap := 0
	for t := r.Int63n(interval); t < 7_200_000; t += interval {
		switch {
		case r.Intn(400) == 0:
			v = 1
			s.resets++
		default:
			v += float64(1 + r.Intn(20))
		}
		if gap == 0 && r.Intn(120) == 0 {
			gap = r.Intn(80)
			s.gaps++
		}
		if gap--; gap >= 0 {
			continue
		}
		gap = 0
		out = append(out, sample{t: t + r.Int63n(jitter), v: v, kind: kind})
	}
	return out
}

// hold gives samples to the members of a replica, in chunks.
func (s *scene) hold(tb testing.TB, r *rand.Rand, members [][]*store.Series, lset labels.Labels, ss []sample) {
	parts := [][]sample{ss}
	whole := lset.Get("replica") == ""
	if len(members) == 2 {
		from := r.Intn(len(ss))
		to := from + r.Intn(len(ss)-from)
		if whole { // who has no label to tell it by is not to overlap
			from = to
		} else {
			s.shared++
		}
		parts = [][]sample{ss[:to], ss[from:]}
	}
	for i, part := range parts {
		out := &store.Series{Labels: lset}
		for len(part) > 0 {
			n := min(1+r.Intn(120), len(part))
			for i := 1; i < n; i++ {
				if part[i].kind != chunkenc.ValFloat && part[i].v < part[i-1].v {
					n = i // no chunk of histograms has a reset in it
				}
			}
			out.Chunks = append(out.Chunks, raw(tb, part[:n]))
			part = part[n:]
		}
		if len(out.Chunks) > 0 {
			members[i] = append(members[i], out)
		}
	}
}

// want is what an algorithm makes of the true replicas of each series.
func (s *scene) want(tb testing.TB, alg dedup.Algorithm, order []string, mint, maxt int64) map[string][]sample {
	out := map[string][]sample{}
	for series, replicas := range s.samples {
		var reps []chunkenc.Iterable
		for _, name := range order {
			if ss, ok := replicas[name]; ok {
				reps = append(reps, within(ss, mint, maxt))
			}
		}
		key := fmt.Sprintf("{__name__=\"up\", pod=%q, zone=%q}", series[:1], series[1:])
		out[key] = []sample{}
		it := alg.Merge(nil, dedup.Untyped, reps...)
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			out[key] = append(out[key], at(it, vt))
		}
		testutil.Ok(tb, it.Err())
	}
	return out
}

// within is a replica that has the samples from mint to maxt.
func within(ss []sample, mint, maxt int64) (out deduptest.Replica) {
	for _, s := range ss {
		if s.t >= mint && s.t <= maxt {
			out = append(out, deduptest.Sample{T: s.t, V: s.v, Type: s.kind})
		}
	}
	return out
}

// fanOut is a fan-out over members, of which wrap makes Stores.
func fanOut(tb testing.TB, members [][]*store.Series, wrap func(store.Store) store.Store) store.Store {
	var ms []fanout.Member
	for i, ss := range members {
		ms = append(ms, fanout.Member{Name: fmt.Sprint(i), Store: wrap(rangedStore(ss...))})
	}
	return fanOutOf(tb, ms...)
}

// inMemory is a fan-out over members in memory.
func inMemory(tb testing.TB, members [][]*store.Series) store.Store {
	var ms []fanout.Member
	for i, ss := range members {
		mem := memstore.New(nil)
		for _, s := range ss {
			testutil.Ok(tb, mem.AddSeries(s))
		}
		ms = append(ms, fanout.Member{Name: fmt.Sprint(i), Store: mem})
	}
	return fanOutOf(tb, ms...)
}

func fanOutOf(tb testing.TB, ms ...fanout.Member) store.Store {
	f, err := fanout.New(fanout.Static(ms...), nil)
	testutil.Ok(tb, err)
	return f
}

// rangedStore sends the chunks that reach into the range that is asked for.
func rangedStore(ss ...*store.Series) store.Store {
	return store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		for _, s := range ss {
			out := &store.Series{Labels: s.Labels}
			for _, c := range s.Chunks {
				if c.MinTime <= req.MaxTime && c.MaxTime >= req.MinTime {
					out.Chunks = append(out.Chunks, c)
				}
			}
			if len(out.Chunks) == 0 {
				continue
			}
			if err := w.Send(out); err != nil {
				return err
			}
		}
		return nil
	})
}

// stores are the ways in which what members hold gets to a Querier.
func (s *scene) stores(t *testing.T, r *rand.Rand) map[string]store.Store {
	same := func(st store.Store) store.Store { return st }
	shuffled := slices.Clone(s.members)
	r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	overGRPC := func(st store.Store) store.Store {
		client, stop := serve(t, st)
		t.Cleanup(func() { testutil.Ok(t, stop()) })
		return client
	}
	return map[string]store.Store{
		"fan-out":            fanOut(t, s.members, same),
		"fan-out, any order": fanOut(t, shuffled, same),
		"memory":             inMemory(t, shuffled),
		"middleware": fanOut(t, shuffled, func(st store.Store) store.Store {
			return store.Wrap(st, store.WithExternalLabels(labels.EmptyLabels()))
		}),
		"gRPC":    fanOut(t, s.members, overGRPC),
		"stacked": overGRPC(fanOut(t, shuffled, overGRPC)),
	}
}

// diff says where two answers differ first.
func diff(got, want map[string][]sample) string {
	for key := range want {
		if slices.EqualFunc(got[key], want[key], sample.same) {
			continue
		}
		for i := range want[key] {
			if i >= len(got[key]) || !got[key][i].same(want[key][i]) {
				return fmt.Sprintf("%s: sample %d: got %v, want %v", key, i, got[key][i:min(i+3, len(got[key]))], want[key][i:min(i+3, len(want[key]))])
			}
		}
		return fmt.Sprintf("%s: %d samples more", key, len(got[key])-len(want[key]))
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d series, want %d", len(got), len(want))
	}
	return ""
}

// byLabel is the order of replicas of a scene; preferringC has c first.
var (
	byLabel     = []string{"", "a", "b", "c", "d", "z"}
	preferringC = []string{"c", "", "a", "b", "d", "z"}
)

// TestIdentity: the answer is what Follow makes of the true replicas, whichever
// way their chunks come and are cut, and wherever the query begins.
func TestIdentity(t *testing.T) {
	t.Parallel()
	var total scene
	for seed := range int64(40) {
		r := rand.New(rand.NewSource(seed))
		s := sceneOf(t, r)
		total.gaps, total.resets = total.gaps+s.gaps, total.resets+s.resets
		total.shared, total.alike = total.shared+s.shared, total.alike+s.alike
		mint := r.Int63n(3_000_000)
		maxt := mint + r.Int63n(7_000_000)
		opts := &query.Options{ReplicaLabels: []string{"replica"}}
		order := byLabel
		if seed%3 == 0 {
			opts.PreferReplicas = []*labels.Matcher{equals("replica", "c"), equals("pod", "1")}
		}
		want := s.want(t, dedup.Follow{}, order, mint, maxt)
		if seed%3 == 0 { // for one pod only
			for key, ss := range s.want(t, dedup.Follow{}, preferringC, mint, maxt) {
				if strings.Contains(key, `pod="1"`) {
					want[key] = ss
				}
			}
		}
		for kind, st := range s.stores(t, r) {
			got := read(t, newQuerier(t, st, opts), mint, maxt, nil, nil)
			if d := diff(got, want); d != "" {
				t.Fatalf("seed %d, %s, from %d to %d: %s", seed, kind, mint, maxt, d)
			}
		}
	}
	t.Logf("%d gaps, %d resets, %d replicas with two members, %d copies", total.gaps, total.resets, total.shared, total.alike)
	testutil.Assert(t, total.gaps > 500 && total.resets > 300 && total.shared > 50 && total.alike > 30)
}

// TestStart: what is later than four windows after the beginning of a query is the
// same in every query that begins earlier.
func TestStart(t *testing.T) {
	t.Parallel()
	compared := 0
	for seed := range int64(60) {
		r := rand.New(rand.NewSource(seed))
		s := sceneOf(t, r)
		q := newQuerier(t, fanOut(t, s.members, func(st store.Store) store.Store { return st }), &query.Options{ReplicaLabels: []string{"replica"}})
		from := r.Int63n(4_000_000)
		earlier, later := read(t, q, from-r.Int63n(3_000_000), 7_200_000, nil, nil), read(t, q, from, 7_200_000, nil, nil)
		settled := from + 4*dedup.FollowWindow.Milliseconds()
		compared += settle(earlier, settled)
		settle(later, settled)
		if d := diff(later, earlier); d != "" {
			t.Fatalf("seed %d, from %d: %s", seed, from, d)
		}
	}
	testutil.Assert(t, compared > 10_000, "only %d samples were compared", compared)
}

// settle removes samples that are not later than t and returns how many are left.
func settle(answer map[string][]sample, t int64) (n int) {
	for key, ss := range answer {
		answer[key] = slices.DeleteFunc(ss, func(s sample) bool { return s.t <= t })
		n += len(answer[key])
	}
	return n
}

// TestIdentityLost: where members remove the replica labels, whether or not they
// are asked to, the answer is not what Follow makes of the replicas, and it is not
// the same from every beginning; the receipt says how many series that is about.
func TestIdentityLost(t *testing.T) {
	t.Parallel()
	strip := func(st store.Store) store.Store {
		st = store.Wrap(st, store.WithExternalLabels(labels.EmptyLabels()))
		return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			r := *req
			r.WithoutReplicaLabels = []string{"replica"}
			return st.Series(ctx, &r, w)
		})
	}
	all, other, depends := 0, 0, 0
	for seed := range int64(60) {
		r := rand.New(rand.NewSource(seed))
		s := sceneOf(t, r)
		q := newQuerier(t, fanOut(t, s.members, strip), &query.Options{ReplicaLabels: []string{"replica"}})
		from := r.Int63n(3_000_000)
		out := &store.Outcome{}
		got := read(t, q, from, 7_200_000, nil, &query.QueryOptions{Outcome: out})
		earlier := read(t, q, from-r.Int63n(3_000_000), 7_200_000, nil, nil)
		want := s.want(t, dedup.Follow{}, byLabel, from, 7_200_000)
		settled := from + 4*dedup.FollowWindow.Milliseconds()
		for key := range want {
			all++
			if !slices.EqualFunc(got[key], want[key], sample.same) {
				other++
			}
		}
		settle(got, settled)
		settle(earlier, settled)
		for key := range want {
			if !slices.EqualFunc(got[key], earlier[key], sample.same) {
				depends++
			}
		}
		testutil.Assert(t, out.Unidentified() > 0 && out.Unidentified() <= int64(len(want)))
		rs := out.Replicas()
		testutil.Assert(t, len(rs) == 1 && rs[0].Labels.IsEmpty())
	}
	t.Logf("of %d series, %d are not what Follow makes of the replicas, %d depend on where the query begins", all, other, depends)
	testutil.Assert(t, other > 100 && depends > 10)
}

// TestIdentityShards: the shards of series are those that they have without replica
// labels, disjoint and complete, whether or not members shard.
func TestIdentityShards(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(7))
	s := sceneOf(t, r)
	opts := &query.Options{ReplicaLabels: []string{"replica"}}
	for kind, st := range s.stores(t, r) {
		q := newQuerier(t, st, opts)
		whole := read(t, q, 0, 7_200_000, nil, nil)
		for _, by := range []bool{true, false} {
			for _, names := range [][]string{nil, {"pod"}, {"replica"}, {"replica", "zone"}} {
				sum := map[string][]sample{}
				for i := range int64(3) {
					shard := &store.Shard{Index: i, Total: 3, By: by, Labels: names}
					for key, ss := range read(t, q, 0, 7_200_000, nil, &query.QueryOptions{Shard: shard}) {
						lset := labels.FromStrings("__name__", "up", "pod", key[21:22], "zone", key[31:32])
						testutil.Equals(t, lset.String(), key)
						testutil.Assert(t, sum[key] == nil && shard.Matches(lset), "%s: %s in shard %d, by %v %v", kind, key, i, by, names)
						sum[key] = ss
					}
				}
				if d := diff(sum, whole); d != "" {
					t.Fatalf("%s, by %v %v: %s", kind, by, names, d)
				}
			}
		}
	}
}

// TestIdentityDownsampled: aggregates of replicas are merged like samples, each of
// which stands for a window, and raw data stands in for what a replica has not in
// downsampled form.
func TestIdentityDownsampled(t *testing.T) {
	t.Parallel()
	const window5m = 300_000
	aggregated := func(ss []sample) store.Chunk {
		return store.Chunk{MinTime: ss[0].t, MaxTime: ss[len(ss)-1].t, Aggregated: &store.AggregatedChunk{Min: data(t, ss)}}
	}
	a, b := every(window5m, window5m, 60, 1, 1), every(window5m, window5m+4_000, 60, 1.5, 1)
	got := read(t, newQuerier(t, plainStore(replicas(
		[]store.Chunk{aggregated(a[:20]), aggregated(a[40:])},
		[]store.Chunk{aggregated(b[:30]), aggregated(b[30:])},
	)...), &query.Options{ReplicaLabels: []string{"replica"}, MaxResolution: 5 * time.Minute}), 0, 100*window5m, &storage.SelectHints{End: 100 * window5m, Func: "min_over_time"}, nil)[upSeries]
	testutil.Equals(t, fmt.Sprint(slices.Concat(a[:20], b[20:40], a[40:])), fmt.Sprint(got))
}

// widest tells how many replicas it was given.
type widest struct{ most *int }

func (c widest) Merge(reuse chunkenc.Iterator, v dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	*c.most = max(*c.most, len(replicas))
	return dedup.Follow{}.Merge(reuse, v, replicas...)
}

// TestCopies: an algorithm of the user's gets all replicas, copies included, which
// may matter to it.
func TestCopies(t *testing.T) {
	t.Parallel()
	ss := every(15_000, 0, 20, 1, 1)
	most := 0
	q := newQuerier(t, plainStore(replicas([]store.Chunk{raw(t, ss)}, []store.Chunk{raw(t, ss)}, []store.Chunk{raw(t, ss)})...),
		&query.Options{ReplicaLabels: []string{"replica"}, Algorithm: widest{&most}})
	testutil.Equals(t, fmt.Sprint(ss), fmt.Sprint(read(t, q, 0, 1_000_000, nil, nil)[upSeries]))
	testutil.Equals(t, 3, most)
}

// TestCopiesAreNotRead: where all replicas are copies of the first, the iterator is
// that one's own, which is told whose samples come out.
func TestCopiesAreNotRead(t *testing.T) {
	t.Parallel()
	ss := every(15_000, 0, 20, 1, 1)
	for name, tc := range map[string]struct {
		second []sample
		lone   bool
	}{"a copy": {ss, true}, "another sample": {slices.Concat(ss[:19], floats(285_001, 20)), false}} {
		q := newQuerier(t, plainStore(replicas([]store.Chunk{raw(t, ss)}, []store.Chunk{raw(t, tc.second)})...), &query.Options{ReplicaLabels: []string{"replica"}})
		sq, err := q.Queryable(nil).Querier(0, 1_000_000)
		testutil.Ok(t, err)
		set := sq.Select(context.Background(), true, nil, equals("__name__", "up"))
		testutil.Assert(t, set.Next())
		_, lone := set.At().Iterator(nil).(dedup.Credited)
		testutil.Equals(t, tc.lone, lone, name)
		testutil.Ok(t, sq.Close())
	}
}
