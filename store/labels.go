package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// LabelNames asks s for label names: as a LabelQuerier if it is one, else
// through its series. See LabelQuerier for the result.
//
// Errors: those of s. Cost: without a LabelQuerier, one pass over the labels of all
// series in range.
func LabelNames(ctx context.Context, s Store, req *LabelNamesRequest) ([]string, error) {
	if q, ok := s.(LabelQuerier); ok {
		return q.LabelNames(ctx, req)
	}
	names := map[string]struct{}{}
	for series, err := range All(ctx, s, seriesOfNames(req), req.Outcome) {
		if err != nil {
			return nil, err
		}
		series.Labels.Range(func(l labels.Label) { names[l.Name] = struct{}{} })
	}
	for _, n := range req.WithoutReplicaLabels {
		delete(names, n)
	}
	return sortedPrefix(names, req.Limit), nil
}

// LabelValues asks s for the values of a label: as a LabelQuerier if it is one,
// else through its series. See LabelQuerier for the result.
//
// Errors: ErrInvalidRequest if the request names no label.
//
// Cost: without a LabelQuerier, one pass over the labels of the series in range
// that have the label.
func LabelValues(ctx context.Context, s Store, req *LabelValuesRequest) ([]string, error) {
	if req.Label == "" {
		return nil, fmt.Errorf("label values: %w: no label given", ErrInvalidRequest)
	}
	if slices.Contains(req.WithoutReplicaLabels, req.Label) {
		return nil, nil
	}
	if q, ok := s.(LabelQuerier); ok {
		return q.LabelValues(ctx, req)
	}
	sreq := seriesOfValues(req)
	sreq.Matchers = append(slices.Clip(req.Matchers), labels.MustNewMatcher(labels.MatchNotEqual, req.Label, ""))
	values := map[string]struct{}{}
	for series, err := range All(ctx, s, sreq, req.Outcome) {
		if err != nil {
			return nil, err
		}
		if v := series.Labels.Get(req.Label); v != "" {
			values[v] = struct{}{}
		}
	}
	return sortedPrefix(values, req.Limit), nil
}

// anyResolution finds the labels of series of which only downsampled data is
// left.
const anyResolution = time.Duration(math.MaxInt64)

// seriesOfNames asks for the series whose label names are wanted.
func seriesOfNames(req *LabelNamesRequest) *SeriesRequest {
	return &SeriesRequest{
		MinTime: req.MinTime, MaxTime: req.MaxTime, MaxResolution: anyResolution, Matchers: req.Matchers, SkipChunks: true,
		Strategy: req.Strategy, Tenant: req.Tenant, Metadata: req.Metadata, StoreMatch: req.StoreMatch, Require: req.Require,
	}
}

// seriesOfValues asks for the series whose label values are wanted.
func seriesOfValues(req *LabelValuesRequest) *SeriesRequest {
	return &SeriesRequest{
		MinTime: req.MinTime, MaxTime: req.MaxTime, MaxResolution: anyResolution, Matchers: req.Matchers, SkipChunks: true,
		Strategy: req.Strategy, Tenant: req.Tenant, Metadata: req.Metadata, StoreMatch: req.StoreMatch, Require: req.Require,
	}
}

func sortedPrefix(set map[string]struct{}, limit int) []string {
	out := make([]string, 0, len(set))
	for v := range set {
		out = append(out, v)
	}
	slices.Sort(out)
	return prefix(out, limit)
}

func prefix(s []string, limit int) []string {
	if limit > 0 && len(s) > limit {
		return s[:limit:limit]
	}
	return s
}
