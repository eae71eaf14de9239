package faults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// fanOver is a fan-out as a rig, of which nothing else is known.
func fanOver(t testing.TB, name string, members ...fanout.Member) *rig {
	t.Helper()
	return fanWith(t, fanout.Options{Name: name}, members...)
}

func fanWith(t testing.TB, opts fanout.Options, members ...fanout.Member) *rig {
	t.Helper()
	r := &rig{reg: prometheus.NewRegistry()}
	opts.Registerer = r.reg
	var err error
	r.Store, err = fanout.New(fanout.Static(members...), &opts)
	testutil.Ok(t, err)
	return r
}

// later is a Store that is set when what holds it is there.
type later struct{ *fanout.Store }

// TestCirclesOverGRPC: fan-outs that ask each other in a circle, over gRPC, end at
// once, with what each has, and an error that shows the circle.
func TestCirclesOverGRPC(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"A"}, {"A", "B"}, {"A", "B", "C"}, {"A", "B", "C", "D", "E"}} {
		path := strings.Join(append(slices.Clone(names), "A"), " -> ")
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next := make([]*later, len(names))
				clients := make([]remote, len(names))
				for i := range names {
					next[i] = &later{}
					clients[i] = overMemory(t, next[i])
				}
				rigs := make([]*rig, len(names))
				want := data{}
				for i, n := range names {
					own := hold(t, 5, n)
					maps.Copy(want, dataOf(t, own))
					rigs[i] = fanOver(t, n, fanout.Member{Name: "next", Store: clients[(i+1)%len(names)]},
						fanout.Member{Name: "own", Store: overMemory(t, own)})
					next[i].Store = rigs[i].Store
				}
				for range 2 { // before Info is known, and after
					a := rigs[0].ask(t, store.Warn)
					testutil.Ok(t, a.err)
					testutil.Equals(t, int64(0), int64(a.took))
					a.data.holds(t, want, data{})
					looped := 0
					for _, m := range a.outcome.Members() {
						if m.Status == store.Answered {
							continue
						}
						looped++
						testutil.Equals(t, strings.TrimSuffix(strings.Repeat("next/", len(names)), "/"), m.Member)
						testutil.Equals(t, store.Failed, m.Status)
						testutil.Assert(t, errors.Is(m.Err, store.ErrLoop), "%v", m.Err)
						testutil.Assert(t, strings.HasSuffix(m.Err.Error(), ": "+path), "%v", m.Err)
					}
					testutil.Equals(t, 1, looped, "%s", statuses(a.outcome))
					testutil.Equals(t, 1, len(a.warnings), "%v", a.warnings)

					a = rigs[0].ask(t, store.Abort)
					testutil.Assert(t, errors.Is(a.err, store.ErrLoop) && strings.HasSuffix(a.err.Error(), path), "%v", a.err)
					for _, r := range rigs {
						err := r.Sync(t.Context())
						testutil.Assert(t, err == nil || len(names) == 1 && errors.Is(err, store.ErrLoop), "%v", err)
					}
				}
				for _, r := range rigs {
					r.leavesNothing(t)
				}
			})
		})
	}
}

// TestStackedReceipts: what became of a leaf is known at the top of fan-outs over
// fan-outs, with a hop of gRPC between any two, and by whom it is required.
func TestStackedReceipts(t *testing.T) {
	t.Parallel()
	requires := func(cluster string) func(*store.SeriesRequest) {
		return func(req *store.SeriesRequest) {
			req.Require = [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "cluster", cluster)}}
		}
	}
	for name, arrived := range map[string]int{"fails": 0, "fails mid-stream": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad := faulty{Store: hold(t, seriesEach, "c"), series: failsAfter(arrived)}
				well := map[string]remote{}
				want := data{}
				for _, cluster := range []string{"d", "e", "f"} {
					well[cluster] = overMemory(t, hold(t, seriesEach, cluster))
					maps.Copy(want, dataOf(t, hold(t, seriesEach, cluster)))
				}
				b := fanOver(t, "", fanout.Member{Name: "c", Store: overMemory(t, bad)}, fanout.Member{Name: "d", Store: well["d"]})
				a := fanOver(t, "", fanout.Member{Name: "b", Store: overMemory(t, b)}, fanout.Member{Name: "e", Store: well["e"]})
				top := fanOver(t, "", fanout.Member{Name: "a", Store: overMemory(t, a)}, fanout.Member{Name: "f", Store: well["f"]})

				for _, r := range []struct {
					*rig
					members, failed string
				}{
					{b, "c failed, d answered", "c"},
					{a, "b answered, b/c failed, b/d answered, e answered", "b/c"},
					{top, "a answered, a/b answered, a/b/c failed, a/b/d answered, a/e answered, f answered", "a/b/c"},
				} {
					got := r.ask(t, store.Warn)
					testutil.Ok(t, got.err)
					testutil.Equals(t, r.members, statuses(got.outcome))
					for cluster := range well {
						if strings.Contains(r.members, cluster+" ") {
							testutil.Equals(t, seriesEach, got.data.of(cluster))
						}
					}
					testutil.Equals(t, arrived, got.data.of("c"))
					got.data.holds(t, data{}, all(want, dataOf(t, bad.Store)))
					testutil.Equals(t, 1, len(got.warnings), "%v", got.warnings)
					i := slices.IndexFunc(got.outcome.Members(), func(m store.MemberOutcome) bool { return m.Member == r.failed })
					m := got.outcome.Members()[i]
					testutil.Assert(t, errors.Is(m.Err, store.ErrUnavailable), "%v", m.Err)
					testutil.Assert(t, strings.HasPrefix(m.Err.Error(), "store c: series: "), "%v", m.Err)
					testutil.Equals(t, `[{cluster="c"}]`, fmt.Sprint(m.LabelSets))
					testutil.Equals(t, int64(arrived), m.Series)

					got = r.ask(t, store.Abort)
					testutil.Assert(t, errors.Is(got.err, store.ErrUnavailable), "%v", got.err)
					testutil.Assert(t, strings.Contains(got.err.Error(), "store c: series: "), "%v", got.err)

					got = r.ask(t, store.Warn, requires("c"))
					var incomplete *store.IncompleteError
					testutil.Assert(t, errors.Is(got.err, store.ErrIncomplete) && errors.As(got.err, &incomplete), "%v", got.err)
					testutil.Equals(t, 1, len(incomplete.Members))
					testutil.Equals(t, r.failed, incomplete.Members[0].Member)
					testutil.Assert(t, errors.Is(got.err, store.ErrUnavailable), "%v", got.err)
					testutil.Assert(t, strings.HasPrefix(got.err.Error(), `incomplete answer: {cluster="c"} is required, but member `+r.failed+" failed: store c: series: "), "%v", got.err)

					got = r.ask(t, store.Warn, requires("d"))
					testutil.Ok(t, got.err)
					testutil.Equals(t, seriesEach, got.data.of("d"))
				}
				for _, r := range []*rig{a, b} {
					r.leavesNothing(t)
				}
			})
		})
	}
}

// failsAfter sends so many series and then fails.
func failsAfter(n int) func(ctx context.Context, ss []*store.Series, w store.SeriesWriter) error {
	return func(_ context.Context, ss []*store.Series, w store.SeriesWriter) error {
		return errors.Join(sendAll(ss[:n], w), store.ErrUnavailable)
	}
}

// all is the union.
func all(of ...data) data {
	out := data{}
	for _, d := range of {
		maps.Copy(out, d)
	}
	return out
}

// TestShardsOfBlocksOverGRPC: two gateways that say exactly the same of themselves,
// with half of the blocks each, are both asked, and one that fails is missed.
func TestShardsOfBlocksOverGRPC(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		whole := hold(t, seriesEach, "eu")
		shard := func(keep int) faulty {
			return faulty{Store: whole, series: func(_ context.Context, ss []*store.Series, w store.SeriesWriter) error {
				for _, s := range ss {
					s.Chunks = s.Chunks[keep : keep+1] // a block each
					if err := w.Send(s); err != nil {
						return err
					}
				}
				return nil
			}}
		}
		first, second := shard(0), shard(1)
		members := []fanout.Member{{Name: "gateway-0", Store: overMemory(t, first)}, {Name: "gateway-1", Store: overMemory(t, second)}}
		r := fanOver(t, "", members...)
		for range 2 {
			got := r.ask(t, store.Abort)
			testutil.Ok(t, got.err)
			testutil.Equals(t, "gateway-0 answered, gateway-1 answered", statuses(got.outcome))
			got.data.holds(t, dataOf(t, whole), data{})
			testutil.Ok(t, r.Sync(t.Context()))
		}
		testutil.Equals(t, r.Health()[0].Info, r.Health()[1].Info)

		second.series = failsAfter(0)
		r = fanOver(t, "", members[0], fanout.Member{Name: "gateway-1", Store: overMemory(t, second)})
		got := r.ask(t, store.Warn)
		testutil.Ok(t, got.err)
		testutil.Equals(t, "gateway-0 answered, gateway-1 failed", statuses(got.outcome))
		testutil.Equals(t, seriesEach, got.data.of("eu"))
	})
}
