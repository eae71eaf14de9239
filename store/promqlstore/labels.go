package promqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/store"
)

// maxQuery is the length of the parameters of a GET above which servers and
// proxies refuse it.
const maxQuery = 4 << 10

// LabelNames returns label names; see store.LabelQuerier. Warnings of the server
// go to the request's Outcome, or are an error if its Strategy is Abort.
func (s *Store) LabelNames(ctx context.Context, req *store.LabelNamesRequest) (_ []string, err error) {
	ctx, end := s.start(ctx, "promqlstore.LabelNames")
	defer func() { end(err) }()
	mint, maxt, ok := s.clip(req.MinTime, req.MaxTime)
	if !ok {
		return nil, ctx.Err()
	}
	c := &promapi.Call{Method: http.MethodPost, Endpoint: labelNamesEndpoint, Form: promapi.Form(selectiveIfAny(req.Matchers), mint, maxt, 0)}
	return s.strings(ctx, c, "label names", "labels", caller{req.Strategy, req.Tenant}, req.Outcome, req.Limit)
}

// LabelValues returns the values of a label; see store.LabelQuerier. Warnings of
// the server go to the request's Outcome, or are an error if its Strategy is
// Abort.
//
// Cost: the labels of all series that have the label, if its name or the
// selector does not fit into a URL.
func (s *Store) LabelValues(ctx context.Context, req *store.LabelValuesRequest) (_ []string, err error) {
	if req.Label == "" {
		return nil, fmt.Errorf("label values: %w: no label given", store.ErrInvalidRequest)
	}
	ctx, end := s.start(ctx, "promqlstore.LabelValues")
	defer func() { end(err) }()
	mint, maxt, ok := s.clip(req.MinTime, req.MaxTime)
	if !ok {
		return nil, ctx.Err()
	}
	c := &promapi.Call{Method: http.MethodGet, Endpoint: fmt.Sprintf(labelValuesEndpoint, req.Label), Form: promapi.Form(selectiveIfAny(req.Matchers), mint, maxt, 0)}
	plain := model.LegacyValidation.IsValidLabelName(req.Label) && !strings.HasPrefix(req.Label, promapi.EscapedPrefix)
	if !plain || len(c.Form.Encode()) > maxQuery {
		return store.LabelValues(ctx, store.Func(s.Series), req)
	}
	return s.strings(ctx, c, "label values", "label_values", caller{req.Strategy, req.Tenant}, req.Outcome, req.Limit)
}

// selectiveIfAny leaves no matchers alone: label queries may have none.
func selectiveIfAny(ms []*labels.Matcher) []*labels.Matcher {
	if len(ms) == 0 {
		return nil
	}
	return selective(ms)
}

// strings asks for names or values and sorts them.
func (s *Store) strings(ctx context.Context, c *promapi.Call, op, endpoint string, from caller, out *store.Outcome, limit int) ([]string, error) {
	var values []string
	warnings, err := s.ask(ctx, c, endpoint, from, func(dec *json.Decoder) error { return dec.Decode(&values) })
	if err == nil && len(warnings) > 0 && from.strategy == store.Abort {
		err = &Warning{Message: warnings[0]}
	}
	if err != nil {
		return nil, s.fail(ctx, op, err)
	}
	for _, w := range warnings {
		out.AddWarning(&Warning{Message: w})
	}
	slices.Sort(values)
	values = slices.Compact(values)
	if limit > 0 && len(values) > limit {
		values = values[:limit:limit]
	}
	return values, nil
}
