package selecting_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/store"
)

// each selects everything and goes through all samples.
func each(t testing.TB, qb storage.Queryable, fn string, series func(labels.Labels), sample func(int64, float64)) {
	q, err := qb.Querier(0, span)
	testutil.Ok(t, err)
	set := q.Select(t.Context(), false, &storage.SelectHints{Start: 0, End: span, Func: fn},
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "http_requests_total"))
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		series(s.Labels())
		for it = s.Iterator(it); it.Next() != chunkenc.ValNone; {
			sample(it.At())
		}
		testutil.Ok(t, it.Err())
	}
	testutil.Ok(t, set.Err())
	testutil.Equals(t, 0, len(set.Warnings()))
	testutil.Ok(t, q.Close())
}

// drain is each without a look at what comes.
func drain(t testing.TB, qb storage.Queryable, fn string) func() {
	return func() {
		n := 0
		each(t, qb, fn, func(labels.Labels) { n++ }, func(int64, float64) {})
		testutil.Equals(t, 2*perStore, n)
	}
}

// selected is all that a select gives.
type selected struct {
	labels []string
	counts []int // samples before each series
	ts     []int64
	vs     []uint64
}

func allOf(t testing.TB, qb storage.Queryable, fn string) (out selected) {
	each(t, qb, fn, func(l labels.Labels) {
		out.labels, out.counts = append(out.labels, l.String()), append(out.counts, len(out.ts))
	}, func(ts int64, v float64) { out.ts, out.vs = append(out.ts, ts), append(out.vs, math.Float64bits(v)) })
	return out
}

// followed is what Follow makes of the replicas as they were made.
func followed(t testing.TB, rs []*replica) (out selected) {
	for i := 0; i < len(rs); i += 2 {
		for k, s := range rs[i].without() {
			out.labels, out.counts = append(out.labels, s.Labels.String()), append(out.counts, len(out.ts))
			it := dedup.Follow{}.Merge(nil, dedup.Untyped, chained(rs[i].series[k].Chunks), chained(rs[i+1].series[k].Chunks))
			for it.Next() != chunkenc.ValNone {
				ts, v := it.At()
				if ts <= span {
					out.ts, out.vs = append(out.ts, ts), append(out.vs, math.Float64bits(v))
				}
			}
			testutil.Ok(t, it.Err())
		}
	}
	return out
}

// chained are the chunks of one replica, one after the other.
type chained []store.Chunk

func (c chained) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	var its []chunkenc.Iterable
	for _, ch := range c {
		x, err := chunkenc.FromData(ch.Raw.Encoding, ch.Raw.Bytes)
		if err != nil {
			panic(err)
		}
		its = append(its, x)
	}
	return dedup.Chain{}.Merge(nil, dedup.Untyped, its...)
}

// TestRatioSelect selects and goes through all samples of four stores, in two
// clusters of two replicas each, by both queriers with the deduplication that each
// has by default. Ours gives what Follow makes of the true replicas; where those
// are identical, both give the same, and both decode it once: Thanos' proxy drops
// chunks that are copies.
func TestRatioSelect(t *testing.T) {
	for _, tc := range []struct {
		replicas string
		offset   int64
		fn       string
		halves   bool // each has two members
	}{
		{"identical", 0, "", false},
		{"identical", 0, "rate", false},
		{"offset", 7000, "", false},
		{"offset", 7000, "rate", false},
		{"offset, two members each", 7000, "", true},
	} {
		rs := replicasOf(t, tc.offset, tc.fn == "rate")
		var clients, remoteClients []storepb.StoreClient
		var stores, remotes []store.Store
		members := rs
		if tc.halves {
			members = nil
			for _, r := range rs {
				old, recent := r.halves(t)
				members = append(members, old, recent)
			}
		}
		for _, r := range members {
			p, m := newPeer(r), newMember(r)
			clients, remoteClients = append(clients, inProcess(p)), append(remoteClients, dialThanos(t, serveThanos(t, p)))
			stores, remotes = append(stores, m), append(remotes, dialOurs(t, serveOurs(t, m), nil))
		}
		for _, way := range []struct {
			name    string
			clients []storepb.StoreClient
			stores  []store.Store
			sockets bool
		}{{"in process", clients, stores, false}, {"gRPC", remoteClients, remotes, true}} {
			t.Run(fmt.Sprintf("%s/%s/func=%s", way.name, tc.replicas, tc.fn), func(t *testing.T) {
				thanos, ours := thanosOver(way.clients), oursOver(t, fanOver(t, way.stores), nil)
				got := allOf(t, ours, tc.fn)
				testutil.Equals(t, 2*perStore, len(got.labels))
				equal(t, followed(t, rs), got)
				want := allOf(t, thanos, tc.fn)
				testutil.Equals(t, want.labels, got.labels)
				if tc.offset == 0 {
					equal(t, want, got)
				}
				// Per sample that the stores sent.
				w := pair.Work{Thanos: drain(t, thanos, tc.fn), Ours: drain(t, ours, tc.fn), Items: inAllStores}
				thanosCost, ourCost, r := w.Compare(t, *ratioPairs)
				testutil.Assert(t, ourCost.Bytes*3 <= thanosCost.Bytes*2, "%.0f bytes beside %.0f", ourCost.Bytes, thanosCost.Bytes)
				testutil.Assert(t, ourCost.Allocs*2 <= thanosCost.Allocs, "%.0f allocations beside %.0f", ourCost.Allocs, thanosCost.Allocs)
				least := 2.0
				if way.sockets && tc.offset == 0 {
					least = 1.8 // half of what is left to do is the sockets', of both sides
				}
				testutil.Assert(t, r.N == 0 || r.CPU >= least, "%.2f of processor time, median of time %.2f", r.CPU, r.Median)
			})
		}
	}
}

func equal(t testing.TB, want, got selected) {
	t.Helper()
	testutil.Equals(t, want.labels, got.labels)
	testutil.Equals(t, want.counts, got.counts)
	for i := range want.ts {
		if want.ts[i] != got.ts[i] || want.vs[i] != got.vs[i] {
			t.Fatalf("sample %d: got %d %x, want %d %x", i, got.ts[i], got.vs[i], want.ts[i], want.vs[i])
		}
	}
}
