package dedup_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/dedup"
)

func TestReplicasCompare(t *testing.T) {
	t.Parallel()
	short := labels.MustNewMatcher(labels.MatchRegexp, "prometheus", "short.*")
	first := labels.MustNewMatcher(labels.MatchEqual, "zone", "")
	for name, tc := range map[string]struct {
		replicas *dedup.Replicas
		a, b     labels.Labels
		want     int
	}{
		"nil":                           {nil, labels.FromStrings("replica", "b"), labels.FromStrings("replica", "a"), 0},
		"zero":                          {&dedup.Replicas{}, labels.FromStrings("replica", "b"), labels.FromStrings("replica", "a"), 0},
		"by value":                      {&dedup.Replicas{Labels: []string{"replica"}}, labels.FromStrings("replica", "a"), labels.FromStrings("replica", "b"), -1},
		"missing is empty":              {&dedup.Replicas{Labels: []string{"replica"}}, labels.EmptyLabels(), labels.FromStrings("replica", "a"), -1},
		"byte by byte, not as numbers":  {&dedup.Replicas{Labels: []string{"replica"}}, labels.FromStrings("replica", "10"), labels.FromStrings("replica", "9"), -1},
		"the first label counts first":  {&dedup.Replicas{Labels: []string{"z", "a"}}, labels.FromStrings("a", "1", "z", "2"), labels.FromStrings("a", "2", "z", "1"), 1},
		"others do not count":           {&dedup.Replicas{Labels: []string{"replica"}}, labels.FromStrings("b", "1", "replica", "a"), labels.FromStrings("b", "2", "replica", "a"), 0},
		"preferred before value":        {&dedup.Replicas{Labels: []string{"prometheus"}, Prefer: []*labels.Matcher{short}}, labels.FromStrings("prometheus", "long"), labels.FromStrings("prometheus", "short-1"), 1},
		"both preferred":                {&dedup.Replicas{Labels: []string{"prometheus"}, Prefer: []*labels.Matcher{short}}, labels.FromStrings("prometheus", "short-0"), labels.FromStrings("prometheus", "short-1"), -1},
		"all matchers have to match":    {&dedup.Replicas{Prefer: []*labels.Matcher{short, first}}, labels.FromStrings("prometheus", "short", "zone", "x"), labels.FromStrings("prometheus", "short"), 1},
		"one matcher is not enough":     {&dedup.Replicas{Prefer: []*labels.Matcher{short, first}}, labels.FromStrings("prometheus", "short", "zone", "x"), labels.FromStrings("prometheus", "long"), 0},
		"preferred without any to tell": {&dedup.Replicas{Prefer: []*labels.Matcher{short}}, labels.FromStrings("prometheus", "short"), labels.EmptyLabels(), -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testutil.Equals(t, tc.want, tc.replicas.Compare(tc.a, tc.b))
			testutil.Equals(t, -tc.want, tc.replicas.Compare(tc.b, tc.a))
			testutil.Equals(t, 0, tc.replicas.Compare(tc.a, tc.a))
		})
	}
}

// TestReplicasOrder: the order does not depend on that of arrival.
func TestReplicasOrder(t *testing.T) {
	t.Parallel()
	r := &dedup.Replicas{Labels: []string{"replica"}, Prefer: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "replica", "c")}}
	sets := []labels.Labels{labels.FromStrings("replica", "b"), labels.FromStrings("replica", "a"), labels.FromStrings("replica", "c"), labels.EmptyLabels()}
	for range sets {
		sets = append(sets[1:], sets[0])
		sorted := slices.Clone(sets)
		slices.SortStableFunc(sorted, r.Compare)
		testutil.Equals(t, `[{replica="c"} {} {replica="a"} {replica="b"}]`, fmt.Sprint(sorted))
	}
}
