package remoteread

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
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
		register(reg, &m.queries), register(reg, &m.requests),
		register(reg, &m.frames), register(reg, &m.warnings),
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
