package storetest

import (
	"context"
	"errors"
	"fmt"
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

// pickOne returns a matcher that selects the series of one metric.
func (p *probe) pickOne() []*labels.Matcher {
	names := distinct(p.whole, labels.MetricName)
	name := names[len(names)/2]
	if p.fixture != nil {
		name = metricReplica
	}
	return []*labels.Matcher{equal(labels.MetricName, name)}
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

func diffStrings(want, got []string) string {
	for _, s := range want {
		if !slices.Contains(got, s) {
			return fmt.Sprintf("%q is missing, which series have", s)
		}
	}
	for _, s := range got {
		if !slices.Contains(want, s) {
			return fmt.Sprintf("%q was sent, which no series has", s)
		}
	}
	return ""
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
		if diff := diffStrings(want, got); diff != "" {
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
			if diff := diffStrings(valuesOf(lsets, name), got); diff != "" {
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
		if diff := diffSome(namesOf(within), got, namesOf(a.labelSets())); diff != "" {
			return fmt.Errorf("asked for label names at %d: %s", t, diff)
		}
		for _, name := range namesOf([]labels.Labels{s.labels}) {
			req := p.valuesRequest(name, nil)
			req.MinTime, req.MaxTime = t, t
			got, err := p.askValues(ctx, req)
			if err != nil {
				return err
			}
			if diff := diffSome(valuesOf(within, name), got, valuesOf(a.labelSets(), name)); diff != "" {
				return fmt.Errorf("asked for values of label %q at %d: %s", name, t, diff)
			}
		}
	}
	return nil
}

// diffSome compares with what has to be there and what may.
func diffSome(must, got, may []string) string {
	for _, s := range must {
		if !slices.Contains(got, s) {
			return fmt.Sprintf("%q is missing, which a series has that has a sample then", s)
		}
	}
	for _, s := range got {
		if !slices.Contains(may, s) {
			return fmt.Sprintf("%q was sent, which no series has", s)
		}
	}
	return ""
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
		if diff := diffLimited(names, got, limit); diff != "" {
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
		if diff := diffLimited(values, got, limit); diff != "" {
			return fmt.Errorf("asked for values of label %q, Limit=%d: %s", name, limit, diff)
		}
	}
	return nil
}

// diffLimited compares with any so many of what there is: which ones is the
// store's to choose.
func diffLimited(all, got []string, limit int) string {
	if want := min(limit, len(all)); len(got) != want {
		return fmt.Sprintf("got %d, want %d of %d", len(got), want, len(all))
	}
	return diffSome(nil, got, all)
}
