package fanout

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// logical is a logical member: a member by itself, or a declared group of
// replicas, of which one is asked in place of all.
type logical struct {
	name     string // in outcomes
	declared bool
	replicas []*member
	// budget is the wait budget, 0 without limit.
	budget time.Duration
	// balance is nil if it is not declared.
	balance *balance
}

// group makes logical members of members. balances are those of groups that
// there were before.
func group(members []*member, source []Member, balances map[string]*balance, budget time.Duration) []*logical {
	out := make([]*logical, 0, len(members))
	declared := map[string]*logical{}
	for i, m := range members {
		b := source[i].WaitBudget
		if b == 0 {
			b = budget
		}
		if m.group == "" || m.invalid != nil {
			out = append(out, &logical{name: m.path, replicas: []*member{m}, budget: b})
			continue
		}
		l := declared[m.group]
		if l == nil {
			l = &logical{name: m.group, declared: true, budget: b, balance: balances[m.group]}
			if l.balance == nil {
				l.balance = newBalance()
			}
			declared[m.group] = l
			out = append(out, l)
		}
		l.replicas = append(l.replicas, m)
		if l.budget == 0 || b == 0 { // one has none
			l.budget = 0
		} else {
			l.budget = max(l.budget, b)
		}
	}
	return out
}

// balance spreads calls over the replicas of a group.
//
// A call goes to the replica that runs the fewest calls of this fan-out, and
// among equals they take turns. Queries differ in cost by orders of magnitude, so
// that turns alone pile up heavy ones on one replica; and one that has become slow
// gets less that way. One that failed has few that run: it comes after all others
// for a while, so that it does not draw the calls that it fails.
type balance struct {
	mu     sync.Mutex
	turn   int
	tokens float64 // of hedges
}

func newBalance() *balance { return &balance{tokens: maxHedgeTokens} }

// order sorts candidates, all of them replicas of the group, in the order in
// which they are to be tried. Those that failed since are last.
func (b *balance) order(cs []candidate, since time.Time) {
	b.mu.Lock()
	turn := b.turn
	b.turn++
	b.mu.Unlock()
	slices.Reverse(cs[:turn%len(cs)]) // three times is a rotation
	slices.Reverse(cs[turn%len(cs):])
	slices.Reverse(cs)
	for i := range cs {
		m := cs[i].member
		m.mu.Lock()
		if cs[i].load = m.running; m.failed.After(since) {
			cs[i].failed = m.failed
		}
		m.mu.Unlock()
	}
	slices.SortStableFunc(cs, func(x, y candidate) int {
		if x.failed.IsZero() && y.failed.IsZero() {
			return cmp.Compare(x.load, y.load)
		}
		return x.failed.Compare(y.failed) // what failed first may be back first
	})
}

// judged is called when the member has failed, or not, in place of its group.
func (m *member) judged(failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = time.Time{}
	if failed {
		m.failed = time.Now()
	}
}
