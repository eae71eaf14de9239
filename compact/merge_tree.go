package compact

// tournament finds the first of several cursors, which are known by number. Each
// match keeps its loser, so that when the first has moved on only its own matches
// are played again: one comparison for each doubling of their number.
type tournament struct {
	losers []int // of match i, which is played by the winners of 2i and 2i+1; the first of all in 0
	before func(a, b int) bool
}

// newTournament plays all matches of n cursors, at least one. before is a strict
// order in which no two are equal, or else any of those that are is first.
func newTournament(n int, before func(a, b int) bool) *tournament {
	t := &tournament{losers: make([]int, n), before: before}
	winners := make([]int, 2*n)
	for i := range n {
		winners[n+i] = i
	}
	for i := n - 1; i > 0; i-- {
		winners[i], t.losers[i] = winners[2*i], winners[2*i+1]
		if before(t.losers[i], winners[i]) {
			winners[i], t.losers[i] = t.losers[i], winners[i]
		}
	}
	t.losers[0] = winners[1]
	return t
}

// first returns the number of the cursor that comes first.
func (t *tournament) first() int { return t.losers[0] }

// moved is called when the first cursor is somewhere else.
func (t *tournament) moved() {
	c := t.losers[0]
	for i := (c + len(t.losers)) / 2; i > 0; i /= 2 {
		if t.before(t.losers[i], c) {
			c, t.losers[i] = t.losers[i], c
		}
	}
	t.losers[0] = c
}
