package fanoutgroups

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/atomic"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/thanos-io/thanos/pkg/component"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"
	storetestutil "github.com/thanos-io/thanos/pkg/store/storepb/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// peer is a member of both fan-outs that says what it was asked.
type peer struct {
	name string
	info store.Info

	mu    sync.Mutex
	asked []string
}

func (p *peer) record(ms string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, ms)
}

func (p *peer) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.asked
	p.asked = nil
	return out
}

// theirs answers Thanos' proxy.
type theirs struct {
	storepb.UnimplementedStoreServer
	peer *peer
}

func (s *theirs) Series(req *storepb.SeriesRequest, _ storepb.Store_SeriesServer) error {
	ms, err := storepb.MatchersToPromMatchers(req.Matchers...)
	if err != nil {
		return err
	}
	s.peer.record(fmt.Sprint(ms))
	return nil
}

// ours answers our fan-out.
type ours struct{ peer *peer }

func (s ours) Series(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
	s.peer.record(fmt.Sprint(req.Matchers))
	return nil
}

func (s ours) Describe(context.Context) (store.Info, error) { return s.peer.info, nil }

type discard struct {
	grpc.ServerStream
	ctx context.Context
}

func (d discard) Context() context.Context           { return d.ctx }
func (d discard) Send(*storepb.SeriesResponse) error { return nil }

// world draws members, requests and what they are about from few names, so that
// they often meet.
type world struct{ *rand.Rand }

func (w world) name() string  { return []string{"cluster", "region", "job"}[w.IntN(3)] }
func (w world) value() string { return []string{"a", "b", "c"}[w.IntN(3)] }

func (w world) labels(least int) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for range least + w.IntN(2) {
		b.Set(w.name(), w.value())
	}
	return b.Labels()
}

func (w world) matcher(name string) *labels.Matcher {
	v := w.value()
	typ := labels.MatchType(w.IntN(4))
	switch w.IntN(4) {
	case 0:
		v = ""
	case 1:
		v += "|" + w.value()
	}
	return labels.MustNewMatcher(typ, name, v)
}

func (w world) peers() []*peer {
	out := make([]*peer, 1+w.IntN(5))
	for i := range out {
		p := &peer{name: fmt.Sprint("m", i)}
		p.info.MinTime = 1 + w.Int64N(50)
		p.info.MaxTime = p.info.MinTime + w.Int64N(50)
		for range w.IntN(3) {
			p.info.LabelSets = append(p.info.LabelSets, w.labels(1))
		}
		out[i] = p
	}
	return out
}

// The same members are asked, with the same matchers, and the same is announced.
func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	asked, refused := 0, 0
	for seed := range uint64(3000) {
		w := world{rand.New(rand.NewPCG(seed, 1))}
		peers := w.peers()
		selector := labels.EmptyLabels()
		if w.IntN(2) == 0 {
			selector = w.labels(0)
		}
		var clients []thanosstore.Client
		var members []fanout.Member
		for _, p := range peers {
			clients = append(clients, &storetestutil.TestClient{
				StoreClient: storepb.ServerAsClient(&theirs{peer: p}, atomic.Bool{}), Name: p.name, ExtLset: p.info.LabelSets,
				MinTime: p.info.MinTime, MaxTime: p.info.MaxTime, Shardable: true, WithoutReplicaLabelsEnabled: true,
			})
			members = append(members, fanout.Member{Name: p.name, Store: ours{p}})
		}
		proxy := thanosstore.NewProxyStore(nil, nil, func() []thanosstore.Client { return clients }, component.Query, selector, 0, thanosstore.EagerRetrieval)
		f, err := fanout.New(fanout.Static(members...), &fanout.Options{SelectorLabels: selector})
		testutil.Ok(t, err)

		info, err := f.Describe(t.Context())
		testutil.Ok(t, err)
		anything := slices.ContainsFunc(peers, func(p *peer) bool { return len(p.info.LabelSets) == 0 })
		if !anything { // else Thanos announces less than there may be
			testutil.Equals(t, theirSets(proxy), sorted(info.LabelSets), "seed %d", seed)
		}

		ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotEqual, "none", "x")} // Thanos wants one
		for range w.IntN(3) {
			ms = append(ms, w.matcher(w.name()))
		}
		var match [][]*labels.Matcher
		for range w.IntN(3) {
			sel := []*labels.Matcher{w.matcher(w.name())}
			for range w.IntN(3) {
				typ := labels.MatchType(w.IntN(4))
				sel = append(sel, labels.MustNewMatcher(typ, "__address__", fmt.Sprint("m", w.IntN(5))))
			}
			match = append(match, sel)
		}
		mint := w.Int64N(100)
		maxt := mint + w.Int64N(30)

		wire, err := storepb.PromMatchersToMatchers(ms...)
		testutil.Ok(t, err)
		ctx := context.WithValue(t.Context(), thanosstore.StoreMatcherKey, match)
		testutil.Ok(t, proxy.Series(&storepb.SeriesRequest{MinTime: mint, MaxTime: maxt, Matchers: wire}, discard{ctx: ctx}))
		want := takeAll(peers)
		testutil.Ok(t, f.Series(t.Context(), &store.SeriesRequest{MinTime: mint, MaxTime: maxt, Matchers: ms, StoreMatch: match}, nobody{t}))
		testutil.Equals(t, want, takeAll(peers), "seed %d", seed)
		asked += len(want)
		refused += len(peers) - len(want)
	}
	testutil.Assert(t, asked > 1000 && refused > 1000, "%d asked, %d not", asked, refused)
}

type nobody struct{ t *testing.T }

func (n nobody) Send(*store.Series) error { n.t.Error("a series"); return nil }
func (n nobody) Warn(err error) error     { n.t.Error(err); return nil }

func takeAll(peers []*peer) map[string][]string {
	out := map[string][]string{}
	for _, p := range peers {
		if asked := p.take(); asked != nil {
			out[p.name] = asked
		}
	}
	return out
}

func sorted(sets []labels.Labels) []string {
	out := make([]string, len(sets))
	for i, lset := range sets {
		out[i] = lset.String()
	}
	slices.Sort(out)
	return out
}

func theirSets(p *thanosstore.ProxyStore) []string {
	var sets []labels.Labels
	for _, z := range p.LabelSet() {
		sets = append(sets, labelpb.ZLabelsToPromLabels(z.Labels))
	}
	return sorted(sets)
}
