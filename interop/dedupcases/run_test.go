package dedupcases

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

const replicaLabel = "replica"

// member is a store that has one replica of each series.
type member struct {
	name   string // value of the replica label
	series []memberSeries
	old    bool // leaves replica labels where they are
	// unsorted has its series sent as they stand, with replica labels or without.
	unsorted bool
}

type memberSeries struct {
	labels labels.Labels
	chunks []chunks.Meta
}

func (m member) external() labels.Labels { return labels.FromStrings(replicaLabel, m.name) }

// store is the member as our fan-out sees it.
func (m member) store() store.Store {
	switch {
	case m.old, m.unsorted:
		return m
	case m.ownLabels():
		return store.Wrap(m, store.WithExternalLabels(labels.EmptyLabels()))
	default:
		return store.Wrap(m, store.WithExternalLabels(m.external()))
	}
}

// ownLabels is whether series have a replica label of their own.
func (m member) ownLabels() bool {
	return slices.ContainsFunc(m.series, func(s memberSeries) bool { return s.labels.Has(replicaLabel) })
}

// Series implements store.Store.
func (m member) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	for _, s := range m.series {
		out := &store.Series{Labels: s.labels}
		for _, c := range s.chunks {
			if c.MaxTime >= req.MinTime && c.MinTime <= req.MaxTime {
				out.Chunks = append(out.Chunks, store.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: store.ChunkData{
					Encoding: c.Chunk.Encoding(), Bytes: c.Chunk.Bytes(),
				}})
			}
		}
		if err := w.Send(out); err != nil {
			return err
		}
	}
	return nil
}

// newMember cuts a replica into chunks, at the places that it is given in parts
// at least.
func newMember(t *testing.T, name string, parts []deduptest.Replica) member {
	t.Helper()
	lset := labels.FromStrings("__name__", "x")
	s := memberSeries{labels: lset}
	for _, p := range parts {
		it := storage.NewSeriesToChunkEncoder(&storage.SeriesEntry{Lset: lset, SampleIteratorFn: p.Iterator}).Iterator(nil)
		for it.Next() {
			s.chunks = append(s.chunks, it.At())
		}
		testutil.Ok(t, it.Err())
	}
	return member{name: name, series: []memberSeries{s}}
}

// ourQueryable is our querier over a fan-out of the stores.
func ourQueryable(t *testing.T, alg dedup.Algorithm, prefer string, stores []member) storage.Queryable {
	t.Helper()
	var members []fanout.Member
	for _, m := range stores {
		members = append(members, fanout.Member{Name: m.name, Store: m.store()})
	}
	f, err := fanout.New(fanout.Static(members...), nil)
	testutil.Ok(t, err)
	opts := &query.Options{ReplicaLabels: []string{replicaLabel}, Algorithm: alg}
	if prefer != "" {
		opts.PreferReplicas = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, replicaLabel, prefer)}
	}
	q, err := query.New(f, opts)
	testutil.Ok(t, err)
	return q.Queryable(nil)
}

// outcome is what a probe gives.
type outcome struct {
	samples []deduptest.Sample // of a probe for samples
	// Of an expression: how many points were asked for, and those that came.
	asked  int
	points []float64
	// several is whether one point was of several series.
	several bool
	err     error // of the query
	// warnings are those of stores.
	warnings []string
}

// text is the outcome as it stands in the table.
func (o outcome) text(p probe) string {
	if len(o.warnings) == 0 {
		return o.value(p)
	}
	return o.value(p) + ", and a warning: `" + strings.Join(o.warnings, "`, `") + "`"
}

// value is text without warnings.
func (o outcome) value(p probe) string {
	switch {
	case o.err != nil:
		return "fails: " + o.err.Error()
	case p.expr == "" || p.raw:
		return "`" + samplesText(o.samples) + "`"
	case o.asked == 1 && len(o.points) == 0:
		return "nothing"
	case o.several:
		out := make([]string, len(o.points))
		for i, v := range o.points {
			out[i] = "**" + number(v) + "**"
		}
		return strings.Join(out, ", ")
	case o.asked == 1:
		return "**" + number(o.points[0]) + "**"
	}
	least, most := slices.Min(o.points), slices.Max(o.points)
	values := number(least) + " to " + number(most)
	if number(least) == number(most) {
		values = number(least)
	}
	return fmt.Sprintf("**%s** at %d of %d", values, len(o.points), o.asked)
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// samplesText lists samples, or says of many how they are.
func samplesText(samples []deduptest.Sample) string {
	if len(samples) <= 16 {
		out := make([]string, len(samples))
		for i, s := range samples {
			out[i] = s.String()
		}
		return strings.Join(out, " ")
	}
	longest, drops := gapsAndDrops(samples)
	return fmt.Sprintf("%d samples, longest distance %s, %d drops", len(samples), longest, drops)
}

// gapsAndDrops are the longest distance of samples, and how often one is below the
// one before.
func gapsAndDrops(samples []deduptest.Sample) (longest time.Duration, drops int) {
	for i := 1; i < len(samples); i++ {
		longest = max(longest, time.Duration(samples[i].T-samples[i-1].T)*time.Millisecond)
		if samples[i].V < samples[i-1].V {
			drops++
		}
	}
	return longest, drops
}

// evaluate asks for the expression of a probe.
func (p probe) evaluate(t *testing.T, engine promql.QueryEngine, qb storage.Queryable) outcome {
	t.Helper()
	var out outcome
	exec := func(q promql.Query, err error) {
		testutil.Ok(t, err)
		defer q.Close()
		res := q.Exec(t.Context())
		if res.Err != nil {
			out.err = res.Err
			return
		}
		for _, w := range res.Warnings.AsErrors() {
			if text := w.Error(); !strings.HasPrefix(text, "PromQL ") && !slices.Contains(out.warnings, text) {
				out.warnings = append(out.warnings, text)
			}
		}
		slices.Sort(out.warnings)
		switch v := res.Value.(type) {
		case promql.Vector:
			out.asked++
			for _, s := range v {
				out.points = append(out.points, s.F)
			}
			slices.Sort(out.points)
			out.several = out.several || len(v) > 1
		case promql.Matrix:
			out.asked++
			for _, s := range v {
				if p.raw {
					out.samples = append(out.samples, matrixSamples(s)...)
					continue
				}
				out.asked = int((p.to-p.from)/p.step) + 1
				for _, f := range s.Floats {
					out.points = append(out.points, f.F)
				}
			}
		default:
			t.Fatalf("%s gives a %T", p.expr, v)
		}
	}
	at := func(d time.Duration) time.Time { return time.UnixMilli(d.Milliseconds()) }
	switch {
	case p.to == 0:
		exec(engine.NewInstantQuery(t.Context(), qb, nil, p.expr, at(p.from)))
	case p.anew:
		for d := p.from; d <= p.to; d += p.step {
			exec(engine.NewInstantQuery(t.Context(), qb, nil, p.expr, at(d)))
		}
	default:
		exec(engine.NewRangeQuery(t.Context(), qb, nil, p.expr, at(p.from), at(p.to), p.step))
	}
	return out
}

func matrixSamples(s promql.Series) (out []deduptest.Sample) {
	for _, f := range s.Floats {
		out = append(out, deduptest.Sample{T: f.T, Type: chunkenc.ValFloat, V: f.F})
	}
	return out
}

// newEngine is Prometheus' engine as Thanos' querier and ours set it up.
func newEngine(t *testing.T) promql.QueryEngine {
	t.Helper()
	e := promql.NewEngine(promql.EngineOpts{
		MaxSamples: math.MaxInt32, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
	t.Cleanup(func() { testutil.Ok(t, e.Close()) })
	return e
}
