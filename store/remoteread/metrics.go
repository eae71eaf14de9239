package remoteread

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

type metrics struct {
	queries  prometheus.Gauge
	requests *prometheus.CounterVec
	frames   prometheus.Counter
	warnings prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		queries: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "prometheus_remote_read_handler_queries",
			Help: "The current number of remote read queries that are either in execution or queued on the handler.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "thanoskit_remoteread_requests_total",
			Help: "Remote read requests answered, by form of the answer and status code.",
		}, []string{"form", "code"}),
		frames: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanoskit_remoteread_frames_total",
			Help: "Frames written in streamed answers.",
		}),
		warnings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanoskit_remoteread_warnings_total",
			Help: "Warnings of the store, which remote read cannot pass on.",
		}),
	}
	err := errors.Join(
		metric.Register(reg, &m.queries), metric.Register(reg, &m.requests),
		metric.Register(reg, &m.frames), metric.Register(reg, &m.warnings),
	)
	return m, err
}
