package storetest

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

func replicaChecks() []check {
	with := func(name, doc string, run func(context.Context, *probe) error) check {
		return check{name: name, doc: doc, announced: canRemoveReplicaLabels, run: func(ctx context.Context, p *probe) error {
			if err := p.after(checkCapabilities); err != nil {
				return err
			}
			return run(ctx, p)
		}}
	}
	return []check{
		with("replica-labels", "Replica labels are removed from every series, wherever they come from, and what becomes equal is one series.", checkReplicaLabels),
		with("order-replica-labels", "Series ascend by the labels that are left when replica labels are removed.", checkReplicaOrder),
		with("skip-chunks-replica-labels", "With SkipChunks too, replica labels are removed.", checkReplicaSkipChunks),
		with("limit-replica-labels", "A limit counts series as they are sent, when replica labels are removed.", checkReplicaLimit),
		with("label-queries-replica-labels", "Replica labels that are to be removed are no label names, and have no values.", checkReplicaQueries),
	}
}

// replicaLabels returns the labels to ask the Store to remove: the options', or
// one that series have, best one whose removal changes their order.
func (p *probe) replicaLabels(a *answer) []string {
	if len(p.opts.ReplicaLabels) > 0 {
		return p.opts.ReplicaLabels
	}
	var some []string
	for _, name := range namesOf(a.labelSets()) {
		if name == labels.MetricName {
			continue
		}
		some = []string{name}
		stripped := make([]labels.Labels, len(a.series))
		for i, s := range a.series {
			stripped[i] = without(s.labels, some)
		}
		if !slices.IsSortedFunc(stripped, labels.Compare) {
			return some
		}
	}
	return some
}

func without(lset labels.Labels, names []string) labels.Labels {
	return labels.NewBuilder(lset).Del(names...).Labels()
}

// withoutReplicas returns a request without replica labels, and what it is to
// be answered with.
func (p *probe) withoutReplicas(ctx context.Context) (*store.SeriesRequest, *answer, error) {
	a, err := p.all(ctx)
	if err != nil {
		return nil, nil, err
	}
	req := p.request()
	if req.WithoutReplicaLabels = p.replicaLabels(a); len(req.WithoutReplicaLabels) == 0 {
		return nil, nil, skip("no series has a label but its metric name")
	}
	return req, stripped(a, req.WithoutReplicaLabels), nil
}

// stripped returns an answer with labels removed from its series, and those that
// become equal merged.
func stripped(a *answer, names []string) *answer {
	out := &answer{req: a.req}
	for _, s := range a.series {
		lset := without(s.labels, names)
		if lset.IsEmpty() {
			continue
		}
		out.series = append(out.series, &series{labels: lset, chunks: s.chunks, decoded: true, raw: slices.Clone(s.samples())})
	}
	slices.SortStableFunc(out.series, func(x, y *series) int { return labels.Compare(x.labels, y.labels) })
	merged := out.series[:0]
	for _, s := range out.series {
		if n := len(merged); n > 0 && labels.Equal(merged[n-1].labels, s.labels) {
			merged[n-1].raw = append(merged[n-1].raw, s.raw...)
			merged[n-1].chunks = slices.Concat(merged[n-1].chunks, s.chunks)
			continue
		}
		merged = append(merged, s)
	}
	for _, s := range merged {
		slices.SortFunc(s.raw, compareSamples)
		s.raw = slices.CompactFunc(s.raw, equalSamples)
	}
	out.series = merged
	return out
}

func checkReplicaLabels(ctx context.Context, p *probe) error {
	req, want, err := p.withoutReplicas(ctx)
	if err != nil {
		return err
	}
	return p.compareSame(ctx, want, req)
}

func checkReplicaOrder(ctx context.Context, p *probe) error {
	req, _, err := p.withoutReplicas(ctx)
	if err != nil {
		return err
	}
	if p.fixture != nil {
		req.Matchers = []*labels.Matcher{equal(labels.MetricName, metricReplica)}
	}
	got, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	for i, s := range got.sent {
		if i == 0 {
			continue
		}
		if prev := got.sent[i-1]; labels.Compare(prev.labels, s.labels) > 0 {
			return fmt.Errorf("series %s came after %s: not sorted once replica labels %q are removed", s.labels, prev.labels, req.WithoutReplicaLabels)
		}
	}
	return nil
}

func checkReplicaSkipChunks(ctx context.Context, p *probe) error {
	req, want, err := p.withoutReplicas(ctx)
	if err != nil {
		return err
	}
	req.SkipChunks = true
	got, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	if diff := diffLabelSets(want.labelSets(), got.labelSets()); diff != "" {
		return fmt.Errorf("asked for %s: %s", describeRequest(req), diff)
	}
	return nil
}

func checkReplicaLimit(ctx context.Context, p *probe) error {
	req, want, err := p.withoutReplicas(ctx)
	if err != nil {
		return err
	}
	if p.fixture != nil {
		req.Matchers = []*labels.Matcher{equal(labels.MetricName, metricReplica)}
		want = stripped(&answer{series: slices.DeleteFunc(slices.Clone(p.whole.series), func(s *series) bool { return !req.Matches(s.labels) })}, req.WithoutReplicaLabels)
	}
	return p.compareLimits(ctx, req, want.labelSets())
}

func checkReplicaQueries(ctx context.Context, p *probe) error {
	sreq, want, err := p.withoutReplicas(ctx)
	if err != nil {
		return err
	}
	req := p.namesRequest(nil)
	req.WithoutReplicaLabels = sreq.WithoutReplicaLabels
	got, err := p.askNames(ctx, req)
	if err != nil {
		return err
	}
	diff, err := p.diffQuery(ctx, namesOf(want.labelSets()), got, req.Matchers, named)
	if err != nil {
		return err
	}
	for _, name := range req.WithoutReplicaLabels {
		if slices.Contains(got, name) {
			diff = fmt.Sprintf("%q was sent, which no series has any more", name)
		}
	}
	if diff != "" {
		return fmt.Errorf("asked for label names WithoutReplicaLabels=%q: %s", req.WithoutReplicaLabels, diff)
	}
	for _, name := range req.WithoutReplicaLabels {
		req := p.valuesRequest(name, nil)
		req.WithoutReplicaLabels = sreq.WithoutReplicaLabels
		got, err := p.askValues(ctx, req)
		if err != nil {
			return err
		}
		if len(got) > 0 {
			return fmt.Errorf("asked for values of label %q WithoutReplicaLabels=%q: got %q, want none", name, req.WithoutReplicaLabels, got)
		}
	}
	return nil
}
