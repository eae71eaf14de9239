package shipper

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

type metrics struct {
	syncs          prometheus.Counter
	syncFailures   prometheus.Counter
	uploads        prometheus.Counter
	uploadFailures prometheus.Counter
	corrupted      prometheus.Counter
	compactedDone  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		syncs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_shipper_dir_syncs_total",
			Help: "Syncs of the data directory that sent all there was to send.",
		}),
		syncFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_shipper_dir_sync_failures_total",
			Help: "Syncs of the data directory that did not.",
		}),
		uploads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_shipper_uploads_total",
			Help: "Blocks uploaded.",
		}),
		uploadFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_shipper_upload_failures_total",
			Help: "Uploads of blocks that failed.",
		}),
		corrupted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_shipper_corrupted_blocks_total",
			Help: "Blocks found that readers could not read, in each sync anew.",
		}),
		compactedDone: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanos_shipper_upload_compacted_done",
			Help: "If 1 all compacted blocks in the data directory have been uploaded.",
		}),
	}
	return m, errors.Join(
		metric.Register(reg, &m.syncs), metric.Register(reg, &m.syncFailures),
		metric.Register(reg, &m.uploads), metric.Register(reg, &m.uploadFailures),
		metric.Register(reg, &m.corrupted), metric.Register(reg, &m.compactedDone),
	)
}

// synced counts a Sync and what it found.
func (m *metrics) synced(res *Result, uploadCompacted bool, err error) {
	if err != nil {
		m.syncFailures.Inc()
	} else {
		m.syncs.Inc()
	}
	if done := uploadCompacted && err == nil && !res.skipped(Corrupted); done {
		m.compactedDone.Set(1)
	} else {
		m.compactedDone.Set(0)
	}
}
