package block

import (
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// Rewrite says what a block was rewritten from, and how.
type Rewrite struct {
	// Sources are the blocks that were rewritten.
	Sources []ulid.ULID `json:"sources,omitempty"`
	// DeletionsApplied are in the order in which they were.
	DeletionsApplied []Deletion `json:"deletions_applied,omitempty"`
	// RelabelsApplied are in the order in which they were.
	RelabelsApplied []*relabel.Config `json:"relabels_applied,omitempty"`
}

// Deletion says which samples were dropped from a block.
type Deletion struct {
	// Matchers select series; all must match.
	Matchers []Matcher `json:"matchers"`
	// Intervals are those of the samples dropped, inclusive, ms; none means all.
	Intervals []Interval `json:"intervals,omitempty"`
	RequestID string     `json:"request_id,omitempty"`
}

// Matcher is a labels.Matcher as JSON has it, a regular expression not compiled.
type Matcher struct {
	Type  labels.MatchType `json:"Type"`
	Name  string           `json:"Name"`
	Value string           `json:"Value"`
}

// String returns the matcher as in a selector.
func (m Matcher) String() string { return fmt.Sprintf("%s%s%q", m.Name, m.Type, m.Value) }

// Interval is a range of time, inclusive, in ms.
type Interval struct {
	Mint int64 `json:"Mint"`
	Maxt int64 `json:"Maxt"`
}
