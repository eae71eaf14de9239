package fanout

import "github.com/thanoskit/thanoskit/internal/encoded"

// tree is a tournament over cursors, in which each match keeps its loser. So
// when the first cursor moves on, it plays those that lost to it and no others.
//
// Keys are compared by how they depart from a common one, see
// encoded.Departure: whoever lost to the first cursor is known by how its key
// departs from the first cursor's, and so is the first cursor itself when it
// moves on. Only if both depart in the same way are keys looked at, from there
// on.
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
// One that has ended loses. The loser then departs from the winner.
func before(a, b *cursor) bool {
	x, y := &a.seen, &b.seen
	switch {
	case x.ended || y.ended:
		return !x.ended
	case x.from.Code != y.from.Code:
		return x.from.Code > y.from.Code
	case x.from.Code == encoded.Equal && x.waits != y.waits:
		return !x.waits
	case x.from.Code == encoded.Equal:
		return a.index < b.index
	}
	var order int
	d := encoded.Departure{Entry: len(a.key), Code: encoded.Equal}
	if x.same == 0 || x.same != y.same {
		order, d = encoded.Depart(a.key, b.key, x.from.Entry)
	}
	if order == 0 {
		order = 1
		if x.waits == y.waits && a.index < b.index || y.waits && !x.waits {
			order = -1
		}
	}
	if order < 0 {
		y.from = d
		return true
	}
	x.from = d
	return false
}
