package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

func labelChecks() []check {
	return []check{
		{name: "label-names", doc: "Label names are those of all series.", run: checkNames(func(*probe) []*labels.Matcher { return nil })},
		{name: "label-names-matchers", doc: "Label names are those of the series that match.", run: checkNames((*probe).pickOne)},
		{name: "label-values", doc: "The values of a label are those that it has in all series.", run: checkValues(func(*probe) []*labels.Matcher { return nil })},
		{name: "label-values-matchers", doc: "The values of a label are those that it has in the series that match.", run: checkValues((*probe).pickOne)},
		{name: "label-values-no-label", doc: "A request for the values of no label is ErrInvalidRequest.", run: checkNoLabel},
		{name: "label-queries-order", doc: "Label names and values ascend, without duplicates.", run: checkLabelOrder},
		{name: "label-queries-range", doc: "Label names and values of a range are at least those of the series in it.", run: checkLabelRange},
		{name: "label-queries-limit", doc: "With a limit, so many label names and values are sent.", run: checkLabelLimit},
	}
}

// pickOne returns a matcher that selects the series of one metric, if they have
// metric names.
func (p *probe) pickOne() []*labels.Matcher {
	names := distinct(p.whole, labels.MetricName)
	switch {
	case p.fixture != nil:
		return []*labels.Matcher{equal(labels.MetricName, metricReplica)}
	case len(names) == 0:
		return nil
	}
	return []*labels.Matcher{equal(labels.MetricName, names[len(names)/2])}
}

func (p *probe) namesRequest(ms []*labels.Matcher) *store.LabelNamesRequest {
	return &store.LabelNamesRequest{MinTime: p.opts.MinTime, MaxTime: p.opts.MaxTime, Matchers: append(slices.Clone(p.opts.Matchers), ms...), Outcome: new(store.Outcome)}
}

func (p *probe) valuesRequest(label string, ms []*labels.Matcher) *store.LabelValuesRequest {
	return &store.LabelValuesRequest{
		Label: label, MinTime: p.opts.MinTime, MaxTime: p.opts.MaxTime,
		Matchers: append(slices.Clone(p.opts.Matchers), ms...), Outcome: new(store.Outcome),
	}
}

// askNames asks for label names, and returns them in order.
func (p *probe) askNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	got, err := store.LabelNames(ctx, p.store, req)
	if err != nil {
		return nil, fmt.Errorf("asked for label names of %s: %w", matchersText(req.Matchers), err)
	}
	return inSet(got), nil
}

// askValues asks for label values, and returns them in order.
func (p *probe) askValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	got, err := p.labelValues(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("asked for values of label %q of %s: %w", req.Label, matchersText(req.Matchers), err)
	}
	return inSet(got), nil
}

// labelValues asks the Store itself if it can, as a server may.
func (p *probe) labelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	if q, ok := p.store.(store.LabelQuerier); ok {
		return q.LabelValues(ctx, req)
	}
	return store.LabelValues(ctx, p.store, req)
}

func matchersText(ms []*labels.Matcher) string {
	r := store.SeriesRequest{Matchers: ms}
	text := r.String()
	return text[:len(text)-len("[0..0]")]
}

func inSet(ss []string) []string {
	out := slices.Clone(ss)
	slices.Sort(out)
	return slices.Compact(out)
}

// namesOf returns the label names of label sets.
func namesOf(lsets []labels.Labels) []string {
	var out []string
	for _, lset := range lsets {
		lset.Range(func(l labels.Label) { out = append(out, l.Name) })
	}
	return inSet(out)
}

func valuesOf(lsets []labels.Labels, name string) []string {
	var out []string
	for _, lset := range lsets {
		if v := lset.Get(name); v != "" {
			out = append(out, v)
		}
	}
	return inSet(out)
}

// diffQuery says how label names or values that were sent differ from those that
// series in the range have. holds returns the matcher of the series that have
// one.
func (p *probe) diffQuery(ctx context.Context, want, got []string, ms []*labels.Matcher, holds func(string) *labels.Matcher) (string, error) {
	for _, s := range want {
		if !slices.Contains(got, s) {
			return fmt.Sprintf("%q is missing, which series have", s), nil
		}
	}
	return p.strange(ctx, want, got, ms, holds)
}

// strange says which of what was sent no series has. Of a Store with data of its
// own, series of another time may have it too: stores know label names and values
// of blocks of time, and may have been given more of late. Some are asked for.
func (p *probe) strange(ctx context.Context, known, got []string, ms []*labels.Matcher, holds func(string) *labels.Matcher) (string, error) {
	tried := 0
	for _, s := range got {
		if slices.Contains(known, s) {
			continue
		}
		if p.fixture == nil && tried == p.values {
			break
		}
		tried++
		there := false
		if p.fixture == nil {
			var err error
			if there, err = p.anywhere(ctx, append(slices.Clone(ms), holds(s))); err != nil {
				return "", err
			}
		}
		if !there {
			return fmt.Sprintf("%q was sent, which no series has", s), nil
		}
	}
	return "", nil
}

// anywhere reports whether the Store has series that match, at any time.
func (p *probe) anywhere(ctx context.Context, ms []*labels.Matcher) (bool, error) {
	req := &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64, Matchers: ms, SkipChunks: true, Limit: 1}
	got, err := p.ask(ctx, req)
	if tooMuch(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(got.series, func(s *series) bool { return req.Matches(s.labels) }), nil
}

// named and valued match the series that have a label, and a value of it.
func named(name string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchNotEqual, name, "") }

func valued(name string) func(string) *labels.Matcher {
	return func(v string) *labels.Matcher { return equal(name, v) }
}

func checkNames(pick func(*probe) []*labels.Matcher) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		a, err := p.all(ctx)
		if err != nil {
			return err
		}
		req := p.namesRequest(pick(p))
		got, err := p.askNames(ctx, req)
		if err != nil {
			return err
		}
		want := namesOf(matching(a, &store.SeriesRequest{Matchers: req.Matchers}))
		diff, err := p.diffQuery(ctx, want, got, req.Matchers, named)
		if err != nil {
			return err
		}
		if diff != "" {
			return fmt.Errorf("asked for label names of %s: %s", matchersText(req.Matchers), diff)
		}
		return nil
	}
}

func checkValues(pick func(*probe) []*labels.Matcher) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		a, err := p.all(ctx)
		if err != nil {
			return err
		}
		ms := pick(p)
		lsets := matching(a, p.request(ms...))
		for _, name := range append(namesOf(a.labelSets()), "storetest_no_such_label") {
			req := p.valuesRequest(name, ms)
			got, err := p.askValues(ctx, req)
			if err != nil {
				return err
			}
			diff, err := p.diffQuery(ctx, valuesOf(lsets, name), got, req.Matchers, valued(name))
			if err != nil {
				return err
			}
			if diff != "" {
				return fmt.Errorf("asked for values of label %q of %s: %s", name, matchersText(req.Matchers), diff)
			}
		}
		return nil
	}
}

func checkNoLabel(ctx context.Context, p *probe) error {
	if _, err := p.all(ctx); err != nil {
		return err
	}
	req := p.valuesRequest("", nil)
	q, ok := p.store.(store.LabelQuerier)
	if !ok {
		return nil // store.LabelValues does not ask it
	}
	if _, err := q.LabelValues(ctx, req); !errors.Is(err, store.ErrInvalidRequest) {
		return fmt.Errorf("asked for the values of a label without a name: %w, want %w", orNil(err), store.ErrInvalidRequest)
	}
	return nil
}

func checkLabelOrder(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	got, err := store.LabelNames(ctx, p.store, p.namesRequest(nil))
	if err != nil {
		return err
	}
	if i := firstDescent(got); i > 0 {
		return fmt.Errorf("asked for label names: %q came after %q", got[i], got[i-1])
	}
	for _, name := range namesOf(a.labelSets()) {
		got, err := store.LabelValues(ctx, p.store, p.valuesRequest(name, nil))
		if err != nil {
			return err
		}
		if i := firstDescent(got); i > 0 {
			return fmt.Errorf("asked for values of label %q: %q came after %q", name, got[i], got[i-1])
		}
	}
	return nil
}

// firstDescent returns the index of the first string that is not greater than
// its predecessor, or 0.
func firstDescent(ss []string) int {
	for i := 1; i < len(ss); i++ {
		if ss[i] <= ss[i-1] {
			return i
		}
	}
	return 0
}

// checkLabelRange accepts what only other series of the store have: stores know
// label names and values of blocks of time.
func checkLabelRange(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	for _, s := range p.few(a, metricSingle) {
		t := between(s.samples(), p.opts.MinTime, p.opts.MaxTime)[0].t
		var within []labels.Labels
		for _, x := range a.series {
			if len(between(x.samples(), t, t)) > 0 {
				within = append(within, x.labels)
			}
		}
		req := p.namesRequest(nil)
		req.MinTime, req.MaxTime = t, t
		got, err := p.askNames(ctx, req)
		if err != nil {
			return err
		}
		diff, err := p.diffMoment(ctx, namesOf(within), got, namesOf(a.labelSets()), req.Matchers, named)
		if err != nil {
			return err
		}
		if diff != "" {
			return fmt.Errorf("asked for label names at %d: %s", t, diff)
		}
		for _, name := range namesOf([]labels.Labels{s.labels}) {
			req := p.valuesRequest(name, nil)
			req.MinTime, req.MaxTime = t, t
			got, err := p.askValues(ctx, req)
			if err != nil {
				return err
			}
			diff, err := p.diffMoment(ctx, valuesOf(within, name), got, valuesOf(a.labelSets(), name), req.Matchers, valued(name))
			if err != nil {
				return err
			}
			if diff != "" {
				return fmt.Errorf("asked for values of label %q at %d: %s", name, t, diff)
			}
		}
	}
	return nil
}

// diffMoment compares with what has to be there and what may.
func (p *probe) diffMoment(ctx context.Context, must, got, may []string, ms []*labels.Matcher, holds func(string) *labels.Matcher) (string, error) {
	for _, s := range must {
		if !slices.Contains(got, s) {
			return fmt.Sprintf("%q is missing, which a series has that has a sample then", s), nil
		}
	}
	return p.strange(ctx, may, got, ms, holds)
}

func checkLabelLimit(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	names := namesOf(a.labelSets())
	for _, limit := range []int{1, len(names), len(names) + 1} {
		req := p.namesRequest(nil)
		req.Limit = limit
		got, err := p.askNames(ctx, req)
		if err != nil {
			return err
		}
		if diff := p.diffLimited(names, got, limit); diff != "" {
			return fmt.Errorf("asked for label names, Limit=%d: %s", limit, diff)
		}
	}
	name, _ := p.varied(a)
	values := distinct(a, name)
	for _, limit := range []int{1, len(values) / 2, len(values), len(values) + 1} {
		req := p.valuesRequest(name, nil)
		if req.Limit = limit; name == "" || limit == 0 {
			continue
		}
		got, err := p.askValues(ctx, req)
		if err != nil {
			return err
		}
		if diff := p.diffLimited(values, got, limit); diff != "" {
			return fmt.Errorf("asked for values of label %q, Limit=%d: %s", name, limit, diff)
		}
	}
	return nil
}

// diffLimited compares with any so many of what there is: which ones is the
// store's to choose. A Store with data of its own may have more; see strange.
func (p *probe) diffLimited(all, got []string, limit int) string {
	want := min(limit, len(all))
	if len(got) < want || len(got) > limit || p.fixture != nil && len(got) > want {
		return fmt.Sprintf("got %d, want %d of %d", len(got), want, len(all))
	}
	for _, s := range got {
		if p.fixture != nil && !slices.Contains(all, s) {
			return fmt.Sprintf("%q was sent, which no series has", s)
		}
	}
	return ""
}
