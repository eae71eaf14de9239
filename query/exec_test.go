package query_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

var errDown = errors.New("connection refused")

// failing is a fan-out of which one member gives a series and another is down.
func failing(tb testing.TB) store.Store {
	chunk := raw(tb, every(1000, 0, 60, 1, 1))
	return store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		err := &store.Error{Store: "store-b", Op: "series", Err: errDown}
		req.Outcome.AddMember(store.MemberOutcome{Member: "store-b", Status: store.Failed, Err: err})
		if req.Strategy == store.Abort {
			return err
		}
		if err := w.Warn(err); err != nil {
			return err
		}
		return w.Send(series("up", chunk))
	})
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	q := newQuerier(t, failing(t), nil)
	mine := &store.Outcome{}
	res, err := q.Instant(context.Background(), "rate(up[30s]) + up", time.Unix(60, 0), &query.QueryOptions{Outcome: mine})
	testutil.Ok(t, err)
	defer res.Close()
	testutil.Equals(t, 2, len(res.Warnings), "one for each selector")
	for _, w := range res.Warnings {
		var se *store.Error
		testutil.Assert(t, errors.As(w, &se) && se.Store == "store-b" && errors.Is(w, errDown), "%v", w)
	}
	testutil.Equals(t, 1, len(res.Annotations))
	for _, a := range res.Annotations {
		testutil.Assert(t, errors.Is(a, annotations.PromQLInfo) && strings.Contains(a.Error(), "might not be a counter"), "%v", a)
	}
	for _, out := range []*store.Outcome{res.Outcome, mine} {
		testutil.Equals(t, 2, len(out.Members()))
		testutil.Equals(t, store.Failed, out.Members()[0].Status)
		testutil.Assert(t, !out.Complete())
	}

	res, err = newQuerier(t, plainStore(), nil).Instant(context.Background(), "rate(up[30s])", time.Unix(60, 0), nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(res.Warnings))
	testutil.Assert(t, res.Outcome.Complete())
}

func TestAbort(t *testing.T) {
	t.Parallel()
	mine := &store.Outcome{}
	for name, ask := range map[string]func(*query.Querier, *query.QueryOptions) error{
		"instant": func(q *query.Querier, o *query.QueryOptions) error {
			_, err := q.Instant(context.Background(), "sum(up)", time.Unix(60, 0), o)
			return err
		},
		"range": func(q *query.Querier, o *query.QueryOptions) error {
			_, err := q.Range(context.Background(), "up offset 1s", time.Unix(60, 0), time.Unix(70, 0), time.Second, o)
			return err
		},
		"series": func(q *query.Querier, o *query.QueryOptions) error {
			_, _, err := q.Series(context.Background(), 0, 1, nil, o)
			return err
		},
		"label names": func(q *query.Querier, o *query.QueryOptions) error {
			_, _, err := q.LabelNames(context.Background(), 0, 1, nil, o)
			return err
		},
		"label values": func(q *query.Querier, o *query.QueryOptions) error {
			_, _, err := q.LabelValues(context.Background(), "job", 0, 1, nil, o)
			return err
		},
	} {
		err := ask(newQuerier(t, failing(t), nil), &query.QueryOptions{Strategy: new(store.Abort), Outcome: mine})
		var se *store.Error
		testutil.Assert(t, errors.As(err, &se) && se.Store == "store-b" && errors.Is(err, errDown), "%s: %v", name, err)
		testutil.Assert(t, !errors.Is(err, query.ErrInvalid) && !errors.Is(err, query.ErrCanceled) && !errors.Is(err, query.ErrTimeout), "%s: %v", name, err)
	}
	testutil.Equals(t, 5, len(mine.Members()), "the outcome tells of failed queries too")
}

// TestForeignEngine: an engine of the user's finds the same, typed, through
// Queryable.
func TestForeignEngine(t *testing.T) {
	t.Parallel()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute})
	q := newQuerier(t, failing(t), nil)
	ask := func(o *query.QueryOptions) *promql.Result {
		qry, err := engine.NewInstantQuery(context.Background(), q.Queryable(o), nil, "rate(up[30s])", time.Unix(60, 0))
		testutil.Ok(t, err)
		return qry.Exec(context.Background())
	}
	res := ask(nil)
	testutil.Ok(t, res.Err)
	v, err := res.Vector()
	testutil.Ok(t, err)
	testutil.Equals(t, 1.0, v[0].F)
	testutil.Equals(t, 2, len(res.Warnings))
	ours := 0
	for _, a := range res.Warnings {
		var se *store.Error
		if _, ok := errors.AsType[*query.Warning](a); ok {
			ours++
			testutil.Assert(t, errors.As(a, &se) && se.Store == "store-b", "%v", a)
			testutil.Assert(t, !errors.Is(a, annotations.PromQLInfo) && !errors.Is(a, annotations.PromQLWarning))
		}
	}
	testutil.Equals(t, 1, ours)

	res = ask(&query.QueryOptions{Strategy: new(store.Abort)})
	var se *store.Error
	testutil.Assert(t, errors.As(res.Err, &se) && se.Store == "store-b", "%v", res.Err)

	// As the engine of a Querier, with its own limits.
	_, err = newQuerier(t, plainStore(series("up", raw(t, every(1, 0, 2000, 1, 1)))), &query.Options{Engine: engine}).
		Instant(context.Background(), "up[10s]", time.Unix(2, 0), nil)
	var tooMany promql.ErrTooManySamples
	testutil.Assert(t, errors.As(err, &tooMany), "%v", err)
}

func TestInvalidQueries(t *testing.T) {
	t.Parallel()
	ctx, q := context.Background(), newQuerier(t, plainStore(), nil)
	at := time.Unix(60, 0)
	instant := func(expr string, o *query.QueryOptions) error {
		_, err := q.Instant(ctx, expr, at, o)
		return err
	}
	ranged := func(expr string, end time.Time, step time.Duration) error {
		_, err := q.Range(ctx, expr, at, end, step, nil)
		return err
	}
	_, badQueryable := q.Queryable(&query.QueryOptions{Limit: -1}).Querier(0, 1)
	_, _, noLabel := q.LabelValues(ctx, "", 0, 1, nil, nil)
	_, _, badNames := q.LabelNames(ctx, 0, 1, nil, &query.QueryOptions{Limit: -1})
	_, _, badSeries := q.Series(ctx, 0, 1, nil, &query.QueryOptions{Limit: -1})
	for name, err := range map[string]error{
		"does not parse":          instant("up{", nil),
		"no such function":        instant("frobnicate(up)", nil),
		"range vector in a range": ranged("up[5m]", at, time.Second),
		"no step":                 ranged("up", at, 0),
		"negative step":           ranged("up", at, -time.Second),
		"ends before it starts":   ranged("up", at.Add(-1), time.Second),
		"negative limit":          badQueryable,
		"no label":                noLabel,
		"negative names limit":    badNames,
		"negative series limit":   badSeries,
		"negative timeout":        instant("up", &query.QueryOptions{Timeout: -1}),
		"negative lookback":       instant("up", &query.QueryOptions{LookbackDelta: -1}),
		"negative resolution":     instant("up", &query.QueryOptions{MaxResolution: new(-time.Second)}),
		"nameless replica label":  instant("up", &query.QueryOptions{ReplicaLabels: []string{""}}),
	} {
		testutil.Assert(t, errors.Is(err, query.ErrInvalid), "%s: %v", name, err)
	}
	var pe parser.ParseErrors
	testutil.Assert(t, errors.As(instant("up{", nil), &pe) && pe[0].PositionRange.Start > 0, "positions are kept")
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := query.New(plainStore(), &query.Options{
		MaxResolution: -2, LookbackDelta: -1, Timeout: -1, MaxConcurrentSelects: -1, ReplicaLabels: []string{"a", ""}, PreferReplicas: []*labels.Matcher{nil},
	})
	for _, text := range []string{"max resolution", "lookback delta", "timeout", "max concurrent selects", "replica label", "preferred replicas"} {
		testutil.Assert(t, containsText(err, text), "%v does not tell of %s", err, text)
	}
	_, err = query.New(nil, nil)
	testutil.NotOk(t, err)
}

func TestOptionsAreCopied(t *testing.T) {
	t.Parallel()
	replicas := []string{"replica"}
	s := plainStore(&store.Series{Labels: labels.FromStrings("a", "1", "replica", "x"), Chunks: []store.Chunk{raw(t, floats(1, 1))}})
	q := newQuerier(t, s, &query.Options{ReplicaLabels: replicas})
	qo := &query.QueryOptions{ReplicaLabels: []string{"a"}}
	qb := q.Queryable(qo)
	replicas[0], qo.ReplicaLabels[0] = "changed", "changed"
	for want, qb := range map[string]storage.Queryable{`{a="1"}`: q.Queryable(nil), `{replica="x"}`: qb} {
		sq, err := qb.Querier(0, 10)
		testutil.Ok(t, err)
		set := sq.Select(context.Background(), true, nil)
		testutil.Assert(t, set.Next())
		testutil.Equals(t, want, set.At().Labels().String())
		testutil.Ok(t, sq.Close())
	}
}

// untilDone is a store that has nothing to say until it is told to stop.
func untilDone(started chan<- struct{}, err func(context.Context) error) store.Store {
	return store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		started <- struct{}{}
		<-ctx.Done()
		return err(ctx)
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(context.Context) error{
		"the store says so":               context.Context.Err,
		"the store has an error":          func(context.Context) error { return &store.Error{Store: "a", Op: "series", Err: errDown} },
		"the store takes itself for done": func(context.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, ask := range map[string]func(context.Context, *query.Querier) error{
				"instant": func(ctx context.Context, q *query.Querier) error {
					_, err := q.Instant(ctx, "up", time.Unix(60, 0), nil)
					return err
				},
				"series": func(ctx context.Context, q *query.Querier) error {
					_, _, err := q.Series(ctx, 0, 1, nil, nil)
					return err
				},
			} {
				synctest.Test(t, func(t *testing.T) {
					started := make(chan struct{}, 2)
					ctx, cancel := context.WithCancel(context.Background())
					go func() {
						<-started
						cancel()
					}()
					err := ask(ctx, newQuerier(t, untilDone(started, stop), nil))
					testutil.Assert(t, errors.Is(err, query.ErrCanceled) && errors.Is(err, context.Canceled), "%s: %v", what, err)
					testutil.Assert(t, !errors.Is(err, query.ErrTimeout), "%s: %v", what, err)
				})
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					err := ask(context.Background(), newQuerier(t, untilDone(make(chan struct{}, 2), stop), &query.Options{Timeout: 20 * time.Second}))
					testutil.Assert(t, errors.Is(err, query.ErrTimeout) && errors.Is(err, context.DeadlineExceeded), "%s: %v", what, err)
					testutil.Assert(t, !errors.Is(err, query.ErrCanceled), "%s: %v", what, err)
					testutil.Equals(t, 20*time.Second, time.Since(began))
				})
			}
		})
	}
}

func TestTimeoutOfOneQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		q := newQuerier(t, untilDone(make(chan struct{}, 1), context.Context.Err), nil)
		_, err := q.Instant(context.Background(), "up", time.Unix(60, 0), &query.QueryOptions{Timeout: time.Second})
		testutil.Assert(t, errors.Is(err, query.ErrTimeout), "%v", err)
		testutil.Equals(t, time.Second, time.Since(began))
	})
}

func TestStorePanics(t *testing.T) {
	t.Parallel()
	q := newQuerier(t, store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { panic("bug") }), nil)
	_, err := q.Instant(context.Background(), "up", time.Unix(60, 0), nil)
	var pe *store.PanicError
	testutil.Assert(t, errors.As(err, &pe) && pe.Value == "bug", "%v", err)
}

func TestUnsortedStore(t *testing.T) {
	t.Parallel()
	c := raw(t, floats(1, 1))
	for _, s := range []store.Store{
		plainStore(series("b", c), series("a", c)),
		&frameStore{series: []*store.Series{series("b", c), series("a", c)}, perFrame: 1},
		&frameStore{series: []*store.Series{series("b", c), series("a", c)}, perFrame: 2},
	} {
		_, err := tryRead(t, newQuerier(t, s, nil), 0, 10, nil, nil)
		testutil.Assert(t, errors.Is(err, store.ErrUnsorted) && containsText(err, `{__name__="a"} after {__name__="b"}`), "%v", err)
		if fs, ok := s.(*frameStore); ok {
			testutil.Equals(t, int64(0), fs.frames.Load(), "frames are released")
		}
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	q := newQuerier(t, plainStore(series("up", raw(t, every(1000, 0, 60, 1, 1)))), nil)
	res, err := q.Range(context.Background(), "up", time.Unix(10, 0), time.Unix(12, 0), time.Second, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, "{__name__=\"up\"} =>\n11 @[10000]\n12 @[11000]\n13 @[12000]", res.Value.String())
	testutil.Equals(t, int64(3), res.Stats().Samples.TotalSamples)
	testutil.Equals(t, "up", res.Statement().(*parser.EvalStmt).Expr.String())
	res.Close()
	res.Close()

	for expr, want := range map[string]parser.Value{
		"1+1": promql.Scalar{T: 60_000, V: 2},
		`"a"`: promql.String{T: 60_000, V: "a"},
		"up":  promql.Vector{{Metric: labels.FromStrings("__name__", "up"), T: 60_000, F: 60}},
	} {
		res, err := q.Instant(context.Background(), expr, time.Unix(60, 0), nil)
		testutil.Ok(t, err)
		testutil.Equals(t, want.String(), res.Value.String())
		res.Close()
	}
}

// TestEngineSettings: the default engine does what Thanos' does.
func TestEngineSettings(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	for _, x := range every(1000, 0, 600, 1, 1) {
		testutil.Ok(t, s.Append(labels.FromStrings("__name__", "up"), x.t, x.v))
	}
	q := newQuerier(t, &s, nil)
	for expr, want := range map[string]string{
		"up @ 10":                  `{__name__="up"} => 11 @[300000]`,
		"up offset -10s":           `{__name__="up"} => 311 @[300000]`,
		"count_over_time(up[4m:])": `{} => 4 @[300000]`,
	} {
		res, err := q.Instant(context.Background(), expr, time.Unix(300, 0), nil)
		testutil.Ok(t, err)
		testutil.Equals(t, want, res.Value.String())
		res.Close()
	}
}

// TestSharedRegisterer: any number of Queriers, one registerer, no panic.
func TestSharedRegisterer(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	for range 3 {
		q := newQuerier(t, plainStore(), &query.Options{Registerer: reg, MaxConcurrentSelects: 7})
		_, err := q.Instant(context.Background(), "up + up", time.Unix(60, 0), nil)
		testutil.Ok(t, err)
	}
	got := map[string]float64{}
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	const prefix = "thanos_query_concurrent_selects_gate_selects_"
	testutil.Equals(t, 7.0, got[prefix+"max"])
	testutil.Equals(t, 0.0, got[prefix+"in_flight"])
	testutil.Equals(t, 6.0, got[prefix+"total"])
	testutil.Equals(t, 6.0, got[prefix+"duration_seconds"])
	_, ok := got["prometheus_engine_query_samples_total"]
	testutil.Assert(t, ok, "the engine's metrics are missing: %v", got)

	// Something else has the name.
	other := prometheus.NewRegistry()
	other.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "total", Help: "Something else."}))
	_, err = query.New(plainStore(), &query.Options{Registerer: other})
	testutil.Assert(t, containsText(err, prefix+"total"), "%v", err)
	other = prometheus.NewRegistry()
	other.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "prometheus_engine_queries", Help: "Something else."}))
	_, err = query.New(plainStore(), &query.Options{Registerer: other})
	testutil.Assert(t, containsText(err, "prometheus_engine_queries"), "%v", err)
}

func TestStaleMarkers(t *testing.T) {
	t.Parallel()
	stale := math.Float64frombits(0x7ff0000000000002)
	q := newQuerier(t, plainStore(series("up", raw(t, floats(1000, 1, 2000, stale)))), nil)
	for at, want := range map[int64]string{1: `{__name__="up"} => 1 @[1000]`, 2: ""} {
		res, err := q.Instant(context.Background(), "up", time.Unix(at, 0), nil)
		testutil.Ok(t, err)
		testutil.Equals(t, want, fmt.Sprint(res.Value))
		res.Close()
	}
}
