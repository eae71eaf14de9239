package storetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// twin is a Store that is wrong in exactly one way.
type twin struct {
	// check is the one that finds it.
	check string
	// wrong says in which way, in the words of who wrote the Store.
	wrong string
	// make breaks a Store that is right. stop is closed when the test is over.
	make func(t *testing.T, s store.Store, f *Fixture, stop <-chan struct{}) store.Store
	// unsent says that gRPC's ends find it, so that nothing of it is on the wire.
	unsent bool
	// conn, if not nil, breaks the connection to the Store instead.
	conn func(grpc.ClientConnInterface) grpc.ClientConnInterface
}

// skippedWith are the checks that are skipped if one fails, because they have
// nothing to say then.
var skippedWith = map[string][]string{
	checkInfo:         nil, // filled in by TestTwins: all others
	checkSeries:       nil,
	checkCapabilities: {"replica-labels", "order-replica-labels", "skip-chunks-replica-labels", "limit-replica-labels", "label-queries-replica-labels", "sharding-hash", "sharding-by", "sharding-without", "sharding-skip-chunks", "sharding-limit", "sharding-replica-labels"},
	checkPrompt:       {"cancellation", "goroutines"},
}

// reference returns a Store that is right.
func reference(t testing.TB, f *Fixture) store.Store {
	t.Helper()
	s := memstore.New(&memstore.Options{Component: "twin", LabelSets: []labels.Labels{f.ExternalLabels()}})
	for _, x := range f.Sent() {
		if err := s.AddSeries(x); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range f.Downsampled() {
		d.Series.Labels = f.extend(d.Series.Labels)
		if err := s.AddDownsampled(d.Resolution, d.Series); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// fixtures are made once. The large one is large only where it matters.
var fixtures = sync.OnceValues(func() (f, large *Fixture) {
	f, err := NewFixture(nil)
	if err != nil {
		panic(err)
	}
	if large, err = newLargeFixture(labels.EmptyLabels(), 1<<10, 1000); err != nil {
		panic(err)
	}
	return f, large
})

// checksOf returns the checks to make on the i-th twin, all if there are none. What
// the race detector has something to see in is those of calls: it has these, what
// finds the twin and what others need, and a share of the rest, another one for each.
func checksOf(i int, finds ...string) []string {
	if raceStride == 1 {
		return nil
	}
	names := slices.Concat(finds, []string{checkInfo, checkSeries, checkCapabilities})
	for _, c := range callChecks() {
		names = append(names, c.name)
	}
	for n, c := range all() {
		if (n+i)%raceStride == 0 {
			names = append(names, c.name)
		}
	}
	return names
}

// judge makes checks on a Store, all if there are none: in process, and those of the
// wire over a connection, unless gRPC's ends find something of it first. It is called
// in a bubble, where a pause costs no time and a loaded machine is as fast as any.
func judge(t *testing.T, tw *twin, checks []string) map[string]Result {
	t.Helper()
	f, large := fixtures()
	if tw.check == "large-messages" {
		var err error
		if large, err = newLargeFixture(labels.EmptyLabels(), manyBytes, 1000); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	open := func(f *Fixture) store.Store {
		if tw.make == nil {
			return reference(t, f)
		}
		return tw.make(t, reference(t, f), f, stop)
	}
	var h Harness
	p, err := h.probe(open(f), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.large = func() (store.Store, *Fixture, error) { return open(large), large, nil }
	wired := p
	if !tw.unsent {
		conn := serve(t, open(f))
		client, err := grpcstore.NewClient(conn, "under test", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tw.conn != nil {
			conn = tw.conn(conn)
		}
		if wired, err = h.probe(client, f, conn); err != nil {
			t.Fatal(err)
		}
		wired.failed = p.failed
	}
	t.Cleanup(func() { close(stop) }) // before the server stops, which waits for its calls
	out := map[string]Result{}
	for _, c := range all() {
		if len(checks) > 0 && !slices.Contains(checks, c.name) {
			continue
		}
		if c.conn {
			out[c.name] = wired.run(t.Context(), &c)
		} else {
			out[c.name] = p.run(t.Context(), &c)
		}
	}
	return out
}

// TestReference makes all checks on a Store that is right: none fails, and none
// is skipped.
func TestReference(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, r := range judge(t, &twin{}, nil) {
			if r.Status != OK {
				t.Errorf("%s: %s", name, r)
			}
		}
	})
}

// TestTwins proves the kit: of each broken Store exactly one check says so.
func TestTwins(t *testing.T) {
	t.Parallel()
	for i, tw := range twins() {
		t.Run(tw.check+"/"+tw.wrong, func(t *testing.T) {
			t.Parallel()
			var results map[string]Result
			synctest.Test(t, func(t *testing.T) { results = judge(t, &tw, checksOf(i, tw.check)) })
			if r := results[tw.check]; r.Status != Failed {
				t.Errorf("the check does not find it: %s", r)
			} else {
				t.Log(r)
			}
			for _, name := range slices.Sorted(maps.Keys(results)) {
				r := results[name]
				switch {
				case name == tw.check || r.Status == OK:
				case tw.unsent && (name == "batches" || name == "batch-sizes"):
				case r.Status == Skipped && (tw.check == checkInfo || tw.check == checkSeries || slices.Contains(skippedWith[tw.check], name)):
				default:
					t.Errorf("another check takes it for its own: %s", r)
				}
			}
		})
	}
}

// TestTwinsOfAnyStore makes the checks that need no fixture, without it: what
// is wrong with a Store is still found by the check that is there for it, or if
// it cannot be told without the fixture, by none.
func TestTwinsOfAnyStore(t *testing.T) {
	t.Parallel()
	f, _ := fixtures()
	// What is found with less to go by is found elsewhere, or not at all.
	instead := map[string]string{"order-overridden-labels": "order", "large-messages": ""}
	// A moment is in a chunk that hangs over it, if no chunk is a single sample.
	also := map[string]string{"overhanging-chunks": "bounds-inclusive"}
	for _, c := range all() {
		if c.fixture {
			instead[c.name] += ""
		}
	}
	for i, tw := range twins() {
		if tw.make == nil {
			continue
		}
		want, ok := instead[tw.check]
		if !ok {
			want = tw.check
		}
		wanted := slices.DeleteFunc([]string{want, also[want]}, func(name string) bool { return name == "" })
		t.Run(tw.check+"/"+tw.wrong, func(t *testing.T) {
			t.Parallel()
			var results []Result
			synctest.Test(t, func(t *testing.T) {
				_, maxt := f.TimeRange()
				<-time.After(time.Until(time.UnixMilli(maxt).Add(time.Hour))) // a bubble begins in 2000
				stop := make(chan struct{})
				t.Cleanup(func() { close(stop) })
				o, err := (&Options{ReplicaLabels: []string{labelReplica}, Checks: checksOf(i, wanted...)}).withDefaults()
				if err != nil {
					t.Fatal(err)
				}
				p := newProbe(tw.make(t, reference(t, f), f, stop), o, nil)
				if strings.HasPrefix(tw.check, "matchers") {
					p.values = 16
				}
				if results, err = p.check(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
			found := ""
			for _, r := range results {
				if r.Status != Failed {
					continue
				}
				if r.Check == want {
					found = want
				} else if r.Check != also[want] {
					t.Errorf("another check takes it for its own: %s", r)
				}
			}
			if found != want {
				t.Errorf("found by %q, want %q", found, want)
			}
		})
	}
}

// TestEveryCheckHasATwin keeps the proof complete.
func TestEveryCheckHasATwin(t *testing.T) {
	t.Parallel()
	has := map[string]bool{}
	for _, tw := range twins() {
		has[tw.check] = true
	}
	for _, c := range all() {
		if !has[c.name] {
			t.Errorf("no broken twin shows that %s can fail", c.name)
		}
		delete(has, c.name)
	}
	for name := range has {
		t.Errorf("a twin is for %s, which is no check", name)
	}
}

// broken is a Store of which some calls are altered.
type broken struct {
	store.Store
	series   func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error
	names    func(ctx context.Context, req *store.LabelNamesRequest) ([]string, error)
	values   func(ctx context.Context, req *store.LabelValuesRequest) ([]string, error)
	describe func(ctx context.Context) (store.Info, error)
}

func (b *broken) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	if b.series == nil {
		return b.Store.Series(ctx, req, w)
	}
	return b.series(ctx, req, w)
}

func (b *broken) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	if b.names == nil {
		return store.LabelNames(ctx, b.Store, req)
	}
	return b.names(ctx, req)
}

func (b *broken) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	if b.values == nil {
		return b.Store.(store.LabelQuerier).LabelValues(ctx, req)
	}
	return b.values(ctx, req)
}

func (b *broken) Describe(ctx context.Context) (store.Info, error) {
	if b.describe == nil {
		return store.Describe(ctx, b.Store)
	}
	return b.describe(ctx)
}

// readAll reads an answer.
func readAll(ctx context.Context, s store.Store, req *store.SeriesRequest) ([]*store.Series, error) {
	var out []*store.Series
	for x, err := range store.All(ctx, s, req, req.Outcome) {
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// send sends series until an error.
func send(w store.SeriesWriter, ss []*store.Series) error {
	for _, s := range ss {
		if err := w.Send(s); err != nil {
			return err
		}
	}
	return nil
}

// answers makes a twin that alters whole answers.
func answers(alter func(req *store.SeriesRequest, f *Fixture, ss []*store.Series) []*store.Series) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(_ *testing.T, s store.Store, f *Fixture, _ <-chan struct{}) store.Store {
		return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			ss, err := readAll(ctx, s, req)
			if err != nil {
				return err
			}
			return send(w, alter(req, f, ss))
		}}
	}
}

// each makes a twin that alters series of a metric; nil leaves one out.
func each(metric string, alter func(req *store.SeriesRequest, s *store.Series) *store.Series) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return answers(func(req *store.SeriesRequest, _ *Fixture, ss []*store.Series) []*store.Series {
		var out []*store.Series
		for _, s := range ss {
			if s.Labels.Get(labels.MetricName) == metric {
				s = alter(req, s)
			}
			if s != nil {
				out = append(out, s)
			}
		}
		return out
	})
}

// requests makes a twin that asks for something else than it was asked for.
func requests(alter func(req *store.SeriesRequest)) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
		return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			r := *req
			r.Matchers = slices.Clone(req.Matchers)
			alter(&r)
			return s.Series(ctx, &r, w)
		}}
	}
}

// plain reports whether a request asks for raw data, and nothing unusual.
func plain(r *store.SeriesRequest) bool {
	return len(r.WithoutReplicaLabels) == 0 && r.Shard == nil && r.Limit == 0 && !r.SkipChunks && r.MaxResolution == 0 && r.Hints == nil &&
		r.StoreHints == nil && r.Strategy == store.Warn
}

func index(ss []*store.Series, metric string) int {
	return slices.IndexFunc(ss, func(s *store.Series) bool { return s.Labels.Get(labels.MetricName) == metric })
}
