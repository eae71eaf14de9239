package httpapi

import (
	"encoding/json"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// extra is a field of the data beside the value.
type extra struct {
	name string
	json []byte
}

// extras returns the statistics and the analysis, if they are asked for.
func extras(res *query.Result, p params) ([]extra, error) {
	var out []extra
	add := func(name string, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return internal("encode %s: %w", name, err)
		}
		out = append(out, extra{name, b})
		return nil
	}
	s := res.Stats()
	if p.values.Get("stats") != "" && s != nil {
		if err := add("stats", stats.NewQueryStats(s)); err != nil {
			return nil, err
		}
	}
	if v := p.values.Get("analyze"); v == "true" || v == "1" {
		if err := add("analysis", analyze(res.Outcome, s)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// analysis says what a query took and who answered.
//
// Source: queryTelemetry in Thanos' pkg/api/query/v1.go, whose fields have the
// same names. It has none of replicas.
type analysis struct {
	PeakSamples  int             `json:"peakSamples,omitempty"`
	TotalSamples int64           `json:"totalSamples,omitempty"`
	Fanout       []memberOutcome `json:"fanout"`
	// Omitted are members of members for which a receipt had no room.
	Omitted int `json:"omittedEndpoints,omitempty"`
	// Replicas are those that deduplicated series are of, and Unidentified is how
	// many series had lost what tells their replicas apart.
	Replicas     []replicaOutcome `json:"replicas,omitempty"`
	Unidentified int64            `json:"unidentifiedSeries,omitempty"`
}

// replicaOutcome is a store.ReplicaOutcome in JSON.
type replicaOutcome struct {
	Labels  labels.Labels `json:"labels"`
	Series  int64         `json:"series"`
	Samples int64         `json:"samples"`
}

// memberOutcome is a store.MemberOutcome in JSON.
type memberOutcome struct {
	Member      string   `json:"endpointAddr"`
	Status      string   `json:"status"`
	Reason      string   `json:"reason,omitempty"`
	Error       string   `json:"error,omitempty"`
	Warnings    []string `json:"warnings,omitempty"`
	Duration    string   `json:"duration,omitempty"`
	FirstSeries string   `json:"firstSeries,omitempty"`
	Bytes       int64    `json:"bytesProcessed,omitempty"`
	Series      int64    `json:"series,omitempty"`
	Chunks      int64    `json:"chunks,omitempty"`
}

func analyze(out *store.Outcome, s *stats.Statistics) analysis {
	a := analysis{Fanout: []memberOutcome{}, Omitted: out.Omitted(), Unidentified: out.Unidentified()}
	for _, r := range out.Replicas() {
		a.Replicas = append(a.Replicas, replicaOutcome(r))
	}
	if s != nil && s.Samples != nil {
		a.PeakSamples, a.TotalSamples = s.Samples.PeakSamples, s.Samples.TotalSamples
	}
	for _, m := range out.Members() {
		o := memberOutcome{
			Member: m.Member, Status: m.Status.String(), Reason: m.Reason,
			Duration: text(m.Duration), FirstSeries: text(m.FirstSeries),
			Bytes: m.Bytes, Series: m.Series, Chunks: m.Chunks,
		}
		if m.Err != nil {
			o.Error = m.Err.Error()
		}
		for _, w := range m.Warnings {
			o.Warnings = append(o.Warnings, w.Error())
		}
		a.Fanout = append(a.Fanout, o)
	}
	return a
}

// text shows a duration, nothing if it is zero.
func text(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
