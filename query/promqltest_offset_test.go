package query_test

import (
	"context"
	"flag"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// scripts are Prometheus' own, as far as they are known: others are run, too, but
// none of these may be missing.
var scripts = []string{
	"aggregators", "at_modifier", "collision", "duration_expression", "extended_vectors", "functions", "histograms", "info", "limit",
	"literals", "name_label_dropping", "native_histograms", "operators", "range_queries", "selectors", "staleness", "subquery",
	"trig_functions", "type_and_unit",
}

// raced are the scripts that are run under the race detector, which would take
// minutes for all: those whose selects differ in time, and those of many selects.
var raced = []string{"aggregators", "at_modifier", "info", "literals", "range_queries", "selectors", "staleness", "subquery"}

// everyScript runs scripts at the same time and takes note of which ran to the end.
type everyScript struct {
	*testing.T
	chosen []string // the scripts to run; nil is all

	mu  *sync.Mutex
	ran map[string]bool
	// after is called when one has run.
	after func(t *testing.T, name string)
}

// scriptOf is the name of the script that a test runs.
func scriptOf(test string) string { return strings.TrimSuffix(path.Base(test), ".test") }

// Run implements promqltest.TBRun.
func (e everyScript) Run(file string, f func(*testing.T)) bool {
	name := scriptOf(file)
	if e.chosen != nil && !slices.Contains(e.chosen, name) {
		return true
	}
	return e.T.Run(file, func(t *testing.T) {
		t.Parallel()
		f(t)
		if e.after != nil {
			e.after(t, name)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.ran[name] = !t.Skipped()
	})
}

// allOf is t as the scripts take it. When t ends, all scripts must have been run
// and none skipped, unless -run has chosen among them.
func allOf(t *testing.T) everyScript {
	e := everyScript{T: t, mu: &sync.Mutex{}, ran: map[string]bool{}}
	expected := scripts
	if raceEnabled {
		e.chosen, expected = raced, raced
	}
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return e
	}
	t.Cleanup(func() {
		for _, name := range expected {
			if !e.ran[name] && !t.Failed() {
				t.Errorf("script %s was not run", name)
			}
		}
	})
	return e
}

// edges are the scripts in which answers differ as offsetAnswers.edges says.
var edges = []string{
	"aggregators", "duration_expression", "extended_vectors", "functions", "histograms", "name_label_dropping", "native_histograms",
	"operators", "range_queries", "selectors", "staleness", "subquery", "type_and_unit",
}

// differing are the expressions, by script, whose answers over offset replicas are
// others than over the first replica alone, wherever the data begins, and why. All
// others are the same.
var differing = map[string]struct {
	why   string
	exprs []string
}{
	"functions": {
		"the gauge falls at each scrape, and scrapes are five minutes apart: longer than half a window, S is not known, and the second replica stands in after a fall",
		[]string{"delta(http_requests[20m"},
	},
	"info": {
		"a series of the first replica ends with a stale marker, which does not come out as long as the second one has a sample within S before",
		[]string{`info(data_metric, {__name__="info_metric"})`, `info({job="work"}, {__name__="info_metric"})`},
	},
	"staleness": {
		"as for info",
		[]string{"metric at", "metric from", "metric @ 20.000"},
	},
}

// offsetAnswers is what became of the answers of a script over offset replicas.
type offsetAnswers struct {
	queries int
	// edges are answers that differ because a range begins between two scrapes, so
	// that the first sample in it is of the second replica. They do not if samples
	// of an hour before are merged, too.
	edges []string
	// differ are those that differ then, too.
	differ []string
}

// TestPromQLScriptsOffset evaluates each expression of the scripts over a replica
// that is complete, and over that and one that scraped the same values four tenths
// of an interval later.
func TestPromQLScriptsOffset(t *testing.T) {
	o := &offsetEngine{
		QueryEngine: promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery),
		scripts:     map[string]*offsetAnswers{},
	}
	e := allOf(t)
	e.after = func(t *testing.T, name string) { checkOffset(t, name, o.of(name)) }
	promqltest.RunBuiltinTestsWithStorage(e, o, offsetScripts)
}

// checkOffset compares what became of a script with what is known of it.
func checkOffset(t *testing.T, name string, a *offsetAnswers) {
	t.Logf("%s: %d answers, %d differ at the edge of a range, %d elsewhere", name, a.queries, len(a.edges), len(a.differ))
	if a.queries == 0 {
		t.Errorf("%s: nothing was asked", name)
	}
	if want := slices.Contains(edges, name); want != (len(a.edges) > 0) {
		t.Errorf("%s: answers that differ at the edge of a range: %v, is that known: %t", name, a.edges, want)
	}
	known := differing[name].exprs
	for _, expr := range known {
		if !slices.ContainsFunc(a.differ, func(q string) bool { return strings.HasPrefix(q, expr) }) {
			t.Errorf("%s: %s does not differ", name, expr)
		}
	}
	for _, q := range a.differ {
		if !slices.ContainsFunc(known, func(expr string) bool { return strings.HasPrefix(q, expr) }) {
			t.Errorf("%s: %s differs", name, q)
		}
	}
}

// offsetScripts is generic as inProcess is.
func offsetScripts[T any](t T) storage.Storage {
	s := newReplicas(t, &query.Options{Algorithm: dedup.Follow{}})
	return &offsetStorage{scriptStorage: s, script: scriptOf(asTB(t).Name()), alone: newQuerier(asTB(t), s.mems[0], nil).Queryable(nil)}
}

// offsetStorage is what a script is loaded into twice.
type offsetStorage struct {
	*scriptStorage
	script string
	alone  storage.Queryable // the first replica only
}

// earlier asks for an hour more than it is asked for.
type earlier struct{ storage.Queryable }

// Querier implements storage.Queryable.
func (e earlier) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := e.Queryable.Querier(mint-time.Hour.Milliseconds(), maxt)
	return earlierQuerier{q}, err
}

type earlierQuerier struct{ storage.Querier }

// Select implements storage.Querier.
func (q earlierQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	h := *hints
	h.Start -= time.Hour.Milliseconds()
	return q.Querier.Select(ctx, sorted, &h, matchers...)
}

// Appender implements storage.Appendable.
func (s *offsetStorage) Appender(context.Context) storage.Appender {
	return &offsetAppender{s: s, series: map[string]*lateSeries{}}
}

// offsetAppender appends to the first replica, and on Commit, when distances are
// known, to the second one what comes later there.
type offsetAppender struct {
	storage.Appender // nil: scripts append nothing else
	s                *offsetStorage
	series           map[string]*lateSeries
	order            []*lateSeries
}

// lateSeries is what one series gets in the second replica.
type lateSeries struct {
	labels labels.Labels
	ts     []int64
	append []func(m *memstore.Store, t int64) error
}

func (a *offsetAppender) later(l labels.Labels, t int64, f func(m *memstore.Store, t int64) error) error {
	s := a.series[l.String()]
	if s == nil {
		s = &lateSeries{labels: l}
		a.series[l.String()], a.order = s, append(a.order, s)
	}
	s.ts, s.append = append(s.ts, t), append(s.append, f)
	return f(a.s.mems[0], t)
}

// Append implements storage.Appender.
func (a *offsetAppender) Append(_ storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	return 0, a.later(l, t, func(m *memstore.Store, t int64) error { return m.Append(l, t, v) })
}

// AppendHistogram implements storage.Appender.
func (a *offsetAppender) AppendHistogram(_ storage.SeriesRef, l labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, a.later(l, t, func(m *memstore.Store, t int64) error {
		if h != nil {
			return m.AppendHistogram(l, t, h)
		}
		return m.AppendFloatHistogram(l, t, fh)
	})
}

// Commit implements storage.Appender.
func (a *offsetAppender) Commit() error {
	for _, s := range a.order {
		offset := s.interval() * 4 / 10
		for i, t := range s.ts {
			if err := s.append[i](a.s.mems[1], t+offset); err != nil {
				return err
			}
		}
	}
	return nil
}

// interval is the least distance of samples, in ms; a minute if there is one only.
func (s *lateSeries) interval() int64 {
	least := time.Minute.Milliseconds()
	for i := 1; i < len(s.ts); i++ {
		if d := s.ts[i] - s.ts[i-1]; i == 1 || d < least {
			least = d
		}
	}
	return least
}

// offsetEngine evaluates over the first replica alone, which is the answer that
// scripts see, and over both, and takes note of answers that differ.
type offsetEngine struct {
	promql.QueryEngine

	mu      sync.Mutex
	scripts map[string]*offsetAnswers
}

// of are the answers of a script, which asks one thing after the other.
func (o *offsetEngine) of(script string) *offsetAnswers {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.scripts[script] == nil {
		o.scripts[script] = &offsetAnswers{}
	}
	return o.scripts[script]
}

// NewInstantQuery implements promql.QueryEngine.
func (o *offsetEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, ts time.Time) (promql.Query, error) {
	return o.compared(q, fmt.Sprintf("%s at %d", expr, ts.UnixMilli()), func(q storage.Queryable) (promql.Query, error) {
		return o.QueryEngine.NewInstantQuery(ctx, q, opts, expr, ts)
	})
}

// NewRangeQuery implements promql.QueryEngine.
func (o *offsetEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, start, end time.Time, step time.Duration) (promql.Query, error) {
	return o.compared(q, fmt.Sprintf("%s from %d to %d each %s", expr, start.UnixMilli(), end.UnixMilli(), step), func(q storage.Queryable) (promql.Query, error) {
		return o.QueryEngine.NewRangeQuery(ctx, q, opts, expr, start, end, step)
	})
}

func (o *offsetEngine) compared(q storage.Queryable, name string, prepare func(storage.Queryable) (promql.Query, error)) (promql.Query, error) {
	s, ok := q.(*offsetStorage)
	if !ok {
		return nil, fmt.Errorf("%T has no second replica", q)
	}
	alone, err := prepare(s.alone)
	return &offsetQuery{Query: alone, storage: s, name: name, prepare: prepare, answers: o.of(s.script)}, err
}

// offsetQuery is the query over the first replica, and how to make others.
type offsetQuery struct {
	promql.Query
	storage *offsetStorage
	name    string
	prepare func(storage.Queryable) (promql.Query, error)
	answers *offsetAnswers
}

// Exec implements promql.Query.
func (q *offsetQuery) Exec(ctx context.Context) *promql.Result {
	res := q.Query.Exec(ctx)
	q.answers.queries++
	want := answer(res)
	switch {
	case q.over(ctx, q.storage.queryable) == want:
	case q.over(ctx, earlier{q.storage.queryable}) == want:
		q.answers.edges = append(q.answers.edges, q.name)
	default:
		q.answers.differ = append(q.answers.differ, q.name)
	}
	return res
}

// over is the answer over other replicas.
func (q *offsetQuery) over(ctx context.Context, qb storage.Queryable) string {
	other, err := q.prepare(qb)
	if err != nil {
		return err.Error()
	}
	defer other.Close()
	return answer(other.Exec(ctx))
}

// answer writes out a result, series in the order of their labels.
func answer(res *promql.Result) string {
	if res.Err != nil {
		return res.Err.Error()
	}
	var lines []string
	switch v := res.Value.(type) {
	case promql.Vector:
		for _, s := range v {
			lines = append(lines, s.String())
		}
	case promql.Matrix:
		for _, s := range v {
			lines = append(lines, s.String())
		}
	default:
		return res.Value.String()
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
