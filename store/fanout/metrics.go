package fanout

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/metric"
	"github.com/thanoskit/thanoskit/store"
)

// metrics are shared by the fan-outs of one registerer. All are counters, or
// gauges to which each fan-out adds its share.
type metrics struct {
	empty       prometheus.Counter
	requests    *prometheus.CounterVec
	retries     prometheus.Counter
	hedges      prometheus.Counter
	abandoned   prometheus.Gauge
	buffered    prometheus.Gauge
	members     *prometheus.GaugeVec
	connections *prometheus.GaugeVec

	mu sync.Mutex
	// counted are the members of this fan-out, as what each is counted in members and
	// connections.
	counted map[*knowledge]nodes
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		empty: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanos_proxy_store_empty_stream_responses_total",
			Help: "Total number of empty responses received.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "thanoskit_fanout_member_requests_total",
			Help: "Requests to a fan-out, counted once for each of its members, by what became of the member.",
		}, []string{"status"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanoskit_fanout_retries_total",
			Help: "Replicas of declared groups that were asked because another one failed.",
		}),
		hedges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "thanoskit_fanout_hedges_total",
			Help: "Replicas of declared groups that were asked because another one was slow.",
		}),
		abandoned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanoskit_fanout_abandoned_calls",
			Help: "Calls to members that go on although they were canceled and nobody waits for them.",
		}),
		buffered: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanoskit_fanout_buffered_bytes",
			Help: "Bytes of the buffer budget that frames sent ahead of the merge take up.",
		}),
		members: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "thanoskit_fanout_members",
			Help: "Members of the fan-out by health: healthy, unhealthy, removed or, if never asked for their Info, unknown.",
		}, []string{"health"}),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "thanos_store_nodes_grpc_connections",
			Help: "Number of healthy Store APIs available to the fan-out.",
		}, []string{"external_labels", "store_type"}),
	}
	return m, errors.Join(
		metric.Register(r, &m.empty), metric.Register(r, &m.requests), metric.Register(r, &m.buffered),
		metric.Register(r, &m.retries), metric.Register(r, &m.hedges), metric.Register(r, &m.abandoned),
		metric.Register(r, &m.members), metric.Register(r, &m.connections),
	)
}

// observe counts what became of a member in one request.
func (m *metrics) observe(o *store.MemberOutcome) {
	m.requests.WithLabelValues(o.Status.String()).Inc()
}

// nodes is a kind of member that is counted together.
type nodes struct{ health, externalLabels, component string }

// count counts the members of the fan-out in place of those that it had before.
func (m *metrics) count(members []*member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := m.counted
	m.counted = make(map[*knowledge]nodes, len(members))
	for _, one := range members {
		if n, ok := gone[one.knowledge]; ok {
			m.counted[one.knowledge] = n
			delete(gone, one.knowledge)
		}
		m.move(one)
	}
	for _, n := range gone {
		m.add(n, -1)
	}
}

// recount counts a member as what it is by now, unless it has gone. It is called
// whenever that has changed: of calls at the same time, the last sees what is last.
func (m *metrics) recount(one *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.counted[one.knowledge]; ok {
		m.move(one)
	}
}

// move counts a member as what it is by now in place of what it was, if anything.
// It is called with the lock held.
func (m *metrics) move(one *member) {
	h := one.known()
	now := kindOf(&h)
	before, ok := m.counted[one.knowledge]
	if ok && before == now {
		return
	}
	m.counted[one.knowledge] = now
	m.add(now, 1)
	if ok {
		m.add(before, -1)
	}
}

func (m *metrics) add(n nodes, count float64) {
	m.members.WithLabelValues(n.health).Add(count)
	if n.health == "healthy" {
		m.connections.WithLabelValues(n.externalLabels, n.component).Add(count)
	}
}

func kindOf(h *Health) nodes {
	switch {
	case h.Err == nil:
		return nodes{"healthy", externalLabels(h.Info.LabelSets), h.Info.Component}
	case errors.Is(h.Err, errUndescribed):
		return nodes{health: "unknown"}
	case h.Removed:
		return nodes{health: "removed"}
	}
	return nodes{health: "unhealthy"}
}

// maxExternalLabels bounds the length of a metric's label, in bytes, as Thanos
// does.
const maxExternalLabels = 1000

func externalLabels(sets []labels.Labels) string {
	if len(sets) == 0 {
		return "no_external_labels"
	}
	out := make([]string, len(sets))
	for i, lset := range sets {
		out[i] = lset.String()
	}
	slices.Sort(out)
	s := strings.Join(out, ",")
	if len(s) > maxExternalLabels {
		s = strings.ToValidUTF8(s[:maxExternalLabels], "")
	}
	return s
}

// sameKind reports whether two states of one member are counted alike, which is
// cheaper to say than how they are counted.
func sameKind(a, b *Health) bool {
	return (a.Err == nil) == (b.Err == nil) && a.Removed == b.Removed &&
		errors.Is(a.Err, errUndescribed) == errors.Is(b.Err, errUndescribed) &&
		a.Info.Component == b.Info.Component &&
		slices.EqualFunc(a.Info.LabelSets, b.Info.LabelSets, labels.Equal)
}
