package encoded_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// closeLabels are much alike: with values that extend each other, across the
// length at which a varint grows, and entries that others have not.
func closeLabels(r *rand.Rand) []byte {
	b := labels.NewScratchBuilder(4)
	for _, n := range []string{"a", "aa", "b"} {
		if r.Intn(4) == 0 {
			continue
		}
		v := strings.Repeat("v", []int{0, 1, 2, 110, 118, 126, 127, 128, 130}[r.Intn(9)])
		b.Add(n, v+[]string{"", "", "\x00", "a", "b", "\xff"}[r.Intn(6)])
	}
	return encoded.AppendLabels(nil, b.Labels())
}

func TestDepart(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	for range 10_000 {
		x, y := closeLabels(r), closeLabels(r)
		want, d := encoded.Depart(x, y, 0)
		testutil.Equals(t, sign(encoded.CompareLabels(x, y)), sign(want))
		testutil.Equals(t, want == 0, d.Code == encoded.Equal)
		testutil.Equals(t, string(x[:d.Entry]), string(y[:d.Entry]))
		nextX, _ := encoded.First(x[d.Entry:])
		nextY, _ := encoded.First(y[d.Entry:])
		testutil.Equals(t, want == 0, string(nextX) == string(nextY))

		back, e := encoded.Depart(y, x, 0)
		testutil.Equals(t, -sign(want), sign(back))
		testutil.Equals(t, d, e)

		// The same from every entry up to there.
		for from := 0; from < d.Entry; {
			got, e := encoded.Depart(x, y, from)
			testutil.Equals(t, sign(want), sign(got))
			testutil.Equals(t, d, e)
			entry, _ := encoded.First(x[from:])
			from += len(entry)
		}
	}
}

// Three label sets in order: what the departures of two from the least say about
// the two.
func TestDeparturesFromTheSame(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	decided := 0
	for range 30_000 {
		s := [][]byte{closeLabels(r), closeLabels(r), closeLabels(r)}
		slices.SortFunc(s, encoded.CompareLabels)
		_, x := encoded.Depart(s[0], s[1], 0)
		_, y := encoded.Depart(s[0], s[2], 0)
		order, between := encoded.Depart(s[1], s[2], 0)
		what := fmt.Sprintf("%q, %q, %q", s[0], s[1], s[2])
		switch {
		case x.Code > y.Code:
			decided++
			testutil.Equals(t, y, between, what)
		case x.Code < y.Code:
			t.Fatalf("the lesser has the lesser code: %s", what)
		default:
			testutil.Equals(t, x.Entry, y.Entry, what)
			got, again := encoded.Depart(s[1], s[2], x.Entry)
			testutil.Equals(t, sign(order), sign(got), what)
			testutil.Equals(t, between, again, what)
		}
	}
	testutil.Assert(t, decided > 15_000, "only %d were decided by their codes", decided)
}
