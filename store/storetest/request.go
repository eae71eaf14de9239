package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// describeRequest shows all of a request that is set.
func describeRequest(r *store.SeriesRequest) string {
	var b strings.Builder
	b.WriteString(r.String())
	add := func(set bool, format string, args ...any) {
		if set {
			fmt.Fprintf(&b, " "+format, args...)
		}
	}
	add(r.MaxResolution != 0, "MaxResolution=%s", r.MaxResolution)
	add(r.Aggregates != 0, "Aggregates=%s", r.Aggregates)
	add(r.Strategy != store.Warn, "Strategy=%s", r.Strategy)
	add(r.SkipChunks, "SkipChunks")
	add(len(r.WithoutReplicaLabels) > 0, "WithoutReplicaLabels=%q", r.WithoutReplicaLabels)
	if s := r.Shard; s != nil {
		by := "without"
		if s.By {
			by = "by"
		}
		add(true, "Shard=%d/%d %s %q", s.Index, s.Total, by, s.Labels)
	}
	add(r.Limit != 0, "Limit=%d", r.Limit)
	if h := r.Hints; h != nil {
		add(true, "Hints=%+v", *h)
	}
	if h := r.StoreHints; h != nil {
		add(true, "StoreHints=%s", h.TypeURL)
	}
	return b.String()
}

// diffLabelSets says how label sets that were sent differ from those wanted, of
// which both ascend. It returns the empty string if they do not.
func diffLabelSets(want, got []labels.Labels) string {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got) || i < len(want) && labels.Compare(want[i], got[i]) < 0:
			return fmt.Sprintf("series %s is missing; %d series sent, want %d", want[i], len(got), len(want))
		case i >= len(want) || labels.Compare(got[i], want[i]) < 0:
			return fmt.Sprintf("series %s was sent and should not be; %d series sent, want %d", got[i], len(got), len(want))
		}
	}
	return ""
}

func sortLabelSets(lsets []labels.Labels) { slices.SortFunc(lsets, labels.Compare) }
