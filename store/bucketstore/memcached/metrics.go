package memcached

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

// metrics are those of a Cache. Those with Thanos' names mean what Thanos' do.
type metrics struct {
	gets, sets               prometheus.Counter
	failedGets, failedSets   prometheus.Counter
	skippedGets, skippedSets prometheus.Counter
	droppedSets, largeSets   prometheus.Counter
	getSeconds, setSeconds   prometheus.Observer
}

func (m *metrics) register(reg prometheus.Registerer) error {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "thanos_memcached_operations_total",
		Help: "Requests to memcached.",
	}, []string{"operation"})
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "thanos_memcached_operation_failures_total",
		Help: "Requests to memcached that failed or took too long.",
	}, []string{"operation"})
	skipped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "thanos_memcached_operation_skipped_total",
		Help: "Keys that memcached was not asked for, or values that were not sent to it.",
	}, []string{"operation", "reason"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "thanos_memcached_operation_duration_seconds",
		Help:    "What requests to memcached took.",
		Buckets: []float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1},
	}, []string{"operation"})
	err := errors.Join(metric.Register(reg, &requests), metric.Register(reg, &failures), metric.Register(reg, &skipped), metric.Register(reg, &seconds))
	if err != nil {
		return err
	}
	const get, set = "getmulti", "set"
	*m = metrics{
		gets: requests.WithLabelValues(get), sets: requests.WithLabelValues(set),
		failedGets: failures.WithLabelValues(get), failedSets: failures.WithLabelValues(set),
		skippedGets: skipped.WithLabelValues(get, "unavailable"), skippedSets: skipped.WithLabelValues(set, "unavailable"),
		droppedSets: skipped.WithLabelValues(set, "queue-full"), largeSets: skipped.WithLabelValues(set, "max-item-size"),
		getSeconds: seconds.WithLabelValues(get), setSeconds: seconds.WithLabelValues(set),
	}
	return nil
}
