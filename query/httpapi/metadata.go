package httpapi

import (
	"math"
	"net/http"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// lookup is the parameters that series and label queries share.
type lookup struct {
	mint, maxt int64 // ms, both inclusive
	selectors  [][]*labels.Matcher
	limit      int
	options    *query.QueryOptions
}

func (h *Handler) lookup(r *http.Request, p params) (l lookup, err error) {
	if l.limit, err = p.limit(); err != nil {
		return l, err
	}
	start, end, err := p.span()
	if err != nil {
		return l, err
	}
	l.mint, l.maxt = start.UnixMilli(), end.UnixMilli()
	if l.selectors, err = p.matches(); err != nil {
		return l, err
	}
	l.options = &query.QueryOptions{Limit: l.limit, Outcome: &store.Outcome{}}
	if err := h.metadata(r, l.options); err != nil {
		return l, err
	}
	if 0 < l.limit && l.limit < math.MaxInt {
		l.options.Limit++ // to tell whether anything was cut off
	}
	return l, p.partial(l.options)
}

// series answers /api/v1/series.
func (h *Handler) series(r *http.Request, p params) (*answer, error) {
	if len(p.values["match[]"]) == 0 {
		return nil, badData("no match[] parameter provided")
	}
	l, err := h.lookup(r, p)
	if err != nil {
		return nil, err
	}
	if err := p.replicas(l.options); err != nil {
		return nil, err
	}
	found, warnings, err := h.querier.Series(r.Context(), l.mint, l.maxt, l.selectors, l.options)
	if err != nil {
		return nil, err
	}
	return list(found, l, warnings, (*encoder).labels), nil
}

// labelNames answers /api/v1/labels.
func (h *Handler) labelNames(r *http.Request, p params) (*answer, error) {
	l, err := h.lookup(r, p)
	if err != nil {
		return nil, err
	}
	l.options.Dedup = new(false)
	names, warnings, err := h.querier.LabelNames(r.Context(), l.mint, l.maxt, l.selectors, l.options)
	if err != nil {
		return nil, err
	}
	return list(names, l, warnings, (*encoder).string), nil
}

// labelValues answers /api/v1/label/{name}/values.
func (h *Handler) labelValues(r *http.Request, p params) (*answer, error) {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return nil, badData("invalid label name: %q", name)
	}
	l, err := h.lookup(r, p)
	if err != nil {
		return nil, err
	}
	l.options.Dedup = new(false)
	values, warnings, err := h.querier.LabelValues(r.Context(), name, l.mint, l.maxt, l.selectors, l.options)
	if err != nil {
		return nil, err
	}
	return list(values, l, warnings, (*encoder).string), nil
}

// list answers with an array of items, up to the limit.
func list[T any](items []T, l lookup, warnings []error, encode func(*encoder, T)) *answer {
	a := &answer{partial: !l.options.Outcome.Complete()}
	a.addStoreWarnings(warnings)
	if l.limit > 0 && len(items) > l.limit {
		items = items[:l.limit]
		a.truncated()
	}
	a.data = func(e *encoder) {
		e.raw(`[`)
		for i, item := range items {
			e.comma(i)
			encode(e, item)
		}
		e.raw(`]`)
	}
	return a
}

// buildInfo answers /api/v1/status/buildinfo.
func (h *Handler) buildInfo(*http.Request, params) (*answer, error) {
	return &answer{data: func(e *encoder) { e.raw(h.build) }}, nil
}
