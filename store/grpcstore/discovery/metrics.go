package discovery

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

// metrics are shared by the sources of one registerer: counters, and gauges to
// which each adds its share.
type metrics struct {
	lookups, lookupFailures prometheus.Counter
	results                 *prometheus.GaugeVec
	duplicates              prometheus.Counter
	fileErrors              prometheus.Counter
	failing                 prometheus.Gauge

	share        map[string]int // of this source, in results
	failingShare int
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		lookups:        counter("thanos_query_endpoints_dns_lookups_total", "The number of DNS lookups resolutions attempts."),
		lookupFailures: counter("thanos_query_endpoints_dns_failures_total", "The number of DNS lookup failures."),
		results: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "thanos_query_endpoints_dns_provider_results", Help: "The number of resolved endpoints for each configured address.",
		}, []string{"addr"}),
		duplicates: counter("thanos_query_duplicated_endpoint_addresses_total", "The number of times a duplicated endpoint addresses is detected from the different configs."),
		fileErrors: counter("prometheus_sd_file_read_errors_total", "The number of File-SD read errors."),
		failing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanoskit_discovery_failing_origins", Help: "Files and addresses of endpoints that cannot be read, looked up or dialed.",
		}),
		share: map[string]int{},
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(
		metric.Register(r, &m.lookups), metric.Register(r, &m.lookupFailures), metric.Register(r, &m.results),
		metric.Register(r, &m.duplicates), metric.Register(r, &m.fileErrors), metric.Register(r, &m.failing),
	)
}

// update brings the gauges up to date with what addresses were resolved to, and
// with how much is wrong. Calls do not overlap.
func (m *metrics) update(results map[string]int, failing int) {
	for addr, n := range m.share {
		if _, ok := results[addr]; !ok {
			m.results.WithLabelValues(addr).Sub(float64(n))
		}
	}
	for addr, n := range results {
		m.results.WithLabelValues(addr).Add(float64(n - m.share[addr]))
	}
	m.share = results
	m.failing.Add(float64(failing - m.failingShare))
	m.failingShare = failing
}
