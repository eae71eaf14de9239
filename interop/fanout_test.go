package interop

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/atomic"
	"google.golang.org/grpc"

	"github.com/thanos-io/thanos/pkg/component"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"
	storetestutil "github.com/thanos-io/thanos/pkg/store/storepb/testutil"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// thanosProxy is Thanos' fan-out over the clients.
func thanosProxy(how thanosstore.RetrievalStrategy, clients ...storepb.StoreClient) *thanosstore.ProxyStore {
	stores := make([]thanosstore.Client, len(clients))
	for i, c := range clients {
		stores[i] = &storetestutil.TestClient{
			StoreClient: c, Name: fmt.Sprint(i), MinTime: math.MinInt64, MaxTime: math.MaxInt64,
			Shardable: true, WithoutReplicaLabelsEnabled: true,
		}
	}
	return thanosstore.NewProxyStore(nil, nil, func() []thanosstore.Client { return stores }, component.Query, labels.EmptyLabels(), 0, how)
}

func inProcess(responses []*storepb.SeriesResponse) storepb.StoreClient {
	return storepb.ServerAsClient(&thanosPeer{responses: responses}, atomic.Bool{})
}

func ourFanout(t testing.TB, stores ...store.Store) *fanout.Store {
	t.Helper()
	members := make([]fanout.Member, len(stores))
	for i, s := range stores {
		members[i] = fanout.Member{Name: fmt.Sprint(i), Store: s}
	}
	f, err := fanout.New(fanout.Static(members...), nil)
	testutil.Ok(t, err)
	return f
}

// proxyReader is the server stream that Thanos' proxy sends to.
type proxyReader struct {
	grpc.ServerStream
	ctx    context.Context
	answer *seriesAnswer // nil if only counted
	series int
}

func (r *proxyReader) Context() context.Context { return r.ctx }

func (r *proxyReader) Send(resp *storepb.SeriesResponse) error {
	var series []*storepb.Series
	if b := resp.GetBatch(); b != nil {
		series = b.Series
	}
	if s := resp.GetSeries(); s != nil {
		series = []*storepb.Series{s}
	}
	r.series += len(series)
	if r.answer == nil {
		return nil
	}
	for _, s := range series {
		if err := r.answer.Send(seriesOfThanos(s)); err != nil {
			return err
		}
	}
	return nil
}

// proxyRequest asks for everything; Thanos wants a matcher.
func proxyRequest() *storepb.SeriesRequest {
	return &storepb.SeriesRequest{
		MinTime: math.MinInt64, MaxTime: math.MaxInt64, ResponseBatchSize: ratioBatch,
		Matchers: []storepb.LabelMatcher{{Type: storepb.LabelMatcher_NEQ, Name: "none", Value: "x"}},
	}
}

func fanoutRequest() *store.SeriesRequest {
	return &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}
}

func batches(series []*storepb.Series, size int) (out []*storepb.SeriesResponse) {
	for c := range slices.Chunk(series, size) {
		out = append(out, storepb.NewBatchResponse(c))
	}
	return out
}

func batchesOf(answers [][]*storepb.Series) [][]*storepb.SeriesResponse {
	out := make([][]*storepb.SeriesResponse, len(answers))
	for i, a := range answers {
		out[i] = batches(a, ratioBatch)
	}
	return out
}

// framesOf are the messages as our decoder leaves them.
func framesOf(t testing.TB, responses []*storepb.SeriesResponse) (out frameStore) {
	t.Helper()
	for _, r := range responses {
		b, err := r.Marshal()
		testutil.Ok(t, err)
		f := encoded.NewFrame(nil)
		var d wire.Decoder
		_, err = d.Response(b, f)
		testutil.Ok(t, err)
		out = append(out, f)
	}
	return out
}

// randomAnswer has series in parts and chunks of every kind, many at equal
// times. Data of different chunks differs: Thanos goes by hashes of it and does
// not look at times.
func randomAnswer(r *rand.Rand) []*storepb.Series {
	var out []*storepb.Series
	for range r.IntN(100) {
		sb := labels.NewScratchBuilder(4)
		for _, n := range []string{"__name__", "a", "b", "c"} {
			if r.IntN(3) > 0 {
				sb.Add(n, fmt.Sprint(r.IntN(4)))
			}
		}
		s := &storepb.Series{Labels: labelpb.ZLabelsFromPromLabels(sb.Labels())}
		for range r.IntN(6) {
			mint, maxt := int64(r.IntN(4)), int64(4+r.IntN(2))
			data := func(kind string) *storepb.Chunk {
				e := storepb.Chunk_Encoding(r.IntN(3))
				return &storepb.Chunk{Type: e, Data: fmt.Appendf(nil, "%d %d %d %s %d", mint, maxt, e, kind, r.IntN(2))}
			}
			c := storepb.AggrChunk{MinTime: mint, MaxTime: maxt}
			if r.IntN(3) > 0 {
				c.Raw = data("raw")
			} else {
				// Of identical chunks with several aggregates Thanos keeps one for
				// each aggregate; we keep one.
				kind := r.IntN(5)
				*[]**storepb.Chunk{&c.Count, &c.Sum, &c.Min, &c.Max, &c.Counter}[kind] = data(fmt.Sprint(kind))
			}
			s.Chunks = append(s.Chunks, c)
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b *storepb.Series) int {
		return labels.Compare(labelpb.ZLabelsToPromLabels(a.Labels), labelpb.ZLabelsToPromLabels(b.Labels))
	})
	return out
}

// Our fan-out sends what Thanos' proxy does: the same series, with the same
// chunks in the same order.
func TestFanoutEqualsProxy(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		var clients []storepb.StoreClient
		var stores []store.Store
		var answer []*storepb.Series
		for range 1 + r.IntN(24) {
			if r.IntN(4) > 0 { // else a replica with the same data
				answer = randomAnswer(r)
			}
			clients = append(clients, inProcess(batches(answer, 1+r.IntN(30))))
			stores = append(stores, framesOf(t, batches(answer, 1+r.IntN(30))))
		}
		want := &seriesAnswer{}
		testutil.Ok(t, thanosProxy(thanosstore.EagerRetrieval, clients...).Series(proxyRequest(), &proxyReader{ctx: t.Context(), answer: want}))
		got, err := ourAnswerOf(t, ourFanout(t, stores...), fanoutRequest())
		testutil.Ok(t, err)
		requireAnswer(t, want, got)
	}
}

// replicaAnswers are those of members in pairs of replicas, each of which has
// the same series, with the same chunks or with chunks of its own. Pairs have
// every n-th series.
func replicaAnswers(series, members int, identical bool) [][]*storepb.Series {
	all := kubeSeries(series)
	out := make([][]*storepb.Series, members)
	for i := range out {
		for j := i / 2; j < len(all); j += members / 2 {
			s := all[j]
			if i%2 == 1 && !identical {
				s = offsetReplica(s)
			}
			out[i] = append(out[i], s)
		}
	}
	return out
}

func offsetReplica(s *storepb.Series) *storepb.Series {
	out := &storepb.Series{Labels: s.Labels, Chunks: slices.Clone(s.Chunks)}
	for i, c := range out.Chunks {
		data := slices.Clone(c.Raw.Data)
		data[len(data)-1] ^= 1
		out.Chunks[i] = storepb.AggrChunk{MinTime: c.MinTime + 7000, MaxTime: c.MaxTime + 7000, Raw: &storepb.Chunk{Data: data}}
	}
	return out
}

// ratioCases are the shapes of TestRatioFanout. If times are taken, answers are
// also so long that what a call costs by itself does not count.
func ratioCases(f func(name string, series, members int, answers [][]*storepb.Series)) {
	sizes := []int{ratioSeries}
	if *ratioPairs > 0 {
		sizes = append(sizes, 4*ratioSeries)
	}
	for _, series := range sizes {
		for _, members := range []int{4, 16} {
			for _, identical := range []bool{true, false} {
				kind := "offset"
				if identical {
					kind = "identical"
				}
				f(fmt.Sprintf("%d series/%d members/%s replicas", series, members, kind), series, members, replicaAnswers(series, members, identical))
			}
		}
	}
}

func countsSeries(t testing.TB, answers [][]*storepb.Series, want int, proxy *thanosstore.ProxyStore, ours store.Store) pair.Work {
	items := 0
	for _, a := range answers {
		items += len(a)
	}
	return pair.Work{
		Items: items,
		Thanos: func() {
			r := &proxyReader{ctx: t.Context()}
			testutil.Ok(t, proxy.Series(proxyRequest(), r))
			testutil.Equals(t, want, r.series)
		},
		Ours: func() {
			var c frameCounter
			testutil.Ok(t, ours.Series(t.Context(), fanoutRequest(), &c))
			testutil.Equals(t, want, c.series)
		},
	}
}

// TestRatioFanout merges what members in the same process send, already
// decoded: frames for ours, messages for Thanos. Items are series of members.
func TestRatioFanout(t *testing.T) {
	ratioCases(func(name string, series, members int, answers [][]*storepb.Series) {
		for _, retrieval := range []thanosstore.RetrievalStrategy{thanosstore.EagerRetrieval, thanosstore.LazyRetrieval} {
			t.Run(fmt.Sprintf("%s/beside %s", name, retrieval), func(t *testing.T) {
				var clients []storepb.StoreClient
				var stores []store.Store
				for _, a := range answers {
					clients = append(clients, inProcess(batches(a, ratioBatch)))
					stores = append(stores, framesOf(t, batches(a, ratioBatch)))
				}
				proxy, ours := thanosProxy(retrieval, clients...), ourFanout(t, stores...)
				requireFanout(t, series, proxy, ours)
				thanos, us, r := countsSeries(t, answers, series, proxy, ours).Compare(t, *ratioPairs)
				testutil.Assert(t, us.Allocs*10 <= thanos.Allocs, "%.0f allocations beside %.0f", us.Allocs, thanos.Allocs)
				testutil.Assert(t, r.N == 0 || r.Median >= 2.5, "median %.2f", r.Median)
			})
		}
	})
}

// TestRatioFanoutGRPC does the same over gRPC on loopback, beside Thanos' eager
// proxy: with the very same frames for both, from servers in another process that
// do nothing but send them; with Thanos' own servers for Thanos; and with ours for
// both, which do less work for it.
//
// The time that passes has the senders in it, which share the machine's cores
// with who is measured. So what the fan-out is held to is the processor time of
// this process, and answers that are not so short that it is that of 16 calls.
func TestRatioFanoutGRPC(t *testing.T) {
	ratioCases(func(name string, series, members int, answers [][]*storepb.Series) {
		for _, servers := range []string{"the same frames", "its own servers", "our servers"} {
			t.Run(fmt.Sprintf("%s/beside Thanos on %s", name, servers), func(t *testing.T) {
				var clients []storepb.StoreClient
				var stores []store.Store
				var replays []string
				if servers == "the same frames" {
					replays = replayServers(t, batchesOf(answers))
				}
				for i, a := range answers {
					var addr string
					if servers == "the same frames" {
						addr = replays[i]
						stores = append(stores, undescribed{ourClient(t, addr, nil)})
					} else {
						addr = ourServer(t, framesOf(t, batches(a, ratioBatch)), grpcstore.GRPCServerOptions(nil))
						stores = append(stores, ourClient(t, addr, nil))
					}
					if servers == "its own servers" {
						addr = thanosServer(t, &thanosPeer{responses: batches(a, ratioBatch)}, nil)
					}
					clients = append(clients, storepb.NewStoreClient(grpcConn(t, addr, "")))
				}
				proxy, ours := thanosProxy(thanosstore.EagerRetrieval, clients...), ourFanout(t, stores...)
				testutil.Ok(t, ours.Sync(t.Context()))
				requireFanout(t, series, proxy, ours)
				thanos, us, r := countsSeries(t, answers, series, proxy, ours).Compare(t, *ratioPairs)
				testutil.Assert(t, us.Allocs*10 <= thanos.Allocs, "%.0f allocations beside %.0f", us.Allocs, thanos.Allocs)
				if servers == "the same frames" && members == 16 && series > ratioSeries {
					testutil.Assert(t, r.N == 0 || r.CPU >= 3, "median %.2f", r.CPU)
				}
			})
		}
	})
}

// undescribed is a Store without its Info.
type undescribed struct{ next store.Store }

func (s undescribed) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	return s.next.Series(ctx, req, w)
}

func requireFanout(t testing.TB, series int, proxy *thanosstore.ProxyStore, ours store.Store) {
	t.Helper()
	want := &seriesAnswer{}
	testutil.Ok(t, proxy.Series(proxyRequest(), &proxyReader{ctx: t.Context(), answer: want}))
	got, err := ourAnswerOf(t, ours, fanoutRequest())
	testutil.Ok(t, err)
	requireAnswer(t, want, got)
	testutil.Equals(t, series, len(got.Series))
}
