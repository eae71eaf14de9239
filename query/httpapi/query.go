package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/thanoskit/thanoskit/query"
)

// errTruncated is the warning for an answer that a limit cut off.
const errTruncated = "results truncated due to limit"

// instant answers /api/v1/query.
func (h *Handler) instant(r *http.Request, p params) (*answer, error) {
	ts, err := p.time("time", time.Now())
	if err != nil {
		return nil, err
	}
	return h.query(r, p, func(ctx context.Context, expr string, o *query.QueryOptions) (*query.Result, error) {
		return h.querier.Instant(ctx, expr, ts, o)
	})
}

// ranged answers /api/v1/query_range.
func (h *Handler) ranged(r *http.Request, p params) (*answer, error) {
	for _, name := range []string{"start", "end"} {
		if p.values.Get(name) == "" {
			return nil, invalid(name, errors.New(`cannot parse "" to a valid timestamp`))
		}
	}
	start, end, err := p.span()
	if err != nil {
		return nil, err
	}
	step, err := h.step(p, start, end)
	if err != nil {
		return nil, err
	}
	return h.query(r, p, func(ctx context.Context, expr string, o *query.QueryOptions) (*query.Result, error) {
		return h.querier.Range(ctx, expr, start, end, step, o)
	})
}

// step returns the step of a range query, of which there are not too many.
func (h *Handler) step(p params, start, end time.Time) (time.Duration, error) {
	// Times may be farther apart than a Duration reaches.
	millis := uint64(end.UnixMilli()) - uint64(start.UnixMilli())
	step, given, err := p.duration("step")
	if err != nil {
		return 0, err
	}
	if !given {
		const most = uint64(1<<63-1) / uint64(time.Second)
		step = max(time.Duration(min(millis/1000/250, most))*time.Second, h.opts.DefaultStep)
	}
	if step < time.Millisecond {
		return 0, invalid("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	}
	if millis/uint64(step.Milliseconds()) > uint64(h.opts.MaxPoints) {
		return 0, badData("exceeded maximum resolution of %d points per timeseries. Try decreasing the query resolution (?step=XX)", h.opts.MaxPoints)
	}
	return step, nil
}

// queryOptions returns what the parameters change for an instant or range query.
func (h *Handler) queryOptions(r *http.Request, p params) (*query.QueryOptions, error) {
	o := &query.QueryOptions{PerStepStats: p.values.Get("stats") == "all"}
	if err := h.metadata(r, o); err != nil {
		return nil, err
	}
	if e := p.values.Get("engine"); e != "" && e != h.opts.Engine {
		return nil, invalid("engine", fmt.Errorf("there is no engine %q", e))
	}
	for _, set := range []func(*query.QueryOptions) error{p.replicas, p.partial, p.resolution, p.shard} {
		if err := set(o); err != nil {
			return nil, err
		}
	}
	var err error
	o.LookbackDelta, _, err = p.duration("lookback_delta")
	return o, err
}

// metadata has the tenant and the id of the request travel with what stores are
// asked, under the names that Thanos gives them. gRPC carries printable ASCII: with
// any other tenant no store could be asked, and any other id stays here.
func (h *Handler) metadata(r *http.Request, o *query.QueryOptions) error {
	if o.Tenant = r.Header.Get(h.opts.TenantHeader); o.Tenant == "" {
		o.Tenant = h.opts.DefaultTenant
	}
	if !printable(o.Tenant) {
		return badData("invalid header %q: tenant %q is not printable ASCII", h.opts.TenantHeader, o.Tenant)
	}
	if id := r.Header.Get("X-Request-ID"); id != "" && printable(id) {
		o.Metadata = map[string][]string{"request-id": {id}}
	}
	return nil
}

// printable reports whether s is printable ASCII.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// query asks for an instant or range query, when it is its turn.
func (h *Handler) query(r *http.Request, p params, ask func(context.Context, string, *query.QueryOptions) (*query.Result, error)) (*answer, error) {
	expr := p.values.Get("query")
	limit, err := p.limit()
	if err != nil {
		return nil, err
	}
	o, err := h.queryOptions(r, p)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	if timeout, given, err := p.duration("timeout"); err != nil {
		return nil, err
	} else if given {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if err := h.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer h.gate.leave()

	res, err := ask(ctx, expr, o)
	if err != nil {
		return nil, expressionError(err)
	}
	a := &answer{release: res.Close}
	if err := a.addResult(res, p, limit); err != nil {
		a.close()
		return nil, err
	}
	a.addAnnotations(res.Annotations, expr)
	return a, nil
}

// expressionError names the parameter that an ErrInvalid is about, as others
// were checked before.
func expressionError(err error) error {
	if !errors.Is(err, query.ErrInvalid) {
		return err
	}
	if pe := (parser.ParseErrors)(nil); errors.As(err, &pe) {
		return invalid("query", pe)
	}
	return badData("invalid parameter %q: %s", "query", strings.TrimPrefix(err.Error(), query.ErrInvalid.Error()+": "))
}

// addResult adds the value and what else was asked for to an answer.
func (a *answer) addResult(res *query.Result, p params, limit int) error {
	value, truncated := truncate(res.Value, limit)
	a.addStoreWarnings(res.Warnings)
	a.partial = a.partial || !res.Outcome.Complete()
	if truncated {
		a.truncated()
	}
	extra, err := extras(res, p)
	if err != nil {
		return err
	}
	a.data = func(e *encoder) {
		e.raw(`{"resultType":"`).raw(string(value.Type())).raw(`","result":`)
		e.value(value)
		for _, x := range extra {
			e.raw(`,"`).raw(x.name).raw(`":`).raw(string(x.json))
		}
		e.raw(`}`)
	}
	return nil
}

// truncate returns the first series, as many as the limit allows; 0 is no limit.
func truncate(v parser.Value, limit int) (parser.Value, bool) {
	if limit == 0 {
		return v, false
	}
	switch v := v.(type) {
	case promql.Vector:
		if len(v) > limit {
			return v[:limit], true
		}
	case promql.Matrix:
		if len(v) > limit {
			return v[:limit], true
		}
	}
	return v, false
}
