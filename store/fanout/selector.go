package fanout

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// selected returns the matchers that members have to answer for, and whether the
// fan-out's selector labels satisfy the others.
func (f *Store) selected(ms []*labels.Matcher) (rest []*labels.Matcher, ok bool) {
	selector := f.opts.SelectorLabels
	concerns := func(m *labels.Matcher) bool { return selector.Get(m.Name) != "" }
	if selector.IsEmpty() || !slices.ContainsFunc(ms, concerns) {
		return ms, true
	}
	for _, m := range ms {
		switch v := selector.Get(m.Name); {
		case v == "":
			rest = append(rest, m)
		case !m.Matches(v):
			return nil, false
		}
	}
	return rest, true
}

// announced returns the label sets of members as the fan-out announces them:
// with its selector labels, which override.
func (f *Store) announced(sets []labels.Labels) []labels.Labels {
	selector := f.opts.SelectorLabels
	if selector.IsEmpty() {
		return sets
	}
	if len(sets) == 0 {
		return []labels.Labels{selector}
	}
	extended := make([]labels.Labels, len(sets))
	for i, lset := range sets {
		b := labels.NewBuilder(lset)
		selector.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		extended[i] = b.Labels()
	}
	out := labelSets{seen: map[string]struct{}{}}
	out.add(extended)
	return out.sets
}

// addressLabel is what storeMatch matches a member's name as.
const addressLabel = "__address__"

// matchedBy reports whether the member is one of those that the selectors are
// for; none at all are for everybody. Matchers on other labels say nothing.
//
// Source: storeMatchDebugMetadata in Thanos' pkg/store/proxy.go. A replica of a
// declared group has two names there, its own and the group's: one of them must
// satisfy a positive matcher, both a negative one.
func (m *member) matchedBy(selectors [][]*labels.Matcher) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(ms []*labels.Matcher) bool {
		return !slices.ContainsFunc(ms, func(lm *labels.Matcher) bool {
			return lm.Name == addressLabel && !m.addressed(lm)
		})
	})
}

func (m *member) addressed(lm *labels.Matcher) bool {
	own := lm.Matches(m.name)
	if m.group == "" {
		return own
	}
	if lm.Type == labels.MatchNotEqual || lm.Type == labels.MatchNotRegexp {
		return own && lm.Matches(m.group)
	}
	return own || lm.Matches(m.group)
}

// metricNames lists, for each matcher that tells, the metric names that it
// matches.
func metricNames(ms []*labels.Matcher) [][]string {
	var out [][]string
	for _, m := range ms {
		switch {
		case m.Name != labels.MetricName:
		case m.Type == labels.MatchEqual && m.Value != "":
			out = append(out, []string{m.Value})
		case m.Type == labels.MatchRegexp:
			if names := m.SetMatches(); len(names) > 0 && !slices.Contains(names, "") {
				out = append(out, names)
			}
		}
	}
	return out
}

// mayHoldMetric reports whether a Store may hold a metric that is in all of the
// lists.
func mayHoldMetric(s store.Store, lists [][]string) bool {
	for _, names := range lists {
		if !slices.ContainsFunc(names, func(n string) bool { return store.MayHoldMetric(s, n) }) {
			return false
		}
	}
	return true
}
