package bucketstore

import (
	"bytes"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// tree is a tournament over cursors, in which each match keeps its loser: when
// the winner moves on, it plays those that lost to it and no others.
type tree struct {
	losers []*cursor // of match i, which is played by the winners of 2i and 2i+1
	winner *cursor
}

// build makes a tournament of the cursors, at least one.
func (t *tree) build(cursors []*cursor) {
	n := len(cursors)
	t.losers = make([]*cursor, n)
	winners := append(make([]*cursor, n, 2*n), cursors...)
	for i, c := range cursors {
		c.place = n + i
	}
	for i := n - 1; i > 0; i-- {
		winners[i], t.losers[i] = winners[2*i], winners[2*i+1]
		if before(t.losers[i], winners[i]) {
			winners[i], t.losers[i] = t.losers[i], winners[i]
		}
	}
	t.winner = winners[1]
}

// fix is called when the winner has moved on from a series with these labels.
// Where blocks have the same series, the others stand there still, which costs
// less to see than an order does.
func (t *tree) fix(from []byte) {
	c := t.winner
	moved := c.ended || !bytes.Equal(c.labels, from)
	for i := c.place / 2; i > 0; i /= 2 {
		l := t.losers[i]
		if moved && !l.ended && bytes.Equal(l.labels, from) || before(l, c) {
			t.losers[i], c = c, l
			moved = false
		}
	}
	t.winner = c
}

// before reports whether a stands at a series that comes before that of b. Equal
// ones are in the order of their places, so that the outcome is the same each
// time.
func before(a, b *cursor) bool {
	if a.ended || b.ended {
		return !a.ended
	}
	if bytes.Equal(a.labels, b.labels) {
		return a.place < b.place
	}
	return encoded.CompareLabels(a.labels, b.labels) < 0
}
