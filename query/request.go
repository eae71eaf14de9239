package query

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/store"
)

// average asks for what an average is made of: the default, since it comes
// closest to the samples that were there.
const average = store.AggregateCount | store.AggregateSum

// aggregatesOf returns the aggregates of downsampled data that stand in for the
// samples which a function wants.
//
// Source: Thanos v0.42.4, pkg/query/querier.go, aggrsFromFunc.
func aggregatesOf(fn string) store.Aggregates {
	switch fn {
	case "min":
		return store.AggregateMin
	case "max":
		return store.AggregateMax
	case "count":
		return store.AggregateCount
	case "rate", "irate", "increase", "resets", "xrate", "xincrease":
		return store.AggregateCounter
	}
	switch prefix, _, _ := strings.Cut(fn, "_"); {
	case prefix == fn: // "sum" wants the samples themselves
	case prefix == "min":
		return store.AggregateMin
	case prefix == "max":
		return store.AggregateMax
	case prefix == "count":
		return store.AggregateCount
	case prefix == "sum":
		return store.AggregateSum
	}
	return average
}

// valuesOf says which functions are about counters, for deduplication. The
// extended functions are not among them, as in Thanos.
//
// Source: Thanos v0.42.4, pkg/dedup/iter.go, isCounter.
func valuesOf(fn string) dedup.Values {
	switch fn {
	case "rate", "irate", "increase", "resets":
		return dedup.Counters
	}
	return dedup.Untyped
}

// resolutionOf returns the coarsest resolution that still has two samples in the
// range of a function that needs as many.
//
// Source: Thanos v0.42.4, pkg/query/querier.go, maxResolutionFromSelectHints.
func resolutionOf(maxResolution time.Duration, fn string, rangeMillis int64) time.Duration {
	switch fn {
	case "rate", "irate", "increase", "delta", "idelta", "deriv", "predict_linear", "holt_winters", "double_exponential_smoothing":
		if rangeMillis > 0 {
			return min(maxResolution, millis(rangeMillis)/2)
		}
	}
	return maxResolution
}

// millis converts milliseconds, as far as a Duration reaches.
func millis(ms int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(max(ms, -most), most)) * time.Millisecond
}

// selection of a querier for data from mint to maxt, to be asked for by req.
func (s *settings) selection(mint, maxt int64, fn string, req *store.SeriesRequest) *selection {
	sel := &selection{
		minTime: mint, maxTime: maxt, aggregates: aggregatesOf(fn), replicaLabels: s.replicaLabels,
		algorithm: s.algorithm, values: valuesOf(fn), prefer: s.prefer, identified: len(req.WithoutReplicaLabels) == 0,
	}
	switch s.algorithm.(type) {
	case dedup.Follow:
		sel.dropsCopies = true
	case dedup.Chain:
		sel.silent = true
	case dedup.Penalty:
		sel.silent = true
		// Penalty takes a counter that falls at a change of replica for one that
		// lags behind, so a reset has to be told from that before. Not for
		// resets, which would then never see one: this is where Thanos differs.
		sel.raised = sel.merged() && sel.values == dedup.Counters && fn != "resets"
	}
	return sel
}

// seriesHashLabel is where an engine that asks for some labels only expects a
// hash of all.
const seriesHashLabel = "__series_hash__"

// funcSeries is the function that Prometheus' HTTP API puts into the hints when
// it wants label sets.
const funcSeries = "series"

// seriesRequest translates a select.
func (s *settings) seriesRequest(hints *storage.SelectHints, ms []*labels.Matcher) *store.SeriesRequest {
	maxResolution := s.maxResolution
	if maxResolution == AutoResolution {
		maxResolution = millis(hints.Step) / autoResolutionDiv
	}
	req := &store.SeriesRequest{
		MinTime:              hints.Start,
		MaxTime:              hints.End,
		Matchers:             ms,
		MaxResolution:        resolutionOf(maxResolution, hints.Func, hints.Range),
		Aggregates:           aggregatesOf(hints.Func),
		Strategy:             s.strategy,
		SkipChunks:           hints.Func == funcSeries,
		WithoutReplicaLabels: s.replicaLabels,
		Shard:                s.shard,
		Limit:                hints.Limit,
		Hints: &store.QueryHints{
			Step:              millis(hints.Step),
			Func:              hints.Func,
			Grouping:          slices.Clone(hints.Grouping), // the engine sorts its own later
			By:                hints.By,
			Range:             millis(hints.Range),
			ProjectionLabels:  slices.Clone(hints.ProjectionLabels),
			ProjectionInclude: hints.ProjectionInclude,
		},
		StoreHints: s.storeHints,
		Tenant:     s.tenant,
		Metadata:   s.metadata,
		StoreMatch: s.storeMatch,
		Require:    s.require,
		Outcome:    s.outcome,
	}
	if hints.ProjectionInclude || len(hints.ProjectionLabels) > 0 {
		req.Hints.SeriesHashLabel = seriesHashLabel
	}
	if req.Shard != nil || hints.ShardCount > 0 {
		// A store that does not shard would count series of other shards.
		req.Limit = 0
	}
	if s.identifies(req) {
		s.keepReplicas(req)
	}
	return req
}

// identifies reports whether the answer is merged of replicas that are told apart
// by their labels. Penalty and Chain do not need to know who is who, and Thanos'
// does not know. A limit is about series without replica labels, and label sets
// are fewer without them: both are left to the stores.
func (s *settings) identifies(req *store.SeriesRequest) bool {
	if len(s.replicaLabels) == 0 || req.SkipChunks || req.Limit > 0 {
		return false
	}
	switch s.algorithm.(type) {
	case dedup.Penalty, dedup.Chain:
		return false
	}
	return true
}

// keepReplicas has stores leave the replica labels, and shard as if they were
// gone. Projections are not asked for: where a store leaves out labels, it puts a
// hash of all in their place, which would differ from replica to replica.
func (s *settings) keepReplicas(req *store.SeriesRequest) {
	req.WithoutReplicaLabels = nil
	req.Hints.ProjectionLabels, req.Hints.ProjectionInclude, req.Hints.SeriesHashLabel = nil, false, ""
	if req.Shard == nil {
		return
	}
	shard := *req.Shard
	isReplicaLabel := func(n string) bool { return slices.Contains(s.replicaLabels, n) }
	if shard.Labels = slices.Clone(shard.Labels); shard.By {
		shard.Labels = slices.DeleteFunc(shard.Labels, isReplicaLabel)
	} else {
		shard.Labels = append(shard.Labels, s.replicaLabels...)
	}
	req.Shard = &shard
}
