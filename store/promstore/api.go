package promstore

import (
	"context"
	"net/http"

	"github.com/efficientgo/core/errcapture"

	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/store"
)

// Endpoints, below the URL of Prometheus.
const (
	readEndpoint        = "api/v1/read"
	seriesEndpoint      = "api/v1/series"
	labelNamesEndpoint  = "api/v1/labels"
	labelValuesEndpoint = "api/v1/label/%s/values"
	configEndpoint      = "api/v1/status/config"
	buildInfoEndpoint   = "api/v1/status/buildinfo"
	flagsEndpoint       = "api/v1/status/flags"
	metricsEndpoint     = "metrics"
)

// seriesAPI sends series without samples, as the API lists them. The limit is
// not passed on: what the API lists under a limit is not the beginning of what
// it would list without.
func (r *reader) seriesAPI(ctx context.Context, req *store.SeriesRequest, out *sender) error {
	list, warnings, err := r.fetchSeries(ctx, req)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		if req.Strategy == store.Abort {
			return &Warning{Message: w}
		}
		if err := out.warn(&Warning{Message: w}); err != nil {
			return err
		}
	}
	for f := range list.Frames(req.Limit) {
		if err := out.frame(f); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) fetchSeries(ctx context.Context, req *store.SeriesRequest) (list *promapi.LabelSets, warnings []string, err error) {
	resp, err := r.s.http.Do(ctx, &promapi.Call{
		Method: http.MethodPost, Endpoint: seriesEndpoint,
		Form:     promapi.Form(req.Matchers, req.MinTime, req.MaxTime, 0),
		MaxBytes: r.s.opts.MaxResponseBytes, Received: r.s.metrics.received.WithLabelValues("series"),
	})
	if err != nil {
		return nil, nil, err
	}
	defer errcapture.Do(&err, resp.Finish, "close answer")
	list = &promapi.LabelSets{}
	warnings, err = promapi.Decode(resp, list.DecodeJSON)
	return list, warnings, err
}
