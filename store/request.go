package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// SeriesRequest asks a Store for series. The zero value, with a time range,
// asks for everything in it. It is not changed by the Store that it is given
// to; who passes an altered one on makes a shallow copy.
type SeriesRequest struct {
	// MinTime and MaxTime are in milliseconds since the epoch, both inclusive.
	MinTime, MaxTime int64
	// Matchers must all match. Regular expressions are anchored.
	Matchers []*labels.Matcher
	// MaxResolution is the coarsest resolution wanted: a store that has
	// downsampled data sends the coarsest that it has up to this, and finer
	// where that has gaps. 0 asks for raw data.
	MaxResolution time.Duration
	// Aggregates of downsampled data to send. Raw data is sent whatever this
	// says. The zero value asks for none but raw data.
	Aggregates Aggregates
	// Strategy decides what becomes of partial answers; Warn by default.
	Strategy PartialResponseStrategy
	// SkipChunks asks for labels only. A series must still have data in the
	// time range to be sent.
	SkipChunks bool
	// WithoutReplicaLabels names labels to remove from every series before
	// sorting, wherever they come from. Only stores whose Info announces
	// SupportsWithoutReplicaLabels do so.
	WithoutReplicaLabels []string
	// Shard asks for one of several disjoint parts of the series; nil for all.
	// Only stores whose Info announces SupportsSharding obey.
	Shard *Shard
	// Limit is the number of series after which a store may stop; 0 is
	// unlimited. It is best effort: what was sent is then a prefix.
	Limit int
	// Hints say what the series are wanted for; nil if unknown.
	Hints *QueryHints
	// StoreHints is passed to the store as it is; nil for none. A store that
	// does not know its type may refuse the request, as Thanos' store gateway
	// does.
	StoreHints *Any
	// Tenant is who the request is made for; empty for nobody in particular.
	// Between processes it travels as Thanos' THANOS-TENANT.
	Tenant string
	// Metadata travels along with the request, between processes as gRPC
	// metadata; keys are in lower case. A server takes up only keys that it was
	// told of.
	Metadata map[string][]string
	// StoreMatch, if not empty, has fan-outs ask only members that match one of
	// these selectors, in which "__address__" is the member's name: Thanos'
	// storeMatch. Like Thanos', it does not reach beyond the first fan-out.
	StoreMatch [][]*labels.Matcher
	// Require are selectors of external labels whose members must answer whole:
	// if not, the first fan-out fails with an *IncompleteError, also with Warn.
	Require [][]*labels.Matcher
	// Outcome, if not nil, collects what happened beside the series: what each
	// member of a fan-out did, and hints that stores sent back.
	Outcome *Outcome
}

// Matches reports whether all of the request's matchers match the labels.
func (r *SeriesRequest) Matches(lset labels.Labels) bool { return matchesAll(r.Matchers, lset) }

// String shows the request as a selector with its time range, for logs and
// errors.
func (r *SeriesRequest) String() string {
	return fmt.Sprintf("%s[%d..%d]", selector(r.Matchers), r.MinTime, r.MaxTime)
}

func matchesAll(ms []*labels.Matcher, lset labels.Labels) bool {
	for _, m := range ms {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}

func selector(ms []*labels.Matcher) string {
	var b strings.Builder
	for i, m := range ms {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(m.String())
	}
	return "{" + b.String() + "}"
}

// LabelNamesRequest asks a LabelQuerier for label names. The fields are those
// of SeriesRequest.
type LabelNamesRequest struct {
	MinTime, MaxTime     int64
	Matchers             []*labels.Matcher
	Strategy             PartialResponseStrategy
	WithoutReplicaLabels []string
	Limit                int
	StoreHints           *Any
	Tenant               string
	Metadata             map[string][]string
	StoreMatch, Require  [][]*labels.Matcher
	Outcome              *Outcome
}

// LabelValuesRequest asks a LabelQuerier for the values of one label. The other
// fields are those of SeriesRequest.
type LabelValuesRequest struct {
	// Label is the name whose values are asked for. Empty is ErrInvalidRequest.
	Label                string
	MinTime, MaxTime     int64
	Matchers             []*labels.Matcher
	Strategy             PartialResponseStrategy
	WithoutReplicaLabels []string
	Limit                int
	StoreHints           *Any
	Tenant               string
	Metadata             map[string][]string
	StoreMatch, Require  [][]*labels.Matcher
	Outcome              *Outcome
}

// PartialResponseStrategy decides what becomes of an answer of which a part
// cannot be had.
type PartialResponseStrategy uint8

const (
	// Warn sends what can be had, and a warning for what cannot.
	Warn PartialResponseStrategy = iota
	// Abort fails the request with an error that names what cannot be had.
	Abort
)

// String returns the strategy's name in the StoreAPI.
func (s PartialResponseStrategy) String() string {
	switch s {
	case Warn:
		return "WARN"
	case Abort:
		return "ABORT"
	}
	return fmt.Sprintf("PartialResponseStrategy(%d)", uint8(s))
}

// Aggregates is a set of aggregates of downsampled data.
type Aggregates uint8

// The aggregates, each of which is a chunk of its own in a downsampled series.
const (
	// AggregateCount counts the raw samples of each window.
	AggregateCount Aggregates = 1 << iota
	// AggregateSum adds them.
	AggregateSum
	// AggregateMin is the smallest.
	AggregateMin
	// AggregateMax is the largest.
	AggregateMax
	// AggregateCounter is the value of a counter with its resets kept.
	AggregateCounter
)

// Has reports whether all of b are in a.
func (a Aggregates) Has(b Aggregates) bool { return a&b == b }

// String lists the aggregates.
func (a Aggregates) String() string {
	var out []string
	for i, n := range []string{"COUNT", "SUM", "MIN", "MAX", "COUNTER"} {
		if a&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return "RAW"
	}
	return strings.Join(out, "|")
}

// QueryHints say what series are wanted for. All are best effort.
type QueryHints struct {
	// Step is the step of the query; 0 if it has none.
	Step time.Duration
	// Func is the surrounding function or aggregation.
	Func string
	// Grouping are the labels of the surrounding aggregation, By or without.
	Grouping []string
	By       bool
	// Range is the range of the range-vector selector; 0 for an instant one.
	Range time.Duration
	// ProjectionLabels are the labels that the query needs if
	// ProjectionInclude, else those that it does not need.
	ProjectionLabels  []string
	ProjectionInclude bool
	// SeriesHashLabel is the name of the label in which a store that drops
	// labels puts a hash of all of them.
	SeriesHashLabel string
}

// Any is an opaque message: a protobuf Any.
type Any struct {
	TypeURL string
	Value   []byte
}
