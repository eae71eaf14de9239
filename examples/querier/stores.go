package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store/fanout"
)

// endpoint is what is known of an endpoint, in the fields of Thanos'
// /api/v1/stores.
type endpoint struct {
	Name      string          `json:"name"`
	LastCheck time.Time       `json:"lastCheck"`
	LastError *string         `json:"lastError"`
	LabelSets []labels.Labels `json:"labelSets"`
	MinTime   int64           `json:"minTime"` // ms
	MaxTime   int64           `json:"maxTime"` // ms
}

// writeStores answers /api/v1/stores: the endpoints by kind of component.
func writeStores(w http.ResponseWriter, health []fanout.Health) {
	data := map[string][]endpoint{}
	for _, h := range health {
		e := endpoint{Name: h.Member, LastCheck: h.Checked, LabelSets: append([]labels.Labels{}, h.Info.LabelSets...)}
		e.MinTime, e.MaxTime = h.Info.TimeRange()
		if h.Err != nil {
			text := h.Err.Error()
			e.LastError = &text
		}
		kind := h.Info.Component
		if kind == "" {
			kind = "unknown"
		}
		data[kind] = append(data[kind], e)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data}) // the client is gone, or has it
}
