package dedup

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Replicas says by which labels the replicas of a series are told apart, and in
// which order they come to an Algorithm that prefers the first.
//
// The zero value, and a nil *Replicas, know no replica label and prefer none: all
// replicas are equal. It is only read, so that it is safe for concurrent use as
// long as nobody changes it.
type Replicas struct {
	// Labels are the names of the replica labels, the most significant first.
	Labels []string
	// Prefer says which replicas come first: those that all of the matchers match,
	// of the labels named in Labels as well as of any other. A label that is missing
	// has the value "". None means no preference.
	Prefer []*labels.Matcher
}

// Compare orders two label sets, of series or of blocks, by which replica they
// are of: negative if a comes before b, 0 if they are of the same replica as far
// as can be told.
//
// Preferred replicas come first, then the values of Labels in turn decide, byte
// by byte; a missing label is "". What other labels there are makes no difference
// but to Prefer.
func (r *Replicas) Compare(a, b labels.Labels) int {
	if r == nil {
		return 0
	}
	if len(r.Prefer) > 0 {
		switch first, second := r.preferred(a), r.preferred(b); {
		case first && !second:
			return -1
		case second && !first:
			return 1
		}
	}
	for _, name := range r.Labels {
		if c := strings.Compare(a.Get(name), b.Get(name)); c != 0 {
			return c
		}
	}
	return 0
}

func (r *Replicas) preferred(lset labels.Labels) bool {
	for _, m := range r.Prefer {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}
