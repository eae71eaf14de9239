package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

func boundsChecks() []check {
	return []check{
		{name: "bounds-inclusive", doc: "Both bounds of the range are inclusive.", run: checkInclusive},
		{name: "bounds-outside", doc: "A series without a chunk that overlaps the range is not sent.", run: checkOutside},
		{name: "bounds-inverted", doc: "A range that ends before it begins holds nothing.", run: checkInverted},
		{name: "overhanging-chunks", doc: "Chunks that reach out of the range are sent, with all samples in range.", run: checkOverhang},
		{name: "skip-chunks", doc: "With SkipChunks, the same series are sent without chunks.", run: checkSkipChunks},
		{name: "skip-chunks-range", doc: "With SkipChunks too, only series that have data in the range are sent.", run: checkSkipChunksRange},
		{name: "limit", doc: "With a limit, a prefix is sent that has at least so many series.", run: checkLimit},
		{name: "strategy-abort", doc: "Under the strategy ABORT, a store that has all of its data answers the same.", run: checkAbort},
	}
}

// exactly returns matchers that only series with these labels match, but for
// labels that they have not.
func exactly(lset labels.Labels) []*labels.Matcher {
	var out []*labels.Matcher
	lset.Range(func(l labels.Label) { out = append(out, equal(l.Name, l.Value)) })
	return out
}

// in asks for a range.
func in(req *store.SeriesRequest, mint, maxt int64) *store.SeriesRequest {
	req.MinTime, req.MaxTime = mint, maxt
	return req
}

// few returns series of an answer that have samples in the range that is looked
// at: those of a metric of the fixture, or of any store one of each metric, but
// only so many, those with the most chunks.
func (p *probe) few(a *answer, metric string) []*series {
	const enough = 8
	var out []*series
	last := ""
	for _, s := range a.series {
		name := s.labels.Get(labels.MetricName)
		if p.fixture != nil && name != metric || p.fixture == nil && name == last {
			continue
		}
		if len(between(s.samples(), p.opts.MinTime, p.opts.MaxTime)) == 0 {
			continue
		}
		last = name
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b *series) int { return cmp.Compare(len(b.chunks), len(a.chunks)) })
	return out[:min(len(out), enough)]
}

func checkInclusive(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	some := p.few(a, metricSingle)
	if len(some) == 0 {
		return skip("no series has samples")
	}
	for _, s := range some {
		within := between(s.samples(), p.opts.MinTime, p.opts.MaxTime)
		first, last := within[0].t, within[len(within)-1].t
		for _, r := range [][2]int64{{first, last}, {last, last}, {first, first}, {first - 1, first}, {last, last + 1}} {
			if err := p.compareRange(ctx, s, r[0], r[1]); err != nil {
				return fmt.Errorf("%w: both bounds are inclusive", err)
			}
		}
	}
	return nil
}

// compareRange asks for a series in a range, and compares its samples there with
// those that are known.
func (p *probe) compareRange(ctx context.Context, s *series, mint, maxt int64) error {
	mint, maxt = max(mint, p.opts.MinTime), min(maxt, p.opts.MaxTime)
	req := in(p.request(exactly(s.labels)...), mint, maxt)
	got, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	want := between(s.samples(), mint, maxt)
	sent := got.find(s.labels)
	if sent == nil {
		if len(want) == 0 {
			return nil
		}
		return fmt.Errorf("asked for %s: series %s is missing, which has a sample at %d", describeRequest(req), s.labels, want[0].t)
	}
	if diff := diffSamples(want, between(sent.samples(), mint, maxt)); diff != "" {
		return fmt.Errorf("asked for %s: series %s: %s", describeRequest(req), s.labels, diff)
	}
	return nil
}

// overlaps reports whether a chunk of the series overlaps the range.
func (s *series) overlaps(mint, maxt int64) bool {
	return slices.ContainsFunc(s.chunks, func(c store.Chunk) bool { return c.MinTime <= maxt && c.MaxTime >= mint })
}

func checkOutside(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	tried := false
	for _, s := range p.few(a, metricSingle) {
		first, last := s.samples()[0].t, s.samples()[len(s.samples())-1].t
		for _, r := range [][2]int64{{last + 1, last + 1000}, {first - 1000, first - 1}} {
			if r[0] < p.opts.MinTime || r[1] > p.opts.MaxTime || s.overlaps(r[0], r[1]) {
				continue
			}
			tried = true
			req := in(p.request(exactly(s.labels)...), r[0], r[1])
			got, err := p.ask(ctx, req)
			if err != nil {
				return err
			}
			if got.find(s.labels) != nil {
				return fmt.Errorf("asked for %s: series %s was sent, whose samples are from %d to %d", describeRequest(req), s.labels, first, last)
			}
		}
	}
	if !tried {
		return skip("no series begins or ends in the range")
	}
	return nil
}

func checkInverted(ctx context.Context, p *probe) error {
	if _, err := p.all(ctx); err != nil {
		return err
	}
	req := in(p.request(), p.opts.MaxTime, p.opts.MinTime)
	if req.MinTime == req.MaxTime {
		return skip("the range is a single moment")
	}
	got, err := p.ask(ctx, req)
	if errors.Is(err, store.ErrInvalidRequest) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(got.series) > 0 {
		return fmt.Errorf("asked for %s: series %s was sent", describeRequest(req), got.series[0].labels)
	}
	return nil
}

func checkOverhang(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	tried := false
	for _, s := range p.few(a, metricLong) {
		within := between(s.samples(), p.opts.MinTime, p.opts.MaxTime)
		if len(within) < 3 {
			continue
		}
		tried = true
		third := len(within) / 3
		for _, r := range [][2]int64{
			{within[third].t, within[third].t + 1},
			{within[third].t, within[2*third].t},
			{within[third].t - 1, within[2*third].t + 1},
		} {
			if err := p.compareRange(ctx, s, r[0], r[1]); err != nil {
				return err
			}
		}
	}
	if !tried {
		return skip("no series has three samples")
	}
	return nil
}

func checkSkipChunks(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	req := p.request()
	req.SkipChunks = true
	got, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	for _, s := range got.series {
		if len(s.chunks) > 0 {
			return fmt.Errorf("asked for %s: series %s was sent with %d chunks", describeRequest(req), s.labels, len(s.chunks))
		}
	}
	if diff := diffLabelSets(a.labelSets(), got.labelSets()); diff != "" {
		return fmt.Errorf("asked for %s: %s", describeRequest(req), diff)
	}
	return nil
}

// checkSkipChunksRange accepts series of which a chunk, but no sample, lies in
// the range: a store need not look into chunks.
func checkSkipChunksRange(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	tried := false
	for _, s := range p.few(a, metricSingle) {
		t := between(s.samples(), p.opts.MinTime, p.opts.MaxTime)[0].t
		tried = true
		req := in(p.request(), t, t)
		req.SkipChunks = true
		got, err := p.ask(ctx, req)
		if err != nil {
			return err
		}
		if err := compareLabelsInRange(a, got, req); err != nil {
			return err
		}
	}
	if !tried {
		return skip("no series has samples")
	}
	return nil
}

func compareLabelsInRange(whole, got *answer, req *store.SeriesRequest) error {
	for _, s := range whole.series {
		sent := got.find(s.labels) != nil
		switch {
		case !sent && len(between(s.samples(), req.MinTime, req.MaxTime)) > 0:
			return fmt.Errorf("asked for %s: series %s is missing, which has a sample in the range", describeRequest(req), s.labels)
		case sent && !s.overlaps(req.MinTime, req.MaxTime):
			return fmt.Errorf("asked for %s: series %s was sent, which has no data in the range", describeRequest(req), s.labels)
		}
	}
	for _, s := range got.series {
		if whole.find(s.labels) == nil {
			return fmt.Errorf("asked for %s: series %s was sent, which is not sent with chunks", describeRequest(req), s.labels)
		}
	}
	return nil
}

func checkLimit(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	return p.compareLimits(ctx, p.request(), a.labelSets())
}

// compareLimits asks with several limits for what all is the whole answer to.
func (p *probe) compareLimits(ctx context.Context, req *store.SeriesRequest, all []labels.Labels) error {
	for _, limit := range []int{1, 2, max(len(all)/2, 1), len(all), len(all) + 1} {
		r := *req
		r.Limit = limit
		got, err := p.ask(ctx, &r)
		if err != nil {
			return err
		}
		sets := got.labelSets()
		if want := min(limit, len(all)); len(sets) < want {
			return fmt.Errorf("asked for %s: %d series sent of %d, want %d at least", describeRequest(&r), len(sets), len(all), want)
		}
		if diff := diffLabelSets(all[:min(len(sets), len(all))], sets); diff != "" {
			return fmt.Errorf("asked for %s: not the first series: %s", describeRequest(&r), diff)
		}
	}
	return nil
}

func checkAbort(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	req := p.request()
	req.Strategy = store.Abort
	return p.compareSame(ctx, a, req)
}

// compareSame asks for what should be the same as all series.
func (p *probe) compareSame(ctx context.Context, want *answer, req *store.SeriesRequest) error {
	got, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	if diff := p.diffAnswers(want, got); diff != "" {
		return fmt.Errorf("asked for %s: %s", describeRequest(req), diff)
	}
	return nil
}

// diffAnswers compares labels and samples in the range that is looked at.
func (p *probe) diffAnswers(want, got *answer) string {
	if diff := diffLabelSets(want.labelSets(), got.labelSets()); diff != "" {
		return diff
	}
	for i, w := range want.series {
		mint, maxt := p.opts.MinTime, p.opts.MaxTime
		if diff := diffSamples(between(w.samples(), mint, maxt), between(got.series[i].samples(), mint, maxt)); diff != "" {
			return fmt.Sprintf("series %s: %s", w.labels, diff)
		}
	}
	return ""
}
