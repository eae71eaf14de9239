package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
)

// cause is why a stream is out of order.
type cause uint8

const (
	unexplained cause = iota
	resumed
	afterExternal
	overridden
	notBytes
)

func orderChecks() []check {
	return []check{
		{name: "order", doc: "Series ascend by labels.", run: checkOrder(unexplained)},
		{name: "order-split-series", doc: "A series that is sent in parts continues in the next Send, never later.", run: checkOrder(resumed)},
		{name: "order-label-names", doc: "The labels of a series ascend by name, external labels too that sort before all others.", run: checkLabelNames},
		{name: "order-external-labels", doc: "Series ascend by labels as sent, with external labels that sort after others.", run: checkOrder(afterExternal)},
		{name: "order-overridden-labels", doc: "Series ascend by labels as sent, with external labels that override others.", fixture: true, run: checkOrder(overridden)},
		{name: "order-utf8", doc: "Names and values beyond ASCII are ordered by bytes.", run: checkOrder(notBytes)},
	}
}

// checkOrder checks that the stream is not out of order for one reason.
func checkOrder(why cause) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		a, err := p.all(ctx)
		if err != nil {
			return err
		}
		external, err := p.external(ctx)
		if err != nil {
			return err
		}
		flaws := disorder(a.sent, p.originals(), external)
		return flaws[why]
	}
}

// external returns the external labels, if it is known which of all series they
// are.
func (p *probe) external(ctx context.Context) (labels.Labels, error) {
	if p.fixture != nil {
		return p.fixture.external, nil
	}
	info, err := p.describe(ctx)
	if err != nil {
		return labels.EmptyLabels(), err
	}
	if len(info.LabelSets) != 1 {
		return labels.EmptyLabels(), nil
	}
	return info.LabelSets[0], nil
}

// originals returns the labels of the fixture's series before external labels
// were applied, by the labels as sent.
func (p *probe) originals() map[string]labels.Labels {
	if p.fixture == nil {
		return nil
	}
	out := map[string]labels.Labels{}
	for _, s := range p.fixture.series {
		out[p.fixture.extend(s.labels).String()] = s.labels
	}
	return out
}

// disorder returns the first violation of the order for each cause.
func disorder(sent []*series, originals map[string]labels.Labels, external labels.Labels) map[cause]error {
	flaws := map[cause]error{}
	seen := map[*series]bool{}
	for i, s := range sent {
		if i > 0 {
			prev := sent[i-1]
			why, err := violation(prev.labels, s.labels, seen[s], originals, external)
			if err != nil && flaws[why] == nil {
				flaws[why] = err
			}
		}
		seen[s] = true
	}
	return flaws
}

func violation(prev, next labels.Labels, seen bool, originals map[string]labels.Labels, external labels.Labels) (cause, error) {
	if seen {
		return resumed, fmt.Errorf("series %s was sent again after %s: a series may continue in the next Send, never later", next, prev)
	}
	if labels.Compare(prev, next) < 0 {
		return unexplained, nil
	}
	after := fmt.Errorf("series %s came after %s", next, prev)
	if beyondASCII(prev) || beyondASCII(next) {
		return notBytes, fmt.Errorf("%w: not ordered by bytes", after)
	}
	p, pok := originals[prev.String()]
	n, nok := originals[next.String()]
	if pok && nok && labels.Compare(p, n) < 0 && (overrides(external, p) || overrides(external, n)) {
		return overridden, fmt.Errorf("%w: ordered by labels that external labels %s override, %s before %s", after, external, p, n)
	}
	without := func(lset labels.Labels) labels.Labels {
		b := labels.NewBuilder(lset)
		external.Range(func(l labels.Label) { b.Del(l.Name) })
		return b.Labels()
	}
	if labels.Compare(without(prev), without(next)) < 0 {
		return afterExternal, fmt.Errorf("%w: not sorted again after external labels %s were applied", after, external)
	}
	return unexplained, fmt.Errorf("%w: not sorted", after)
}

func overrides(external, lset labels.Labels) bool {
	found := false
	external.Range(func(l labels.Label) { found = found || lset.Has(l.Name) })
	return found
}

func beyondASCII(lset labels.Labels) bool {
	found := false
	lset.Range(func(l labels.Label) {
		for _, s := range []string{l.Name, l.Value} {
			for i := range len(s) {
				found = found || s[i] >= 0x80
			}
		}
	})
	return found
}

func checkLabelNames(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	if len(a.unsorted) > 0 {
		return errors.New("labels of series " + a.unsorted[0] + " do not ascend by name")
	}
	return nil
}
