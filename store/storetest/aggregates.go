package storetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

const allAggregates = store.AggregateCount | store.AggregateSum | store.AggregateMin | store.AggregateMax | store.AggregateCounter

func aggregateChecks() []check {
	return []check{
		{name: "resolution-raw", doc: "A request for resolution 0 is answered with raw data only.", run: checkRawOnly},
		{name: "resolution-raw-data", doc: "Raw data is sent whatever resolution and aggregates are asked for, where there is no other.", fixture: true, run: checkRawAnyhow},
		{name: "resolution-coarsest", doc: "The coarsest data is sent up to the resolution that is asked for.", fixture: true, feature: DownsampledData, run: checkCoarsest},
		{name: "resolution-finer", doc: "Data that is coarser than the resolution that is asked for is not sent.", fixture: true, feature: DownsampledData, run: checkNotCoarser},
		{name: "resolution-gaps", doc: "Finer data is sent where the coarsest has gaps.", fixture: true, feature: DownsampledData, run: checkGaps},
		{name: "aggregates", doc: "The aggregates that are asked for are sent.", feature: DownsampledData, run: checkAggregates},
		{name: "aggregates-others", doc: "Aggregates that are not asked for are not sent.", feature: DownsampledData, run: checkOtherAggregates},
	}
}

// aggregateData returns the aggregates of a chunk in the order of
// store.Aggregates.
func aggregateData(a *store.AggregatedChunk) [5]store.ChunkData {
	return [5]store.ChunkData{a.Count, a.Sum, a.Min, a.Max, a.Counter}
}

// aggregate returns the samples of one aggregate of a series, ascending.
func (s *series) aggregate(n int) ([]sample, error) {
	var out []sample
	for _, c := range s.chunks {
		if c.Aggregated == nil {
			continue
		}
		d := aggregateData(c.Aggregated)[n]
		if d.IsZero() {
			continue
		}
		var err error
		if out, err = decode(out, d); err != nil {
			return nil, fmt.Errorf("series %s: chunk [%d, %d]: %s: %w", s.labels, c.MinTime, c.MaxTime, store.Aggregates(1<<n), err)
		}
	}
	slices.SortFunc(out, compareSamples)
	return slices.CompactFunc(out, equalSamples), nil
}

func checkRawOnly(ctx context.Context, p *probe) error {
	if _, err := p.all(ctx); err != nil {
		return err
	}
	req := p.request()
	req.Aggregates = allAggregates
	if p.fixture != nil {
		req = p.downsampledRequest(0)
	}
	got, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	for _, s := range got.series {
		for _, c := range s.chunks {
			if c.Aggregated != nil {
				return fmt.Errorf("asked for %s: series %s was sent with an aggregated chunk [%d, %d]", describeRequest(req), s.labels, c.MinTime, c.MaxTime)
			}
		}
	}
	return nil
}

// checkRawAnyhow looks at series that have raw data only.
func checkRawAnyhow(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	req := p.metric(metricFloats)
	req.MaxResolution, req.Aggregates = time.Hour, store.AggregateCount|store.AggregateSum
	want := &answer{series: slices.DeleteFunc(slices.Clone(a.series), func(s *series) bool { return !req.Matches(s.labels) })}
	return p.compareSame(ctx, want, req)
}

// downsampledRequest asks for the fixture's downsampled series and all of their
// time.
func (p *probe) downsampledRequest(resolution time.Duration) *store.SeriesRequest {
	req := p.metric(metricDownsampled)
	mint, _ := p.fixture.TimeRange()
	req.MinTime = mint + coarseFrom.Milliseconds()
	req.MaxResolution, req.Aggregates = resolution, allAggregates
	return req
}

// counts returns the samples of the aggregate COUNT of the one downsampled
// series of the fixture, and the series.
func (p *probe) counts(ctx context.Context, req *store.SeriesRequest) ([]sample, *series, error) {
	got, err := p.ask(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	if len(got.series) != 1 {
		return nil, nil, fmt.Errorf("asked for %s: %d series sent, want 1", describeRequest(req), len(got.series))
	}
	samples, err := got.series[0].aggregate(0)
	return samples, got.series[0], err
}

// wantCounts returns what the fixture has of the aggregate COUNT at a resolution
// between mint and maxt.
func (p *probe) wantCounts(resolution time.Duration, mint, maxt int64) ([]sample, error) {
	for _, d := range p.fixture.downsampled {
		if d.Resolution != resolution {
			continue
		}
		s := &series{labels: d.Series.Labels, chunks: d.Series.Chunks}
		samples, err := s.aggregate(0)
		return between(samples, mint, maxt), err
	}
	return nil, nil
}

// checkCoarsest looks at the time of which there is coarse data.
func checkCoarsest(ctx context.Context, p *probe) error {
	start, _ := p.fixture.TimeRange()
	req := in(p.downsampledRequest(coarse), start+coarseFrom.Milliseconds()+1, start+coarseTo.Milliseconds())
	got, s, err := p.counts(ctx, req)
	if err != nil {
		return err
	}
	want, err := p.wantCounts(coarse, req.MinTime, req.MaxTime)
	if err != nil {
		return err
	}
	if diff := diffSamples(want, between(got, req.MinTime, req.MaxTime)); diff != "" {
		return fmt.Errorf("asked for %s: series %s: COUNT at %s: %s", describeRequest(req), s.labels, coarse, diff)
	}
	return nil
}

func checkNotCoarser(ctx context.Context, p *probe) error {
	start, _ := p.fixture.TimeRange()
	req := in(p.downsampledRequest(fine), start+fineFrom.Milliseconds()+1, start+coarseTo.Milliseconds())
	got, s, err := p.counts(ctx, req)
	if err != nil {
		return err
	}
	want, err := p.wantCounts(fine, req.MinTime, req.MaxTime)
	if err != nil {
		return err
	}
	if diff := diffSamples(want, between(got, req.MinTime, req.MaxTime)); diff != "" {
		return fmt.Errorf("asked for %s: series %s: COUNT at %s: %s", describeRequest(req), s.labels, fine, diff)
	}
	return nil
}

// checkGaps looks at the time after the coarse data: first there is fine data,
// then raw data.
func checkGaps(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	start, _ := p.fixture.TimeRange()
	req := in(p.downsampledRequest(coarse), start+coarseFrom.Milliseconds()+1, p.opts.MaxTime)
	got, s, err := p.counts(ctx, req)
	if err != nil {
		return err
	}
	from, to := start+coarseTo.Milliseconds()+1, start
	want, err := p.wantCounts(fine, from, to)
	if err != nil {
		return err
	}
	if diff := diffSamples(want, between(got, from, to)); diff != "" {
		return fmt.Errorf("asked for %s: series %s: COUNT at %s, where there is none at %s: %s", describeRequest(req), s.labels, fine, coarse, diff)
	}
	raw := a.find(s.labels)
	if raw == nil {
		return fmt.Errorf("series %s is sent without its raw data", s.labels)
	}
	if diff := diffSamples(between(raw.samples(), start+1, math.MaxInt64), between(s.samples(), start+1, math.MaxInt64)); diff != "" {
		return fmt.Errorf("asked for %s: series %s: raw data, where there is no other: %s", describeRequest(req), s.labels, diff)
	}
	return nil
}

// aggregated returns all series with every aggregate.
func (p *probe) aggregated(ctx context.Context) (*store.SeriesRequest, *answer, error) {
	if _, err := p.all(ctx); err != nil {
		return nil, nil, err
	}
	req := p.request()
	req.MaxResolution, req.Aggregates = coarse, allAggregates
	if p.fixture != nil {
		req = p.downsampledRequest(coarse)
	}
	a, err := p.ask(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	has := func(s *series) bool {
		return slices.ContainsFunc(s.chunks, func(c store.Chunk) bool { return c.Aggregated != nil })
	}
	if a.series = slices.DeleteFunc(a.series, func(s *series) bool { return !has(s) }); len(a.series) == 0 {
		return nil, nil, skip("the store has no downsampled data in the range")
	}
	return req, a, nil
}

// checkAggregates asks for single aggregates and for two, and compares them with
// those that are sent if all are asked for.
func checkAggregates(ctx context.Context, p *probe) error {
	all, want, err := p.aggregated(ctx)
	if err != nil {
		return err
	}
	return p.eachAggregates(ctx, all, func(req *store.SeriesRequest, got *answer) error {
		for _, w := range want.series {
			s := got.find(w.labels)
			if s == nil {
				return fmt.Errorf("asked for %s: series %s is missing", describeRequest(req), w.labels)
			}
			for n := range 5 {
				if !req.Aggregates.Has(1 << n) {
					continue
				}
				diff, err := diffAggregate(w, s, n)
				if err != nil {
					return err
				}
				if diff != "" {
					return fmt.Errorf("asked for %s: series %s: %s: %s", describeRequest(req), s.labels, store.Aggregates(1<<n), diff)
				}
			}
		}
		return nil
	})
}

func diffAggregate(want, got *series, n int) (string, error) {
	w, err := want.aggregate(n)
	if err != nil {
		return "", err
	}
	g, err := got.aggregate(n)
	if err != nil {
		return "", err
	}
	return diffSamples(w, g), nil
}

func checkOtherAggregates(ctx context.Context, p *probe) error {
	all, _, err := p.aggregated(ctx)
	if err != nil {
		return err
	}
	return p.eachAggregates(ctx, all, func(req *store.SeriesRequest, got *answer) error {
		for _, s := range got.series {
			for n := range 5 {
				if req.Aggregates.Has(1 << n) {
					continue
				}
				samples, err := s.aggregate(n)
				if err != nil {
					return err
				}
				if len(samples) > 0 {
					return fmt.Errorf("asked for %s: series %s was sent with %s too", describeRequest(req), s.labels, store.Aggregates(1<<n))
				}
			}
		}
		return nil
	})
}

func (p *probe) eachAggregates(ctx context.Context, all *store.SeriesRequest, f func(*store.SeriesRequest, *answer) error) error {
	sets := []store.Aggregates{store.AggregateCount | store.AggregateSum}
	for n := range 5 {
		sets = append(sets, 1<<n)
	}
	for _, set := range sets {
		req := *all
		req.Aggregates = set
		got, err := p.ask(ctx, &req)
		if err != nil {
			return err
		}
		if err := f(&req, got); err != nil {
			return err
		}
	}
	return nil
}
