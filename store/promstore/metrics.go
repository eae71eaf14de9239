package promstore

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	up         prometheus.Gauge
	heartbeat  prometheus.Gauge
	frames     prometheus.Histogram
	received   *prometheus.CounterVec
	syncErrors prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanos_sidecar_prometheus_up",
			Help: "Boolean indicator whether the sidecar can reach its Prometheus peer.",
		}),
		heartbeat: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanos_sidecar_last_heartbeat_success_time_seconds",
			Help: "Timestamp of the last successful heartbeat in seconds.",
		}),
		frames: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "prometheus_store_received_frames",
			Help:    "Number of frames received per streamed response.",
			Buckets: prometheus.ExponentialBuckets(10, 10, 5),
		}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "thanoskit_promstore_received_bytes_total",
			Help: "Bytes received from Prometheus in answers to calls of the store, by endpoint.",
		}, []string{"endpoint"}),
		syncErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanoskit_promstore_sync_failures_total",
			Help: "Syncs with Prometheus that did not succeed.",
		}),
	}
	err := errors.Join(
		register(reg, &m.up), register(reg, &m.heartbeat), register(reg, &m.frames),
		register(reg, &m.received), register(reg, &m.syncErrors),
	)
	return m, err
}

// register registers *c, or sets it to the collector that was registered for
// the same before.
func register[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	if reg == nil {
		return nil
	}
	err := reg.Register(*c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			*c = existing
			return nil
		}
	}
	return err
}
