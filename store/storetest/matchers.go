package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

func matcherChecks() []check {
	of := func(name, doc string, cases func(label string, values []string) []*labels.Matcher) check {
		return check{name: name, doc: doc, run: func(ctx context.Context, p *probe) error { return p.checkMatchers(ctx, cases) }}
	}
	return []check{
		of("matchers-equal", "An equality matcher selects series with exactly that value.", equalCases),
		of("matchers-not-equal", "An inequality matcher selects series with any other value, and those without the label.", notEqualCases),
		of("matchers-regexp", "A regular expression selects series whose whole value matches.", regexpCases),
		of("matchers-not-regexp", "A negated regular expression selects series whose whole value does not match.", notRegexpCases),
		of("matchers-alternatives", "A regular expression of alternatives selects series with any of them.", alternativeCases),
		of("matchers-empty", "A matcher that matches the empty value selects series without the label too.", emptyCases),
		of("matchers-case", "A regular expression may ignore case, and does not otherwise.", caseCases),
		{name: "matchers-unknown-label", doc: "A label that no series has counts as empty.", run: checkUnknownLabel},
		{name: "matchers-several", doc: "A series is selected only if all matchers match.", run: checkSeveralMatchers},
		{name: "matchers-metric-name", doc: "Every type of matcher may be on the metric name.", run: checkMetricName},
		{name: "matchers-external", doc: "Matchers on external labels only select all series in range, or none.", run: checkExternalMatchers},
		{name: "matchers-none", doc: "A request without matchers selects all series in range.", run: checkNoMatchers},
	}
}

// checkMatchers asks with each matcher on one label, and compares with what it
// matches in memory.
func (p *probe) checkMatchers(ctx context.Context, cases func(label string, values []string) []*labels.Matcher) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	name, values := p.varied(a)
	if name == "" {
		return skip("no label but the metric name has several values")
	}
	ms := cases(name, values)
	if len(ms) == 0 {
		return skipf("label %q has no values to try it with", name)
	}
	for _, m := range ms {
		req := p.request(m)
		if p.fixture != nil {
			req.Matchers = []*labels.Matcher{equal(labels.MetricName, metricLabels), m}
		}
		if err := p.compareMatching(ctx, a, req); err != nil {
			return err
		}
	}
	return nil
}

// compareMatching asks for series, and compares their labels with those in whole
// that match. Others than the options choose, of which whole has none, do not
// count: they have no metric name.
func (p *probe) compareMatching(ctx context.Context, whole *answer, req *store.SeriesRequest) error {
	got, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	chosen := matching(got, &store.SeriesRequest{Matchers: p.opts.Matchers})
	if diff := diffLabelSets(matching(whole, req), chosen); diff != "" {
		return fmt.Errorf("asked for %s: %s", describeRequest(req), diff)
	}
	return nil
}

func matching(a *answer, req *store.SeriesRequest) []labels.Labels {
	var out []labels.Labels
	for _, s := range a.series {
		if req.Matches(s.labels) {
			out = append(out, s.labels)
		}
	}
	return out
}

// varied returns the label to try matchers on, and its values: that of the
// fixture, or the one with the most values, of which some are returned.
func (p *probe) varied(a *answer) (name string, values []string) {
	sets := map[string]map[string]bool{}
	for _, s := range a.series {
		if p.fixture != nil && s.labels.Get(labels.MetricName) != metricLabels {
			continue
		}
		s.labels.Range(func(l labels.Label) {
			if l.Name == labels.MetricName || p.fixture != nil && l.Name != labelValue {
				return
			}
			if sets[l.Name] == nil {
				sets[l.Name] = map[string]bool{}
			}
			sets[l.Name][l.Value] = true
		})
	}
	for n, set := range sets {
		if len(set) > 1 && cmp.Or(cmp.Compare(len(set), len(sets[name])), cmp.Compare(name, n)) > 0 {
			name = n
		}
	}
	all := slices.Sorted(maps.Keys(sets[name]))
	some := min(len(all), p.values)
	if p.fixture != nil {
		some = len(all)
	}
	for i := range some {
		values = append(values, all[i*len(all)/some])
	}
	return name, values
}

func equalCases(name string, values []string) []*labels.Matcher {
	var out []*labels.Matcher
	for _, v := range append(values, "no such value") {
		out = append(out, labels.MustNewMatcher(labels.MatchEqual, name, v))
	}
	return out
}

func notEqualCases(name string, values []string) []*labels.Matcher {
	var out []*labels.Matcher
	for _, v := range append(values, "no such value") {
		out = append(out, labels.MustNewMatcher(labels.MatchNotEqual, name, v))
	}
	return out
}

// expressions match some of the values, and never the empty one.
func expressions(values []string) []string {
	out := []string{".+", "no such value.*"}
	for _, v := range values {
		q := regexp.QuoteMeta(v)
		out = append(out, q+".*", ".*"+q, q+".", "[[:alpha:]]+"+q)
	}
	return out
}

func regexpCases(name string, values []string) []*labels.Matcher {
	var out []*labels.Matcher
	for _, e := range expressions(values) {
		out = append(out, labels.MustNewMatcher(labels.MatchRegexp, name, e))
	}
	return out
}

func notRegexpCases(name string, values []string) []*labels.Matcher {
	var out []*labels.Matcher
	for _, e := range expressions(values)[1:] {
		out = append(out, labels.MustNewMatcher(labels.MatchNotRegexp, name, e))
	}
	return out
}

func alternativeCases(name string, values []string) []*labels.Matcher {
	var out []*labels.Matcher
	for i := range len(values) - 1 {
		q, r := regexp.QuoteMeta(values[i]), regexp.QuoteMeta(values[i+1])
		out = append(out, labels.MustNewMatcher(labels.MatchRegexp, name, q+"|"+r),
			labels.MustNewMatcher(labels.MatchRegexp, name, "no such value|"+q),
			labels.MustNewMatcher(labels.MatchNotRegexp, name, q+"|"+r))
	}
	return out
}

func emptyCases(name string, values []string) []*labels.Matcher {
	q := regexp.QuoteMeta(values[0])
	return []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, name, ""),
		labels.MustNewMatcher(labels.MatchNotEqual, name, ""),
		labels.MustNewMatcher(labels.MatchRegexp, name, ""),
		labels.MustNewMatcher(labels.MatchNotRegexp, name, ""),
		labels.MustNewMatcher(labels.MatchRegexp, name, ".*"),
		labels.MustNewMatcher(labels.MatchNotRegexp, name, ".*"),
		labels.MustNewMatcher(labels.MatchNotRegexp, name, ".+"),
		labels.MustNewMatcher(labels.MatchRegexp, name, q+"|"),
		labels.MustNewMatcher(labels.MatchRegexp, name, "|"+q),
		labels.MustNewMatcher(labels.MatchNotRegexp, name, "|"+q),
		labels.MustNewMatcher(labels.MatchRegexp, name, "(?:"+q+")?"),
	}
}

func caseCases(name string, values []string) []*labels.Matcher {
	var out []*labels.Matcher
	for _, v := range values {
		out = append(out, labels.MustNewMatcher(labels.MatchRegexp, name, "(?i)"+regexp.QuoteMeta(v)),
			labels.MustNewMatcher(labels.MatchRegexp, name, "(?i:"+regexp.QuoteMeta(v)+")"))
	}
	return out
}

func checkUnknownLabel(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	const unknown = "storetest_no_such_label"
	for _, m := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, unknown, ""),
		labels.MustNewMatcher(labels.MatchEqual, unknown, "x"),
		labels.MustNewMatcher(labels.MatchNotEqual, unknown, ""),
		labels.MustNewMatcher(labels.MatchNotEqual, unknown, "x"),
		labels.MustNewMatcher(labels.MatchRegexp, unknown, ".*"),
		labels.MustNewMatcher(labels.MatchRegexp, unknown, "x|y"),
		labels.MustNewMatcher(labels.MatchRegexp, unknown, "x|"),
		labels.MustNewMatcher(labels.MatchNotRegexp, unknown, "x|y"),
		labels.MustNewMatcher(labels.MatchNotRegexp, unknown, ".+"),
	} {
		if err := p.compareMatching(ctx, a, p.request(m)); err != nil {
			return err
		}
	}
	return nil
}

func checkSeveralMatchers(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	name, values := p.varied(a)
	if name == "" {
		return skip("no label but the metric name has several values")
	}
	one, other := values[0], values[len(values)-1]
	for _, ms := range [][]*labels.Matcher{
		{labels.MustNewMatcher(labels.MatchEqual, name, one), labels.MustNewMatcher(labels.MatchEqual, name, other)},
		{labels.MustNewMatcher(labels.MatchNotEqual, name, one), labels.MustNewMatcher(labels.MatchNotEqual, name, other)},
		{labels.MustNewMatcher(labels.MatchNotEqual, name, one), labels.MustNewMatcher(labels.MatchNotEqual, name, "")},
		{labels.MustNewMatcher(labels.MatchRegexp, name, ".+"), labels.MustNewMatcher(labels.MatchNotEqual, name, other)},
		{labels.MustNewMatcher(labels.MatchEqual, name, one), labels.MustNewMatcher(labels.MatchNotRegexp, name, ".+")},
	} {
		if err := p.compareMatching(ctx, a, p.request(ms...)); err != nil {
			return err
		}
	}
	return nil
}

func checkMetricName(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	names := distinct(a, labels.MetricName)
	if len(names) == 0 {
		return skip("no series has a metric name")
	}
	first, last := regexp.QuoteMeta(names[0]), regexp.QuoteMeta(names[len(names)-1])
	for _, m := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, names[0]),
		labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, names[0]+"_no_such_metric"),
		labels.MustNewMatcher(labels.MatchNotEqual, labels.MetricName, names[0]),
		labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, first+"|"+last),
		labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, first+".*"),
		labels.MustNewMatcher(labels.MatchNotRegexp, labels.MetricName, first+"|"+last),
	} {
		if err := p.compareMatching(ctx, a, p.request(m)); err != nil {
			return err
		}
	}
	return nil
}

// distinct returns the values that a label has in the series of an answer.
func distinct(a *answer, name string) []string {
	var out []string
	for _, s := range a.series {
		if v := s.labels.Get(name); v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkExternalMatchers asks with matchers on external labels and no others.
func checkExternalMatchers(ctx context.Context, p *probe) error {
	a, lset, err := p.externalOnly(ctx)
	if err != nil {
		return err
	}
	if lset.IsEmpty() {
		return skip("the store announces no external labels")
	}
	var cases []*labels.Matcher
	lset.Range(func(l labels.Label) {
		q := regexp.QuoteMeta(l.Value)
		cases = append(cases,
			labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value),
			labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value+" or not"),
			labels.MustNewMatcher(labels.MatchNotEqual, l.Name, l.Value),
			labels.MustNewMatcher(labels.MatchNotEqual, l.Name, l.Value+" or not"),
			labels.MustNewMatcher(labels.MatchRegexp, l.Name, "no such value|"+q),
			labels.MustNewMatcher(labels.MatchNotRegexp, l.Name, "no such value|"+q),
			labels.MustNewMatcher(labels.MatchEqual, l.Name, ""))
	})
	for _, m := range cases {
		if err := p.compareOnly(ctx, a, []*labels.Matcher{m}); err != nil {
			return err
		}
	}
	return nil
}

// externalOnly returns all series, and external labels of theirs. It is a skip
// if the options choose some of the series, since what these matchers select is
// not among them.
func (p *probe) externalOnly(ctx context.Context) (*answer, labels.Labels, error) {
	none := labels.EmptyLabels()
	a, err := p.all(ctx)
	if err != nil {
		return nil, none, err
	}
	if len(p.opts.Matchers) != 1 || p.opts.Matchers[0].String() != anyMetric().String() {
		return nil, none, skip("matchers were given, so that not all series are known")
	}
	if p.fixture != nil {
		return a, p.fixture.external, nil
	}
	info, err := p.describe(ctx)
	if err != nil || len(info.LabelSets) == 0 {
		return a, none, err
	}
	return a, info.LabelSets[0], nil
}

// anyMetric matches every series with a metric name.
func anyMetric() *labels.Matcher {
	return &labels.Matcher{Type: labels.MatchNotEqual, Name: labels.MetricName}
}

func checkNoMatchers(ctx context.Context, p *probe) error {
	a, _, err := p.externalOnly(ctx)
	if err != nil {
		return err
	}
	return p.compareOnly(ctx, a, nil)
}

// compareOnly is compareMatching with matchers that take the place of the
// options'. They may select more series, without metric names, than are to be
// read.
func (p *probe) compareOnly(ctx context.Context, whole *answer, ms []*labels.Matcher) error {
	req := p.request()
	req.Matchers = ms
	err := p.compareMatching(ctx, whole, req)
	if tooMuch(err) && p.fixture == nil {
		return skipf("with those that have no metric name: %v", err)
	}
	return err
}
