package fanout

import "github.com/thanoskit/thanoskit/internal/encoded"

// tree is a tournament over cursors, in which each match keeps its loser. So
// when the first cursor moves on, it plays those that lost to it and no others.
//
// Keys are compared by the offset-value codes of Conner (1977), as sort-merge
// does in databases. Whoever lost to the first cursor has a code that says
// where its key departs from the first cursor's, and so has the first cursor
// itself when it moves on. What departs later is less; only if both depart in
// the same entry are keys compared, from that entry on.
type tree struct {
	losers []*cursor // of match i, which is played by the winners of 2i and 2i+1
	winner *cursor
}

// build makes a tournament of the cursors, whose index is their place in the
// slice. No key is known yet.
func (t *tree) build(cursors []*cursor) {
	n := len(cursors)
	if n == 0 {
		return
	}
	t.losers = make([]*cursor, n)
	winners := append(make([]*cursor, n, 2*n), cursors...)
	for i := n - 1; i > 0; i-- {
		winners[i], t.losers[i] = winners[2*i], winners[2*i+1]
		if !before(winners[i], t.losers[i]) {
			winners[i], t.losers[i] = t.losers[i], winners[i]
		}
	}
	t.winner = winners[1]
}

// first returns the first cursor.
func (t *tree) first() *cursor { return t.winner }

// fix is called when the first cursor has moved.
func (t *tree) fix() {
	c := t.winner
	for i := (c.index + len(t.losers)) / 2; i > 0; i /= 2 {
		if l := t.losers[i]; !before(c, l) {
			t.losers[i], c = c, l
		}
	}
	t.winner = c
}

// before plays a match and reports whether a wins it: the one with the lesser
// key; among equal ones, one whose next series is known, so that all that is
// known of a series is gathered before the merge waits for more; then by index.
// One that has ended loses. The loser's code becomes relative to the winner.
func before(a, b *cursor) bool {
	x, y := &a.seen, &b.seen
	switch {
	case x.ended || y.ended:
		return !x.ended
	case x.code != y.code:
		return x.code > y.code
	case x.code == equal && x.waits != y.waits:
		return !x.waits
	case x.code == equal:
		return a.index < b.index
	}
	order, at := encoded.CompareLabelsFrom(a.key, b.key, x.code)
	switch {
	case order < 0:
		y.code = at
		return true
	case order > 0:
		x.code = at
		return false
	case a.index < b.index:
		y.code = equal
		return true
	}
	x.code = equal
	return false
}
