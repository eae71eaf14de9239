package query

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

// metrics are those of Thanos' gate of concurrent selects. Queriers that share a
// registerer share them, which sums what they count; the maximum is the same for
// all unless they were given different ones.
type metrics struct {
	max, inFlight prometheus.Gauge
	total         prometheus.Counter
	wait          prometheus.Histogram
}

func newMetrics(reg *registerer) *metrics {
	const prefix = "thanos_query_concurrent_selects_gate_selects_"
	return &metrics{
		max: shared(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "max", Help: "Maximum number of concurrent selects.",
		})),
		inFlight: shared(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "in_flight", Help: "Number of selects that are currently in flight.",
		})),
		total: shared(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "total", Help: "Total number of selects.",
		})),
		wait: shared(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "duration_seconds", Help: "How many seconds it took for selects to wait at the gate.",
			Buckets: []float64{0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720},
		})),
	}
}

// registerer is a prometheus.Registerer that never panics. What is registered
// already stays as it is; other errors are kept for New to return. Nothing is
// registered if next is nil.
type registerer struct {
	next prometheus.Registerer
	errs []error
}

// Register implements prometheus.Registerer.
func (r *registerer) Register(c prometheus.Collector) error {
	if r.next == nil {
		return nil
	}
	return r.next.Register(c)
}

// MustRegister implements prometheus.Registerer.
func (r *registerer) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		err := r.Register(c)
		if _, already := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !already {
			r.errs = append(r.errs, err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (r *registerer) Unregister(c prometheus.Collector) bool {
	return r.next != nil && r.next.Unregister(c)
}

// shared registers c and returns it, or what is registered in its place.
func shared[C prometheus.Collector](r *registerer, c C) C {
	if err := metric.Register(r, &c); err != nil {
		r.errs = append(r.errs, err)
	}
	return c
}
