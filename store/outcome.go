package store

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Outcome collects what happened beside the series of one call: warnings, hints,
// what each member of a fan-out did, and which replica served what of series that
// were deduplicated. The zero value is ready for use. It is safe for concurrent
// use; its methods do nothing on nil.
type Outcome struct {
	mu       sync.Mutex
	members  []MemberOutcome
	warnings []error
	hints    []Any
	omitted  int

	replicas     map[string]ReplicaOutcome
	unidentified int64
}

// MemberStatus is what became of a member of a fan-out.
type MemberStatus uint8

const (
	// Answered means that the member's answer arrived whole.
	Answered MemberStatus = iota
	// Pruned means that nothing is missing without the member's answer. As a rule
	// it was not asked, because what it says of itself rules out that it holds
	// anything of what was wanted; Reason says why.
	Pruned
	// Failed means that the member's answer is missing, whole or in part.
	Failed
	// TimedOut means Failed because the member took too long.
	TimedOut
	// Canceled means that the caller gave up, or had enough, before the member
	// was done.
	Canceled
)

// String returns the status in lower case.
func (s MemberStatus) String() string {
	switch s {
	case Answered:
		return "answered"
	case Pruned:
		return "pruned"
	case Failed:
		return "failed"
	case TimedOut:
		return "timed out"
	case Canceled:
		return "canceled"
	}
	return fmt.Sprintf("MemberStatus(%d)", uint8(s))
}

// Reasons for a member to be Pruned.
const (
	PrunedByTime       = "no data in the time range"
	PrunedByLabels     = "external labels do not match"
	PrunedByMetric     = "no such metric"
	PrunedByStoreMatch = "not selected by storeMatch"
	PrunedBySelector   = "selector labels do not match"
	// PrunedByReplica is the reason of a replica of a declared group that was
	// asked, while the answer is that of another. Err is why it failed, if it did.
	PrunedByReplica = "another replica of the group answers"
)

// MemberOutcome is what one member of a fan-out did for one call.
type MemberOutcome struct {
	// Member is the member's name.
	Member string
	Status MemberStatus
	// LabelSets are the external label sets that the member announced, but for
	// OmittedLabelSets of them, for which a receipt had no room.
	LabelSets        []labels.Labels
	OmittedLabelSets int
	// Reason says why the member was pruned.
	Reason string
	// Err is the cause of Failed, TimedOut and Canceled; see PrunedByReplica.
	Err error
	// Warnings are what the member itself warned of.
	Warnings []error
	// Series, Chunks and Bytes count what arrived, before anything was merged.
	// A series that was sent in parts counts once for each part.
	Series, Chunks, Bytes int64
	// FirstSeries is the time from asking to the first series; 0 if none came.
	FirstSeries time.Duration
	// Duration is the time from asking to the end.
	Duration time.Duration
}

// Complete reports whether the member's answer arrived whole, or was not needed.
// That of a member that warned of anything but an expression has not.
func (m *MemberOutcome) Complete() bool {
	return (m.Status == Answered || m.Status == Pruned) && !slices.ContainsFunc(m.Warnings, isLoss)
}

// missing is why the member is not Complete.
func (m *MemberOutcome) missing() error {
	if m.Err != nil {
		return m.Err
	}
	if i := slices.IndexFunc(m.Warnings, isLoss); i >= 0 {
		return m.Warnings[i]
	}
	return nil
}

// isLoss reports whether a warning has to be taken for data that is missing.
func isLoss(warning error) bool { return !IsAnnotation(warning) }

// AddMember records what a member did.
func (o *Outcome) AddMember(m MemberOutcome) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members = append(o.members, m)
}

// AddOmitted records that a number of members did something that is not known
// here, because a receipt had no room for it. Those whose answers are incomplete
// are told of first.
func (o *Outcome) AddOmitted(members int) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.omitted += members
}

// AddWarning records a warning.
func (o *Outcome) AddWarning(err error) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.warnings = append(o.warnings, err)
}

// AddHints records hints that a store sent back.
func (o *Outcome) AddHints(h Any) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hints = append(o.hints, h)
}

// Members returns what was recorded of members, in order of recording.
func (o *Outcome) Members() []MemberOutcome {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.members)
}

// Omitted returns how many members there were beside Members.
func (o *Outcome) Omitted() int {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.omitted
}

// Warnings returns the recorded warnings, in order of recording.
func (o *Outcome) Warnings() []error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.warnings)
}

// Hints returns the recorded hints, in order of recording.
func (o *Outcome) Hints() []Any {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.hints)
}

// Complete reports whether nothing is known to be missing: no member failed, and
// nobody warned of anything but an expression.
func (o *Outcome) Complete() bool {
	if o == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return !slices.ContainsFunc(o.warnings, isLoss) &&
		!slices.ContainsFunc(o.members, func(m MemberOutcome) bool { return !m.Complete() })
}

// Require returns an *IncompleteError unless, for each selector, there are
// members that it selects and all of them are Complete. A selector selects the
// members of which one label set satisfies all of its matchers. Who is not
// Complete and may have such a label set among those that were omitted counts as
// one that has.
//
// Of a member that is a fan-out and answered, its own members that are selected
// count in its place, if it told of them and of what is missing. If some of those
// are Complete, none that are not were omitted: see AddOmitted.
func (o *Outcome) Require(selectors [][]*labels.Matcher) error {
	members := o.Members()
	for _, ms := range selectors {
		var missing []MemberOutcome
		selected := false
		for i := range members {
			m := &members[i]
			if !m.selectedBy(ms) || told(members, m, ms) {
				continue
			}
			selected = true
			if !m.Complete() {
				missing = append(missing, *m)
			}
		}
		if !selected || len(missing) > 0 {
			return &IncompleteError{Selector: ms, Members: missing}
		}
	}
	return nil
}

// selectedBy reports whether the member has to be Complete for a selector.
func (m *MemberOutcome) selectedBy(ms []*labels.Matcher) bool {
	return satisfies(m.LabelSets, ms) || (m.OmittedLabelSets > 0 && !m.Complete())
}

// told reports whether m answered and told of its own members: of one that is
// selected, and of those to blame if its answer is not complete.
func told(all []MemberOutcome, m *MemberOutcome, ms []*labels.Matcher) bool {
	if m.Status != Answered {
		return false
	}
	selected, blamed := false, m.Complete()
	prefix := m.Member + "/"
	for i := range all {
		if own := &all[i]; strings.HasPrefix(own.Member, prefix) {
			selected = selected || own.selectedBy(ms)
			blamed = blamed || !own.Complete()
		}
	}
	return selected && blamed
}

// satisfies reports whether one of the label sets matches.
func satisfies(sets []labels.Labels, ms []*labels.Matcher) bool {
	return slices.ContainsFunc(sets, func(lset labels.Labels) bool { return matchesAll(ms, lset) })
}
