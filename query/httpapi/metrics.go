package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/thanoskit/thanoskit/internal/metric"
)

// metrics are those of Thanos' HTTP servers and of its gate of queries.
type metrics struct {
	requests     *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	requestSize  *prometheus.SummaryVec
	responseSize *prometheus.SummaryVec
	inFlight     *prometheus.GaugeVec

	gateMax, gateInFlight prometheus.Gauge
	gateTotal             prometheus.Counter
	gateWait              prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const gatePrefix = "thanos_query_concurrent_gate_queries_"
	names := []string{"code", "handler", "method"}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Tracks the number of HTTP requests.",
		}, names),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Tracks the latencies for HTTP requests.",
			Buckets: []float64{0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720},
		}, names),
		requestSize: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: "http_request_size_bytes", Help: "Tracks the size of HTTP requests.",
		}, names),
		responseSize: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: "http_response_size_bytes", Help: "Tracks the size of HTTP responses.",
		}, names),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "http_inflight_requests", Help: "Current number of HTTP requests the handler is responding to.",
		}, []string{"handler", "method"}),
		gateMax: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: gatePrefix + "max", Help: "Maximum number of concurrent queries.",
		}),
		gateInFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: gatePrefix + "in_flight", Help: "Number of queries that are currently in flight.",
		}),
		gateTotal: prometheus.NewCounter(prometheus.CounterOpts{
			Name: gatePrefix + "total", Help: "Total number of queries.",
		}),
		gateWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: gatePrefix + "duration_seconds", Help: "How many seconds it took for queries to wait at the gate.",
			Buckets: []float64{0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720},
		}),
	}
	err := errors.Join(
		metric.Register(reg, &m.requests), metric.Register(reg, &m.duration), metric.Register(reg, &m.inFlight),
		metric.Register(reg, &m.requestSize), metric.Register(reg, &m.responseSize),
		metric.Register(reg, &m.gateMax), metric.Register(reg, &m.gateInFlight), metric.Register(reg, &m.gateTotal), metric.Register(reg, &m.gateWait),
	)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}

// instrument counts the requests to a handler and measures them.
func (m *metrics) instrument(name string, next http.Handler) http.Handler {
	l := prometheus.Labels{"handler": name}
	next = promhttp.InstrumentHandlerDuration(m.duration.MustCurryWith(l), next)
	next = promhttp.InstrumentHandlerResponseSize(m.responseSize.MustCurryWith(l), next)
	next = promhttp.InstrumentHandlerRequestSize(m.requestSize.MustCurryWith(l), next)
	next = promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(l), next)
	inFlight := m.inFlight.MustCurryWith(l)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := inFlight.WithLabelValues(strings.ToLower(r.Method))
		g.Inc()
		defer g.Dec()
		next.ServeHTTP(w, r)
	})
}
