package fanout

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// Member is one of the Stores that a fan-out asks.
type Member struct {
	// Name names the member in outcomes, warnings, errors and logs. It is
	// required, no two members of a fan-out have the same, and none begins with
	// another's and a slash, as the names of that one's own members do.
	Name string
	// Store is asked. It is required. Whoever made it closes it, when the
	// fan-out is done with it.
	Store store.Store
	// Group, if not empty, declares the member a replica: all members with the
	// same Group hold the same data and are one logical member, which outcomes
	// name by the Group. One of them is asked in place of all. No member may have
	// the name of a group.
	Group string
	// Strict keeps a member that does not describe itself: it is asked even so,
	// and never removed. One that never described itself is taken to hold
	// anything. It is Thanos' --endpoint-strict.
	Strict bool
	// Deadline is the longest time that one call to the member may take, with all
	// that its reader takes; one that takes longer is TimedOut. 0 is none.
	Deadline time.Duration
	// WaitBudget takes the place of Options.WaitBudget for this member if it is
	// not 0. A group has the longest of its members, or none if one has none.
	WaitBudget time.Duration
}

// Source yields the members of a fan-out, which may change while it runs.
//
// Members is called for every request: it returns at once, does no I/O and is
// safe for concurrent use. As long as nothing has changed it returns the same
// slice; a slice that it returned is never altered. A member of a new slice
// that has the name of one before it is the same member as far as what it said
// of itself goes.
type Source interface {
	Members() []Member
}

// Static is a Source whose members never change.
func Static(members ...Member) Source { return static(slices.Clone(members)) }

type static []Member

func (s static) Members() []Member { return s }

// Conditions under which a Member cannot be asked.
var (
	errNoName        = errors.New("member without a name")
	errNoStore       = errors.New("member without a Store")
	errDuplicateName = errors.New("more than one member has this name")
	errDeadlineSign  = errors.New("option Deadline is negative")
	errBudgetSign    = errors.New("option WaitBudget is negative")
	errGroupName     = errors.New("a group has this name")
	errNestedName    = errors.New("name begins with that of another member and a slash, as those of its own members would")
)

// checkMembers returns, for each member, why it can never be asked.
func checkMembers(members []Member) []error {
	errs := make([]error, len(members))
	names := make(map[string]struct{}, len(members))
	groups := make(map[string]struct{})
	tops := make(map[string]struct{}) // what outcomes begin with
	for _, m := range members {
		groups[m.Group] = struct{}{}
		tops[cmp.Or(m.Group, m.Name)] = struct{}{}
	}
	for i, m := range members {
		_, taken := names[m.Name]
		_, isGroup := groups[m.Name]
		switch {
		case m.Name == "":
			errs[i] = errNoName
		case m.Store == nil:
			errs[i] = errNoStore
		case taken:
			errs[i] = errDuplicateName
		case isGroup && m.Group != m.Name:
			errs[i] = errGroupName
		case m.Group == "" && nested(m.Name, tops):
			errs[i] = errNestedName
		case m.Deadline < 0:
			errs[i] = errDeadlineSign
		case m.WaitBudget < 0:
			errs[i] = errBudgetSign
		}
		names[m.Name] = struct{}{}
	}
	return errs
}

// nested reports whether one of the names, with a slash, begins the name.
func nested(name string, names map[string]struct{}) bool {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		if _, ok := names[name[:i]]; ok {
			return true
		}
	}
	return false
}

// joinMemberErrors describes what checkMembers found.
func joinMemberErrors(members []Member, errs []error) error {
	var out []error
	for i, err := range errs {
		if err != nil {
			out = append(out, fmt.Errorf("member %d (%q): %w", i, members[i].Name, err))
		}
	}
	return errors.Join(out...)
}
