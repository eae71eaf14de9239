package encoded_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

func TestAppendUnsorted(t *testing.T) {
	t.Parallel()
	type pair = encoded.Pair[string]
	for _, tc := range []struct {
		name  string
		pairs []pair
		want  labels.Labels
		bad   bool
	}{
		{name: "none", want: labels.EmptyLabels()},
		{name: "sorted", pairs: []pair{{"a", "1"}, {"b", "2"}}, want: labels.FromStrings("a", "1", "b", "2")},
		{name: "unsorted", pairs: []pair{{"b", "2"}, {"", ""}, {"B", "3"}, {"a", "1"}}, want: labels.FromStrings("B", "3", "a", "1", "b", "2")},
		{name: "no value", pairs: []pair{{"b", ""}, {"a", "1"}}, want: labels.FromStrings("a", "1")},
		{name: "no name", pairs: []pair{{"b", "2"}, {"", "1"}}, bad: true},
		{name: "twice", pairs: []pair{{"b", "2"}, {"a", "1"}, {"b", "2"}}, bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := encoded.AppendUnsorted([]byte("x"), tc.pairs)
			testutil.Equals(t, tc.bad, err != nil)
			if !tc.bad {
				testutil.Equals(t, string(encoded.AppendLabels([]byte("x"), tc.want)), string(got))
			}
		})
	}
}
