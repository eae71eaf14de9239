package store

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Outcome collects what happened beside the series of one call: warnings, hints
// and, from fan-outs, what each member did. The zero value is ready for use. It
// is safe for concurrent use; its methods do nothing on nil.
type Outcome struct {
	mu       sync.Mutex
	members  []MemberOutcome
	warnings []error
	hints    []Any
}

// MemberStatus is what became of a member of a fan-out.
type MemberStatus uint8

const (
	// Answered means that the member's answer arrived whole.
	Answered MemberStatus = iota
	// Pruned means that the member was not asked, because its Info rules out
	// that it holds anything of what was wanted.
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
	PrunedByTime   = "no data in the time range"
	PrunedByLabels = "external labels do not match"
)

// MemberOutcome is what one member of a fan-out did for one call.
type MemberOutcome struct {
	// Member is the member's name.
	Member string
	Status MemberStatus
	// Reason says why the member was pruned.
	Reason string
	// Err is the cause of Failed, TimedOut and Canceled.
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

// AddMember records what a member did.
func (o *Outcome) AddMember(m MemberOutcome) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members = append(o.members, m)
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
// nobody warned.
func (o *Outcome) Complete() bool {
	if o == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.warnings) > 0 {
		return false
	}
	for _, m := range o.members {
		if (m.Status != Answered && m.Status != Pruned) || len(m.Warnings) > 0 {
			return false
		}
	}
	return true
}
