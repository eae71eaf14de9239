package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/thanoskit/thanoskit/query"
)

const (
	defaultStep       = time.Second
	defaultPoints     = 11_000
	defaultConcurrent = 20
	defaultEngine     = "prometheus"
	tenantHeader      = "THANOS-TENANT"
)

// Options of New. The zero value is ready for use.
type Options struct {
	// MaxConcurrent is how many queries run at a time; further ones wait. 0 is
	// 20, as in Thanos; less is unlimited. Series and label queries do not count.
	MaxConcurrent int
	// DefaultStep is the least step of a range query that gives none; 0 is a
	// second.
	DefaultStep time.Duration
	// MaxPoints is the greatest number of steps of a range query; 0 is 11000, as
	// in Prometheus.
	MaxPoints int
	// Engine is the name of the Querier's engine, which is what the parameter
	// engine may ask for; empty is "prometheus".
	Engine string
	// TenantHeader is the header that says who a request is made for, which
	// stores are told; empty is Thanos' THANOS-TENANT. Its value has
	// to be printable ASCII. Whether it is true is not checked here: what stands
	// before the handler has to.
	TenantHeader string
	// DefaultTenant is told to stores when the header is missing; empty tells
	// them nothing. Thanos says "default-tenant".
	DefaultTenant string
	// AllowOrigin is what Access-Control-Allow-Origin says; empty sends no CORS
	// headers. Thanos says "*".
	AllowOrigin string
	// BuildInfo is what /api/v1/status/buildinfo says.
	BuildInfo BuildInfo
	// Ready says whether requests should be sent here; an error says why not. Nil
	// is always ready. It does not keep requests from being answered.
	Ready func(context.Context) error
	// Gatherer is what /metrics exposes; nil exposes nothing.
	Gatherer prometheus.Gatherer
	// Registerer gets the metrics of the API: Thanos' http_* and
	// thanos_query_concurrent_gate_queries_*. Handlers that share it share them,
	// which sums what they count; the gate's maximum is that of the last one.
	// Nil registers nothing.
	Registerer prometheus.Registerer
	// Logger gets what goes wrong after an answer has begun; nil is silent.
	Logger *slog.Logger
}

// BuildInfo says what was built. Grafana tells from the version what it may ask
// for.
type BuildInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	// GoVersion is that of the program if it is empty.
	GoVersion string `json:"goVersion"`
}

// withDefaults returns a copy that is complete, or all that is wrong with it.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	if out.DefaultStep < 0 {
		errs = append(errs, fmt.Errorf("default step %s is negative", out.DefaultStep))
	}
	if out.MaxPoints < 0 {
		errs = append(errs, fmt.Errorf("max points %d is negative", out.MaxPoints))
	}
	if err := errors.Join(errs...); err != nil {
		return out, err
	}
	if out.MaxConcurrent == 0 {
		out.MaxConcurrent = defaultConcurrent
	}
	if out.DefaultStep == 0 {
		out.DefaultStep = defaultStep
	}
	if out.MaxPoints == 0 {
		out.MaxPoints = defaultPoints
	}
	if out.Engine == "" {
		out.Engine = defaultEngine
	}
	if out.TenantHeader == "" {
		out.TenantHeader = tenantHeader
	}
	if out.BuildInfo.GoVersion == "" {
		out.BuildInfo.GoVersion = runtime.Version()
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

// Handler answers the endpoints in the package documentation. It is safe for
// concurrent use.
type Handler struct {
	querier *query.Querier
	opts    Options
	mux     *http.ServeMux
	gate    *gate
	build   string // BuildInfo in JSON
}

// New returns a handler of queries to q. opts may be nil.
//
// Errors: all that is wrong with the options, joined; metrics that cannot be
// registered.
func New(q *query.Querier, opts *Options) (*Handler, error) {
	if q == nil {
		return nil, errors.New("make HTTP API: no querier")
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("make HTTP API: %w", err)
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("make HTTP API: %w", err)
	}
	build, err := json.Marshal(o.BuildInfo)
	if err != nil {
		return nil, fmt.Errorf("make HTTP API: encode build info: %w", err)
	}
	h := &Handler{querier: q, opts: o, mux: http.NewServeMux(), gate: newGate(o.MaxConcurrent, m), build: string(build)}
	both := []string{http.MethodGet, http.MethodPost}
	h.route(m, both, "/api/v1/query", "query", h.instant)
	h.route(m, both, "/api/v1/query_range", "query_range", h.ranged)
	h.route(m, both, "/api/v1/series", "series", h.series)
	h.route(m, both, "/api/v1/labels", "label_names", h.labelNames)
	h.route(m, both[:1], "/api/v1/label/{name}/values", "label_values", h.labelValues)
	h.route(m, both[:1], "/api/v1/status/buildinfo", "status_build", h.buildInfo)
	if o.AllowOrigin != "" {
		h.mux.Handle("OPTIONS /api/v1/", m.instrument("options", http.HandlerFunc(h.preflight)))
	}
	h.mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { h.probe(w, nil) })
	h.mux.HandleFunc("GET /-/ready", h.ready)
	if o.Gatherer != nil {
		h.mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{}))
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// endpoint answers a request whose parameters were parsed.
type endpoint func(r *http.Request, p params) (*answer, error)

// route registers an endpoint. The name is what Thanos calls it in metrics.
func (h *Handler) route(m *metrics, methods []string, path, name string, f endpoint) {
	handler := m.instrument(name, gzhttp.GzipHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.cors(w)
		a, err := h.call(r, f)
		if err != nil {
			h.respondError(w, err)
			return
		}
		defer a.close()
		h.respond(w, a)
	})))
	for _, method := range methods {
		h.mux.Handle(method+" "+path, handler)
	}
}

func (h *Handler) call(r *http.Request, f endpoint) (*answer, error) {
	if err := r.ParseForm(); err != nil {
		return nil, badData("parse form: %w", err)
	}
	return f(r, params{r.Form})
}

func (h *Handler) cors(w http.ResponseWriter) {
	if h.opts.AllowOrigin == "" {
		return
	}
	hd := w.Header()
	hd.Set("Access-Control-Allow-Origin", h.opts.AllowOrigin)
	hd.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	hd.Set("Access-Control-Allow-Headers", "Accept, Accept-Encoding, Authorization, Content-Type, Origin")
	hd.Set("Access-Control-Expose-Headers", "Date")
	if h.opts.AllowOrigin != "*" {
		hd.Add("Vary", "Origin")
	}
}

// preflight answers what a browser asks before it asks.
func (h *Handler) preflight(w http.ResponseWriter, _ *http.Request) {
	h.cors(w)
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	var err error
	if h.opts.Ready != nil {
		err = h.opts.Ready(r.Context())
	}
	h.probe(w, err)
}

// probe answers a health check.
func (h *Handler) probe(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	h.write(w, []byte("OK\n"))
}

// write logs that the client is gone.
func (h *Handler) write(w http.ResponseWriter, b []byte) {
	if _, err := w.Write(b); err != nil {
		h.opts.Logger.Debug("write response", "err", err)
	}
}
