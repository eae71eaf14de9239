package promqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/store"
)

// caller is what every request to the Store says of who makes it.
type caller struct {
	strategy store.PartialResponseStrategy
	tenant   string
}

// ask sends a request and decodes its answer. endpoint is what metrics call it.
func (s *Store) ask(ctx context.Context, c *promapi.Call, endpoint string, from caller, data func(*json.Decoder) error) (warnings []string, err error) {
	s.addParams(c.Form, from.strategy)
	if s.opts.TenantHeader != "" && from.tenant != "" {
		c.Header = http.Header{}
		c.Header.Set(s.opts.TenantHeader, from.tenant)
	}
	c.MaxBytes, c.Received = s.opts.MaxResponseBytes, s.received.WithLabelValues(endpoint)
	resp, err := s.http.Do(ctx, c)
	if err != nil {
		return nil, err
	}
	defer errcapture.Do(&err, resp.Finish, "close answer")
	return promapi.Decode(resp, data)
}

// addParams adds the parameters of the dialect and those of the options.
func (s *Store) addParams(form url.Values, strategy store.PartialResponseStrategy) {
	if s.opts.Dialect == Thanos {
		form.Set("dedup", "false")
		form.Set("max_source_resolution", "0s")
		form.Set("partial_response", fmt.Sprint(strategy != store.Abort))
	}
	maps.Copy(form, s.opts.Params)
}

// labelSets sends series without chunks, as the API lists them. The limit is not
// passed on: what the API lists under a limit need not be the beginning of what
// it would list without.
func (s *Store) labelSets(ctx context.Context, req *store.SeriesRequest, mint, maxt int64, out *sender) error {
	var sets promapi.LabelSets
	c := &promapi.Call{Method: http.MethodPost, Endpoint: seriesEndpoint, Form: promapi.Form(selective(req.Matchers), mint, maxt, 0)}
	warnings, err := s.ask(ctx, c, "series", caller{req.Strategy, req.Tenant}, sets.DecodeJSON)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		if err := out.warn(req, &Warning{Message: w}); err != nil {
			return err
		}
	}
	for f := range sets.Frames(req.Limit) {
		if err := out.frame(f); err != nil {
			return err
		}
	}
	return nil
}

// selective returns matchers that PromQL accepts: it refuses those that might
// match a series without labels.
func selective(ms []*labels.Matcher) []*labels.Matcher {
	for _, m := range ms {
		if !m.Matches("") {
			return ms
		}
	}
	return append(slices.Clip(ms), labels.MustNewMatcher(labels.MatchNotEqual, labels.MetricName, ""))
}
