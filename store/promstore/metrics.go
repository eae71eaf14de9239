package promstore

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

type metrics struct {
	readMetrics
	up         prometheus.Gauge
	heartbeat  prometheus.Gauge
	syncErrors prometheus.Counter
}

// readMetrics are those of reading.
type readMetrics struct {
	frames   prometheus.Histogram
	received *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	read, err := newReadMetrics(reg)
	m := &metrics{
		readMetrics: *read,
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanos_sidecar_prometheus_up",
			Help: "Boolean indicator whether the sidecar can reach its Prometheus peer.",
		}),
		heartbeat: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanos_sidecar_last_heartbeat_success_time_seconds",
			Help: "Timestamp of the last successful heartbeat in seconds.",
		}),
		syncErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanoskit_promstore_sync_failures_total",
			Help: "Syncs with Prometheus that did not succeed.",
		}),
	}
	err = errors.Join(
		err, metric.Register(reg, &m.up), metric.Register(reg, &m.heartbeat), metric.Register(reg, &m.syncErrors),
	)
	return m, err
}

func newReadMetrics(reg prometheus.Registerer) (*readMetrics, error) {
	m := &readMetrics{
		frames: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "prometheus_store_received_frames",
			Help:    "Number of frames received per streamed response.",
			Buckets: prometheus.ExponentialBuckets(10, 10, 5),
		}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "thanoskit_promstore_received_bytes_total",
			Help: "Bytes received from Prometheus in answers to calls of the store, by endpoint.",
		}, []string{"endpoint"}),
	}
	return m, errors.Join(metric.Register(reg, &m.frames), metric.Register(reg, &m.received))
}
