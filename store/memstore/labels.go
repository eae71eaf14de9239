package memstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// LabelNames returns the label names of the series that match and have data in
// the range, at any resolution.
func (s *Store) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	names := map[string]struct{}{}
	err := s.each(ctx, req.MinTime, req.MaxTime, req.Matchers, func(lset labels.Labels) {
		lset.Range(func(l labels.Label) { names[l.Name] = struct{}{} })
	})
	if err != nil {
		return nil, err
	}
	for _, n := range req.WithoutReplicaLabels {
		delete(names, n)
	}
	return sorted(names, req.Limit), nil
}

// LabelValues returns the values that a label has in the series that match and
// have data in the range, at any resolution. A replica label that is to be
// removed has none.
//
// Errors: ErrInvalidRequest if the request names no label.
func (s *Store) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	if req.Label == "" {
		return nil, fmt.Errorf("label values: %w: no label given", store.ErrInvalidRequest)
	}
	if slices.Contains(req.WithoutReplicaLabels, req.Label) {
		return nil, nil
	}
	has, err := labels.NewMatcher(labels.MatchNotEqual, req.Label, "")
	if err != nil {
		return nil, err
	}
	values := map[string]struct{}{}
	err = s.each(ctx, req.MinTime, req.MaxTime, append(slices.Clip(req.Matchers), has), func(lset labels.Labels) {
		values[lset.Get(req.Label)] = struct{}{}
	})
	if err != nil {
		return nil, err
	}
	return sorted(values, req.Limit), nil
}

// each calls f with the labels of every series that matches and has data in the
// range.
func (s *Store) each(ctx context.Context, mint, maxt int64, ms []*labels.Matcher, f func(labels.Labels)) error {
	if mint > maxt {
		return ctx.Err()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	matched, err := s.index.matching(ctx, ms)
	if err != nil {
		return err
	}
	for _, sr := range matched {
		if sr.hasData(mint, maxt) {
			f(sr.lset)
		}
	}
	return nil
}

func sorted(set map[string]struct{}, limit int) []string {
	out := make([]string, 0, len(set))
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	if limit > 0 && len(out) > limit {
		out = out[:limit:limit]
	}
	return out
}
