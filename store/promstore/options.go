package promstore

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Defaults of Options, as of Thanos' sidecar.
const (
	DefaultInterval = 30 * time.Second
	DefaultTimeout  = 30 * time.Second
)

// Options of a Store. The zero value is ready for use.
type Options struct {
	// Name is the store's name in errors, logs and spans. Empty is its URL
	// without password.
	Name string
	// Client sends all requests; TLS, authentication and timeouts are its
	// business. Mind that its Timeout bounds a whole answer, however long it
	// streams. Nil is a client of the Store's own, which keeps connections open
	// until Close and uses no proxy.
	Client *http.Client
	// Interval is the time between two Syncs of Run. 0 is DefaultInterval.
	Interval time.Duration
	// Timeout bounds one Sync. 0 is DefaultTimeout. Calls of the Store are
	// bounded by their contexts only.
	Timeout time.Duration
	// MinTime hides data before it, in milliseconds since the epoch. 0 hides
	// nothing.
	MinTime int64
	// MaxAge hides data that is older. 0 hides nothing.
	MaxAge time.Duration
	// AllowNoExternalLabels makes a Prometheus without external labels
	// acceptable. Without, it is ErrNoExternalLabels, as to Thanos' sidecar,
	// because nothing tells its series from those of another Prometheus.
	AllowNoExternalLabels bool
	// MaxResponseBytes bounds one answer of Prometheus, after decompression.
	// Larger is a *store.LimitError; what came before may have been sent. 0 is
	// unlimited.
	MaxResponseBytes int64

	// Logger logs what Run finds; nil is silent.
	Logger *slog.Logger
	// Registerer registers the metrics; nil leaves them unregistered. Stores
	// that share a Registerer share counters and histograms, which is
	// meaningful, and the gauges thanos_sidecar_prometheus_up and
	// thanos_sidecar_last_heartbeat_success_time_seconds, which is not: give
	// each Store of many a prometheus.WrapRegistererWith of its own.
	Registerer prometheus.Registerer
	// TracerProvider makes a span of each call; nil makes none. To propagate
	// them to Prometheus, give Client an instrumented RoundTripper.
	TracerProvider trace.TracerProvider
}

// complete returns a copy with defaults filled in, and all problems joined.
func (o *Options) complete(u *url.URL) (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	for name, d := range map[string]*time.Duration{"Interval": &out.Interval, "Timeout": &out.Timeout, "MaxAge": &out.MaxAge} {
		if *d < 0 {
			errs = append(errs, fmt.Errorf("option %s: %v is negative", name, *d))
		}
	}
	if out.MaxResponseBytes < 0 {
		errs = append(errs, fmt.Errorf("option MaxResponseBytes: %d is negative", out.MaxResponseBytes))
	}
	if out.Name == "" {
		out.Name = u.Redacted()
	}
	if out.Interval == 0 {
		out.Interval = DefaultInterval
	}
	if out.Timeout == 0 {
		out.Timeout = DefaultTimeout
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.TracerProvider == nil {
		out.TracerProvider = noop.NewTracerProvider()
	}
	return out, errors.Join(errs...)
}
