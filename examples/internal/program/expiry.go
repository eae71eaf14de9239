package program

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/tlsutil"
)

const (
	// expiryWarning is how long before a certificate ends that is said.
	expiryWarning = 7 * 24 * time.Hour
	// expiryInterval is how often it is looked at.
	expiryInterval = time.Hour
)

// expiry tells when certificates end, as a metric and in the log.
type expiry struct {
	of   func() []tlsutil.Expiry
	desc *prometheus.Desc
	log  *slog.Logger
}

func newExpiry(of func() []tlsutil.Expiry, log *slog.Logger) *expiry {
	return &expiry{of, prometheus.NewDesc("thanoskit_tls_certificate_not_after_timestamp_seconds",
		"When a certificate that is in use ends, by the file that it is in.", []string{"file", "subject"}, nil), log}
}

// Describe implements prometheus.Collector.
func (e *expiry) Describe(ch chan<- *prometheus.Desc) { ch <- e.desc }

// Collect implements prometheus.Collector. Of certificates with the same file and
// subject, as a bundle has them while a CA is renewed, the last to end counts.
func (e *expiry) Collect(ch chan<- prometheus.Metric) {
	type key struct{ file, subject string }
	last := map[key]time.Time{}
	for _, c := range e.of() {
		if k := (key{c.File, c.Subject}); c.NotAfter.After(last[k]) {
			last[k] = c.NotAfter
		}
	}
	for k, t := range last {
		ch <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(t.Unix()), k.file, k.subject)
	}
}

// run warns of what ends soon, until ctx does.
func (e *expiry) run(ctx context.Context) error {
	tick := time.NewTicker(expiryInterval)
	defer tick.Stop()
	for {
		e.warn(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (e *expiry) warn(now time.Time) {
	for _, c := range e.of() {
		switch left := c.Left(now); {
		case left < 0:
			e.log.Error("certificate has expired", "file", c.File, "subject", c.Subject, "since", c.NotAfter)
		case left < expiryWarning:
			e.log.Warn("certificate expires soon", "file", c.File, "subject", c.Subject, "at", c.NotAfter, "left", left.Round(time.Minute))
		}
	}
}
