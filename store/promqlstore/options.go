package promqlstore

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Defaults of Options.
const (
	DefaultWindow     = 6 * time.Hour
	DefaultMaxWindows = 5000
)

// ahead is how far the clock of a server may be ahead of ours.
const ahead = 10 * time.Minute

// Dialect says which parameters a server knows.
type Dialect uint8

const (
	// Prometheus is those of Prometheus' own API, which all servers know.
	Prometheus Dialect = iota
	// Thanos is those of Thanos' querier besides: replicas are not deduplicated
	// (dedup=false), raw data is asked for (max_source_resolution=0s), and
	// partial answers are allowed or not as the request's Strategy says
	// (partial_response). Options.Params overrides them.
	Thanos
)

// Options of a Store. The zero value is ready for use.
type Options struct {
	// Name is the store's name in errors and spans. Empty is its URL without
	// password.
	Name string
	// Client sends all requests; TLS, authentication and timeouts are its
	// business. Nil is a client of the Store's own, which keeps connections open
	// until Close and uses no proxy.
	Client *http.Client
	// Dialect says which parameters the server knows.
	Dialect Dialect
	// Params are sent with every request, over those of the Dialect.
	Params url.Values
	// TenantHeader is the header that tells the server the Tenant of a request,
	// such as "THANOS-TENANT" or "X-Scope-OrgID". Empty tells nothing.
	TenantHeader string
	// Window is the longest range that is asked for at once, in whole
	// milliseconds. 0 is DefaultWindow.
	Window time.Duration
	// MaxWindows bounds how many windows a request may take. One that takes more
	// is a *store.LimitError; a MinTime or MaxAge keeps requests for all time
	// below. 0 is DefaultMaxWindows.
	MaxWindows int64
	// MinTime and MaxTime bound what is asked for and announced, in milliseconds
	// since the epoch, both inclusive. 0 is no bound; nothing is asked for that is
	// more than ten minutes ahead of time.
	MinTime, MaxTime int64
	// MaxAge hides data that is older. 0 hides nothing.
	MaxAge time.Duration
	// MaxSamples bounds the samples of the answer to one request; more is a
	// *store.LimitError. 0 is unlimited.
	MaxSamples int64
	// MaxResponseBytes bounds one answer of the server; larger is a
	// *store.LimitError. 0 is unlimited.
	MaxResponseBytes int64

	// Registerer registers the metrics, which Stores that share one share; nil
	// leaves them unregistered.
	Registerer prometheus.Registerer
	// TracerProvider makes a span of each call; nil makes none. To propagate
	// them, give Client an instrumented RoundTripper.
	TracerProvider trace.TracerProvider
}

// complete returns a copy with defaults filled in, and all problems joined.
func (o *Options) complete(u *url.URL) (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	for _, n := range []struct {
		name string
		v    int64
	}{
		{"Window", int64(out.Window)}, {"MaxWindows", out.MaxWindows}, {"MaxAge", int64(out.MaxAge)},
		{"MaxSamples", out.MaxSamples}, {"MaxResponseBytes", out.MaxResponseBytes},
	} {
		if n.v < 0 {
			errs = append(errs, fmt.Errorf("option %s: %d is negative", n.name, n.v))
		}
	}
	if out.Window%time.Millisecond != 0 {
		errs = append(errs, fmt.Errorf("option Window: %v is not in whole milliseconds", out.Window))
	}
	if out.MaxTime != 0 && out.MinTime > out.MaxTime {
		errs = append(errs, fmt.Errorf("option MinTime: %d is after MaxTime %d", out.MinTime, out.MaxTime))
	}
	if out.Dialect > Thanos {
		errs = append(errs, fmt.Errorf("option Dialect: no dialect %d", out.Dialect))
	}
	if out.Name == "" {
		out.Name = u.Redacted()
	}
	if out.Window == 0 {
		out.Window = DefaultWindow
	}
	if out.MaxWindows == 0 {
		out.MaxWindows = DefaultMaxWindows
	}
	out.Params = maps.Clone(out.Params)
	if out.TracerProvider == nil {
		out.TracerProvider = noop.NewTracerProvider()
	}
	return out, errors.Join(errs...)
}

// bounds returns the range of the data, in milliseconds, both inclusive.
func (o *Options) bounds() (mint, maxt int64) {
	mint, maxt = math.MinInt64, math.MaxInt64
	if o.MinTime != 0 {
		mint = o.MinTime
	}
	if o.MaxAge != 0 {
		mint = max(mint, time.Now().Add(-o.MaxAge).UnixMilli())
	}
	if o.MaxTime != 0 {
		maxt = o.MaxTime
	}
	return mint, maxt
}
