package block

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

// States of blocks, by which thanos_blocks_meta_synced counts them. Those that
// begin with State are what filters exclude blocks as.
const (
	stateLoaded       = "loaded"
	stateNoMeta       = "no-meta-json"
	stateCorrupt      = "corrupted-meta-json"
	stateUnsupported  = "unsupported-meta-json" // Ours.
	stateFailed       = "failed"
	stateNoCompact    = "marked-for-no-compact"
	stateNoDownsample = "marked-for-no-downsample"

	StateTimeExcluded  = "time-excluded"
	StateLabelExcluded = "label-excluded"
	StateTooFresh      = "too-fresh"
	StateMarked        = "marked-for-deletion"
	StateDuplicate     = "duplicate"
)

type fetcherMetrics struct {
	syncs    prometheus.Counter
	failures prometheus.Counter
	duration prometheus.Histogram
	busts    prometheus.Counter
	states   *prometheus.GaugeVec
	modified *prometheus.GaugeVec
	// seen are the states that were ever set.
	seen map[string]struct{}
}

func newFetcherMetrics(reg prometheus.Registerer) (*fetcherMetrics, error) {
	m := &fetcherMetrics{
		syncs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_blocks_meta_syncs_total",
			Help: "Total blocks metadata synchronization attempts.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_blocks_meta_sync_failures_total",
			Help: "Total blocks metadata synchronization failures, incomplete views among them.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "thanos_blocks_meta_sync_duration_seconds",
			Help:    "Duration of the blocks metadata synchronization in seconds.",
			Buckets: []float64{0.01, 1, 10, 100, 300, 600, 1000},
		}),
		busts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_blocks_meta_base_cache_busts_total",
			Help: "Total cached meta.json files that were read again because they were written since.",
		}),
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "thanos_blocks_meta_synced",
			Help: "Number of blocks by what became of them in the last synchronization.",
		}, []string{"state"}),
		modified: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "thanos_blocks_meta_modified",
			Help: "Number of blocks whose metadata changed.",
		}, []string{"modified"}),
		seen: map[string]struct{}{},
	}
	return m, errors.Join(
		metric.Register(reg, &m.syncs),
		metric.Register(reg, &m.failures),
		metric.Register(reg, &m.duration),
		metric.Register(reg, &m.busts),
		metric.Register(reg, &m.states),
		metric.Register(reg, &m.modified),
	)
}

// synced sets the gauges to what is in a view. Not safe for concurrent use.
func (m *fetcherMetrics) synced(v *View) {
	n := map[string]int{
		stateLoaded: len(v.Metas), stateNoMeta: 0, stateCorrupt: 0, stateUnsupported: 0, stateFailed: 0, stateNoCompact: 0, stateNoDownsample: 0,
		StateTimeExcluded: 0, StateLabelExcluded: 0, StateTooFresh: 0, StateMarked: 0, StateDuplicate: 0,
	}
	for _, err := range v.Partial {
		switch {
		case errors.Is(err, ErrPartial):
			n[stateNoMeta]++
		case errors.Is(err, ErrUnsupported):
			n[stateUnsupported]++
		default:
			n[stateCorrupt]++
		}
	}
	for _, state := range v.Excluded {
		n[state]++
	}
	for id := range v.Metas {
		if v.Marked(id, NoCompactMark) {
			n[stateNoCompact]++
		}
		if v.Marked(id, NoDownsampleMark) {
			n[stateNoDownsample]++
		}
	}
	if e, ok := errors.AsType[*IncompleteError](v.Incomplete); ok {
		n[stateFailed] = len(e.Failed)
	}
	for state := range n {
		m.seen[state] = struct{}{}
	}
	for state := range m.seen {
		m.states.WithLabelValues(state).Set(float64(n[state]))
	}
	m.modified.WithLabelValues("replica-label-removed").Set(float64(v.modified))
}
