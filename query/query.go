package query

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"go.opentelemetry.io/otel/trace"

	"github.com/thanoskit/thanoskit/store"
)

// Querier evaluates PromQL over a Store. It is safe for concurrent use, holds
// nothing between queries, and needs no closing.
type Querier struct {
	store   store.Store
	reduced store.Store // the same, with replica labels removed by middleware
	opts    Options
	engine  promql.QueryEngine
	metrics *metrics
	tracer  trace.Tracer
}

// New returns a Querier over s. opts may be nil.
//
// The Store may be any: one that does not remove replica labels, or does not
// shard, has that done for it. A panic of the Store is an error of the query.
//
// Errors: all that is wrong with the options, joined; and metrics that the
// Registerer does not take.
func New(s store.Store, opts *Options) (*Querier, error) {
	if s == nil {
		return nil, errors.New("make querier: no store")
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	reg := &registerer{next: o.Registerer}
	q := &Querier{
		store:   store.Wrap(s, store.WithRecovery()),
		opts:    o,
		engine:  o.Engine,
		metrics: newMetrics(reg),
		reduced: store.Wrap(s, store.WithRecovery(), store.WithExternalLabels(labels.EmptyLabels())),
		tracer:  o.TracerProvider.Tracer("github.com/thanoskit/thanoskit/query"),
	}
	q.metrics.max.Set(float64(o.MaxConcurrentSelects))
	if q.engine == nil {
		q.engine = newEngine(&o, reg)
	}
	if len(reg.errs) > 0 {
		return nil, fmt.Errorf("register metrics: %w", errors.Join(reg.errs...))
	}
	return q, nil
}

// newEngine makes Prometheus' engine with the settings that Thanos gives it.
func newEngine(o *Options, reg *registerer) promql.QueryEngine {
	opts := promql.EngineOpts{
		Logger:                   o.Logger,
		MaxSamples:               math.MaxInt32,
		Timeout:                  o.Timeout,
		LookbackDelta:            o.LookbackDelta,
		NoStepSubqueryIntervalFn: func(int64) int64 { return subqueryInterval.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
	}
	if o.Registerer != nil {
		// Labelled as Thanos does, on the outside of what keeps from panicking.
		opts.Reg = &registerer{next: prometheus.WrapRegistererWith(prometheus.Labels{"engine": "prometheus", "mode": "local"}, o.Registerer)}
	}
	e := promql.NewEngine(opts)
	if r, ok := opts.Reg.(*registerer); ok {
		reg.errs = append(reg.errs, r.errs...)
	}
	return e
}

// lookbackDelta is the lookback that the engine is asked for, 0 for the
// engine's own. Data of a coarse resolution has samples too far apart for the
// usual one, so it is raised to the resolution.
func (s *settings) lookbackDelta() time.Duration {
	if s.lookbackFixed {
		return s.lookback
	}
	have := s.lookback
	if have == 0 {
		have = defaultLookback
	}
	switch {
	case s.maxResolution > max(have, 5*time.Minute):
		return max(have, time.Hour)
	case s.maxResolution > have:
		return max(have, 5*time.Minute)
	}
	return s.lookback
}
