package promstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// reader is Prometheus as a Store without external labels of its own: their
// algebra is added by store.WithExternalLabels. What it sends has those that
// Prometheus added, and is sorted by the labels without them.
type reader struct {
	s       *Store
	version version
	// bare says that nothing is added to what the reader sends, so that it is
	// to be sorted as it is.
	bare bool
}

func newReader(s *Store, st *state) *reader {
	return &reader{s: s, version: st.version, bare: st.external.IsEmpty()}
}

// Describe leaves the lowest time to Store, which knows it better.
func (r *reader) Describe(context.Context) (store.Info, error) {
	info := store.Info{Component: "sidecar", MaxTime: maxTime}
	if !r.bare {
		info.TSDBs = []store.TSDBInfo{{MaxTime: maxTime}}
	}
	return info, nil
}

func (r *reader) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	out := &sender{w: w}
	var err error
	switch {
	case req.SkipChunks && r.apiAccepts(req.Matchers):
		err = r.seriesAPI(ctx, req, out)
	default:
		err = r.s.remote.read(ctx, req, r.bare, out)
	}
	switch {
	case out.err != nil: // the reader had enough
		return out.err
	case err != nil && ctx.Err() != nil:
		return r.s.fail("series", ctx.Err())
	case err != nil:
		return r.s.fail("series", err)
	}
	return nil
}

// sender tells errors of the writer from others.
type sender struct {
	w   store.SeriesWriter
	err error
}

func (s *sender) frame(f *encoded.Frame) error {
	s.err = wire.Send(s.w, f)
	return s.err
}

func (s *sender) warn(err error) error {
	s.err = s.w.Warn(err)
	return s.err
}

// apiAccepts reports whether the API can be asked for a selector. Like PromQL it
// refuses those that might match everything.
func (r *reader) apiAccepts(ms []*labels.Matcher) bool {
	selective := false
	for _, m := range ms {
		if !r.version.utf8Names() && !model.LegacyValidation.IsValidLabelName(m.Name) {
			return false
		}
		selective = selective || !m.Matches("")
	}
	return selective
}

// apiMatches reports whether the label APIs can answer for a selector.
func (r *reader) apiMatches(ms []*labels.Matcher) bool {
	return len(ms) == 0 || (r.version.labelAPIsMatch() && r.apiAccepts(ms))
}

func (r *reader) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	if !r.apiMatches(req.Matchers) {
		return store.LabelNames(ctx, store.Func(r.Series), req)
	}
	return r.labelAPI(ctx, "label names", &promapi.Call{
		Method: http.MethodPost, Endpoint: labelNamesEndpoint,
		Form: promapi.Form(req.Matchers, req.MinTime, req.MaxTime, req.Limit), Received: r.s.metrics.received.WithLabelValues("labels"),
	}, req.Strategy, req.Outcome, req.Limit)
}

func (r *reader) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	name := req.Label
	legacy := model.LegacyValidation.IsValidLabelName(name) && !strings.HasPrefix(name, promapi.EscapedPrefix)
	if !r.apiMatches(req.Matchers) || !(legacy || r.version.utf8Names()) {
		return store.LabelValues(ctx, store.Func(r.Series), req)
	}
	if !legacy {
		name = promapi.EscapeName(name)
	}
	return r.labelAPI(ctx, "label values", &promapi.Call{
		Method: http.MethodGet, Endpoint: fmt.Sprintf(labelValuesEndpoint, url.PathEscape(name)),
		Form: promapi.Form(req.Matchers, req.MinTime, req.MaxTime, req.Limit), Received: r.s.metrics.received.WithLabelValues("label_values"),
	}, req.Strategy, req.Outcome, req.Limit)
}

// labelAPI asks for names or values and sorts them.
func (r *reader) labelAPI(ctx context.Context, op string, c *promapi.Call, strategy store.PartialResponseStrategy, out *store.Outcome, limit int) ([]string, error) {
	values, warnings, err := r.fetchStrings(ctx, c)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, r.s.fail(op, ctx.Err())
	case err != nil:
		return nil, r.s.fail(op, err)
	case len(warnings) > 0 && strategy == store.Abort:
		return nil, r.s.fail(op, &Warning{Message: warnings[0]})
	}
	for _, w := range warnings {
		out.AddWarning(&Warning{Message: w})
	}
	slices.Sort(values)
	values = slices.Compact(values)
	if limit > 0 && len(values) > limit {
		values = values[:limit]
	}
	return values, nil
}

func (r *reader) fetchStrings(ctx context.Context, c *promapi.Call) (values, warnings []string, err error) {
	c.MaxBytes = r.s.opts.MaxResponseBytes
	resp, err := r.s.http.Do(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	defer errcapture.Do(&err, resp.Finish, "close answer")
	warnings, err = promapi.Decode(resp, func(dec *json.Decoder) error { return dec.Decode(&values) })
	return values, warnings, err
}
