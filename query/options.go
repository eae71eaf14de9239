package query

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/store"
)

// AutoResolution is the maximum resolution that follows the query: a fifth of
// its step, and raw data for queries without one.
const AutoResolution time.Duration = -1

const (
	defaultTimeout    = 2 * time.Minute
	defaultSelects    = 4
	defaultLookback   = 5 * time.Minute
	subqueryInterval  = time.Minute
	autoResolutionDiv = 5
)

// Options of New. The zero value evaluates with Prometheus' engine, on raw data
// and without deduplication.
type Options struct {
	// Engine evaluates expressions. Nil is Prometheus' own, with the @ modifier
	// and negative offsets enabled and no limit of samples that matters, as
	// Thanos has it. An engine of the user's keeps its own limits.
	Engine promql.QueryEngine
	// ReplicaLabels tell replicas of a series apart. They are removed, and what
	// is then one series is merged to one. None means that nothing is merged.
	ReplicaLabels []string
	// PreferReplicas are matchers that all have to match a replica for it to come
	// before others: {replica="short-interval"}, say. A matcher on a label that is no
	// replica label says for which series this holds. Otherwise, and among those that
	// match, replicas are ordered by the values of ReplicaLabels, byte by byte.
	// dedup.Follow follows the first that is there. Where the algorithm is
	// dedup.Penalty or dedup.Chain there is no order to speak of.
	PreferReplicas []*labels.Matcher
	// Algorithm merges replicas; nil is dedup.Follow. Thanos' querier has
	// dedup.Penalty. What one replica alone has is left as it is.
	Algorithm dedup.Algorithm
	// Strategy decides what becomes of an answer of which a store has failed to
	// give its part. The zero value, store.Warn, goes on without that part.
	Strategy store.PartialResponseStrategy
	// MaxResolution is the coarsest downsampled data to use: 0 is raw data only.
	// AutoResolution is worked out from each query. See the package
	// documentation for how the resolution of a series is chosen.
	MaxResolution time.Duration
	// LookbackDelta is how old a sample may be to stand for the present; 0 is 5
	// minutes for the default engine, and for another one whatever that has.
	LookbackDelta time.Duration
	// Timeout bounds a query, and each select of a Queryable; 0 is 2 minutes.
	Timeout time.Duration
	// MaxConcurrentSelects is how many selectors of one query are asked for at
	// once; 0 is 4.
	MaxConcurrentSelects int
	// Logger is the default engine's; nil is silent. The Querier itself returns
	// what there is to know.
	Logger *slog.Logger
	// Registerer gets Thanos' thanos_query_concurrent_selects_gate_selects_*,
	// which Queriers that share it share, and the default engine's metrics, of
	// which only the first Querier's are there. Nil registers nothing.
	Registerer prometheus.Registerer
	// TracerProvider traces selects; nil is none. The engine traces through the
	// span in the context.
	TracerProvider trace.TracerProvider
}

// withDefaults returns a copy that is complete, or all that is wrong with it.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	out.ReplicaLabels = slices.Clone(out.ReplicaLabels)
	out.PreferReplicas = slices.Clone(out.PreferReplicas)
	var errs []error
	if out.MaxResolution < 0 && out.MaxResolution != AutoResolution {
		errs = append(errs, fmt.Errorf("max resolution %s is negative", out.MaxResolution))
	}
	if out.LookbackDelta < 0 {
		errs = append(errs, fmt.Errorf("lookback delta %s is negative", out.LookbackDelta))
	}
	if out.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout %s is negative", out.Timeout))
	}
	if out.MaxConcurrentSelects < 0 {
		errs = append(errs, fmt.Errorf("max concurrent selects %d is negative", out.MaxConcurrentSelects))
	}
	if slices.Contains(out.ReplicaLabels, "") {
		errs = append(errs, errors.New("a replica label has no name"))
	}
	if slices.Contains(out.PreferReplicas, nil) {
		errs = append(errs, errors.New("a matcher of preferred replicas is nil"))
	}
	if len(errs) > 0 {
		return Options{}, fmt.Errorf("check query options: %w", errors.Join(errs...))
	}
	if out.Algorithm = dedup.ByValue(out.Algorithm); out.Algorithm == nil {
		out.Algorithm = dedup.Follow{}
	}
	if out.Timeout == 0 {
		out.Timeout = defaultTimeout
	}
	if out.MaxConcurrentSelects == 0 {
		out.MaxConcurrentSelects = defaultSelects
	}
	if out.LookbackDelta == 0 && out.Engine == nil {
		out.LookbackDelta = defaultLookback
	}
	if out.TracerProvider == nil {
		out.TracerProvider = noop.NewTracerProvider()
	}
	return out, nil
}

// QueryOptions change for one query what Options set for all. Nil, as the zero
// value of every field, changes nothing.
type QueryOptions struct {
	// Dedup turns deduplication off, or on again. Without replica labels it is
	// always off.
	Dedup *bool
	// ReplicaLabels replace the Querier's if not nil.
	ReplicaLabels []string
	// Algorithm replaces the Querier's if not nil.
	Algorithm dedup.Algorithm
	Strategy  *store.PartialResponseStrategy
	// MaxResolution is as in Options; 0 is raw data only.
	MaxResolution *time.Duration
	// LookbackDelta is as in Options, and then not raised for coarse
	// resolutions; 0 changes nothing.
	LookbackDelta time.Duration
	// Timeout is as in Options; 0 changes nothing. An engine's own timeout holds
	// beside it.
	Timeout time.Duration
	// Shard asks for one part of all series, chosen by labels.
	Shard *store.Shard
	// StoreHints is passed to the store as it is; see store.SeriesRequest.
	StoreHints *store.Any
	// Tenant and Metadata travel with what the store is asked; see
	// store.SeriesRequest.
	Tenant   string
	Metadata map[string][]string
	// StoreMatch has the store, if it is a fan-out, ask only members that match
	// one of these selectors, in which "__address__" is the member's name.
	StoreMatch [][]*labels.Matcher
	// Require are selectors of external labels whose members must answer whole,
	// {cluster="eu"} say: if not, or if there are none, the query fails with a
	// *store.IncompleteError, whatever the Strategy.
	Require [][]*labels.Matcher
	// Limit is the number of series, label names or values after which the
	// answer may stop; 0 is unlimited. Instant and Range have no use for it.
	Limit int
	// PerStepStats asks the engine for statistics of each step, if it has them.
	PerStepStats bool
	// Outcome, if not nil, collects what stores did, beside what else it has.
	Outcome *store.Outcome
}

// settings are Options with one query's QueryOptions applied.
type settings struct {
	replicaLabels []string // none: no deduplication
	prefer        []*labels.Matcher
	algorithm     dedup.Algorithm
	strategy      store.PartialResponseStrategy
	maxResolution time.Duration
	lookback      time.Duration // 0: what the engine has
	lookbackFixed bool
	timeout       time.Duration
	shard         *store.Shard
	storeHints    *store.Any
	tenant        string
	metadata      map[string][]string
	storeMatch    [][]*labels.Matcher
	require       [][]*labels.Matcher
	limit         int
	perStepStats  bool
	outcome       *store.Outcome
}

// settings copies what a caller may change later.
func (q *Querier) settings(o *QueryOptions) (settings, error) {
	s := settings{
		replicaLabels: q.opts.ReplicaLabels,
		prefer:        q.opts.PreferReplicas,
		algorithm:     q.opts.Algorithm,
		strategy:      q.opts.Strategy,
		maxResolution: q.opts.MaxResolution,
		lookback:      q.opts.LookbackDelta,
		timeout:       q.opts.Timeout,
	}
	if o == nil {
		return s, nil
	}
	if o.ReplicaLabels != nil {
		s.replicaLabels = slices.Clone(o.ReplicaLabels)
	}
	if o.Dedup != nil && !*o.Dedup {
		s.replicaLabels = nil
	}
	if o.Algorithm != nil {
		s.algorithm = dedup.ByValue(o.Algorithm)
	}
	if o.Strategy != nil {
		s.strategy = *o.Strategy
	}
	if o.MaxResolution != nil {
		s.maxResolution = *o.MaxResolution
	}
	if o.LookbackDelta != 0 {
		s.lookback, s.lookbackFixed = o.LookbackDelta, true
	}
	if o.Timeout != 0 {
		s.timeout = o.Timeout
	}
	s.tenant, s.metadata, s.storeMatch, s.require = o.Tenant, o.Metadata, o.StoreMatch, o.Require
	s.shard, s.storeHints, s.limit, s.perStepStats, s.outcome = o.Shard, o.StoreHints, o.Limit, o.PerStepStats, o.Outcome
	return s, s.check()
}

// check returns an ErrInvalid for settings that make no sense.
func (s *settings) check() error {
	switch {
	case s.maxResolution < 0 && s.maxResolution != AutoResolution:
		return fmt.Errorf("%w: max resolution %s is negative", ErrInvalid, s.maxResolution)
	case s.lookback < 0:
		return fmt.Errorf("%w: lookback delta %s is negative", ErrInvalid, s.lookback)
	case s.timeout < 0:
		return fmt.Errorf("%w: timeout %s is negative", ErrInvalid, s.timeout)
	case s.limit < 0:
		return fmt.Errorf("%w: limit %d is negative", ErrInvalid, s.limit)
	case slices.Contains(s.replicaLabels, ""):
		return fmt.Errorf("%w: a replica label has no name", ErrInvalid)
	}
	return nil
}
