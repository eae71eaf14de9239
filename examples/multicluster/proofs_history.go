package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// historyStep is also the range that functions get, and so there are six samples
// in it even of 1h data.
const historyStep = 6 * time.Hour

// at proves that between two ages history is answered from one resolution.
func at(from, to, most time.Duration, want string) func(context.Context, *topology, io.Writer) error {
	return func(ctx context.Context, t *topology, w io.Writer) error {
		q := t.historyQuestion(from, to, most)
		got, err := t.resolutions(ctx, w, q)
		if err != nil {
			return err
		}
		if !slices.Equal(got, []string{want}) {
			return fmt.Errorf("want data of %s, got %q", want, got)
		}
		samples := historyStep.Seconds() / t.scale.step.Seconds() * float64(t.scale.instances)
		for _, a := range []struct {
			expr string
			want float64
		}{
			{`sum by (cluster) (rate(orders_total[6h]))`, t.scale.ordersPerSecond()},
			{`sum by (cluster) (sum_over_time(queue_length[6h]))`, 3 * samples},
			{`max by (cluster) (max_over_time(queue_length[6h]))`, 6},
			{`min by (cluster) (min_over_time(queue_length[6h]))`, 0},
		} {
			q.expr = a.expr
			m, err := t.ask(ctx, w, q)
			if err != nil {
				return err
			}
			if err := t.everywhere(q, m, a.want); err != nil {
				return err
			}
		}
		return nil
	}
}

func (t *topology) historyQuestion(from, to, most time.Duration) question {
	end := t.end.Truncate(holesEvery)
	return question{
		expr: `orders_total`, from: end.Add(-from), to: end.Add(-to), step: historyStep,
		opts: query.QueryOptions{MaxResolution: &most},
	}
}

// proveRetention asks for what has been deleted.
func proveRetention(ctx context.Context, t *topology, w io.Writer) error {
	for _, q := range []question{
		t.historyQuestion(80*day, 76*day, 0),
		t.historyQuestion(118*day, 114*day, 5*time.Minute),
	} {
		got, err := t.resolutions(ctx, w, q)
		if err != nil {
			return err
		}
		if len(got) > 0 {
			return fmt.Errorf("want no data of %s, got some of %q", *q.opts.MaxResolution, got)
		}
	}
	return nil
}

// proveSpan asks for all there is, at the resolution that follows from the step.
func proveSpan(ctx context.Context, t *topology, w io.Writer) error {
	q := t.historyQuestion(119*day, 0, time.Hour)
	got, err := t.resolutions(ctx, w, q)
	if err != nil {
		return err
	}
	if want := []string{"1h", "5m", "raw"}; !slices.Equal(got, want) {
		return fmt.Errorf("want data of %q, got %q", want, got)
	}
	auto := query.AutoResolution
	q.expr, q.opts.MaxResolution = `sum by (cluster) (rate(orders_total[6h]))`, &auto
	m, err := t.ask(ctx, w, q)
	if err != nil {
		return err
	}
	return t.everywhere(q, m, t.scale.ordersPerSecond())
}

// resolutions asks for series as they are stored, prints from when to when there is
// data of which resolution, and returns the resolutions, those of the oldest data
// first.
func (t *topology) resolutions(ctx context.Context, w io.Writer, q question) ([]string, error) {
	type extent struct {
		resolution string
		from, to   int64
		chunks     int
	}
	var found []*extent
	var outcome store.Outcome
	req := &store.SeriesRequest{
		MinTime: q.from.UnixMilli(), MaxTime: q.to.UnixMilli(), MaxResolution: *q.opts.MaxResolution,
		Aggregates: store.AggregateCount, Outcome: &outcome,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "orders_total")},
	}
	for s, err := range store.All(ctx, t.top.Load(), req, &outcome) {
		if err != nil {
			return nil, err
		}
		for i := range s.Chunks {
			c := &s.Chunks[i]
			res, err := resolutionOf(c)
			if err != nil {
				return nil, fmt.Errorf("chunk of %s: %w", s.Labels, err)
			}
			if res == "" {
				continue
			}
			k := slices.IndexFunc(found, func(e *extent) bool { return e.resolution == res })
			if k < 0 {
				k, found = len(found), append(found, &extent{resolution: res, from: c.MinTime, to: c.MaxTime})
			}
			e := found[k]
			e.from, e.to, e.chunks = min(e.from, c.MinTime), max(e.to, c.MaxTime), e.chunks+1
		}
	}
	if !outcome.Complete() {
		return nil, fmt.Errorf("answer is incomplete: %v", outcome.Warnings())
	}
	slices.SortFunc(found, func(a, b *extent) int { return int((a.from - b.from) / 1000) })
	var names, text []string
	for _, e := range found {
		names = append(names, e.resolution)
		text = append(text, fmt.Sprintf("%s from %s to %s (%d chunks)", e.resolution, date(e.from), date(e.to), e.chunks))
	}
	if len(text) == 0 {
		text = []string{"nothing"}
	}
	fmt.Fprintf(w, "stored    %s to %s, at most %s: %s\n", date(q.from.UnixMilli()), date(q.to.UnixMilli()), block.Resolution(req.MaxResolution.Milliseconds()), strings.Join(text, ", "))
	return names, nil
}

func date(ms int64) string { return time.UnixMilli(ms).UTC().Format("01-02T15h") }

// resolutionOf tells by the distance of its first samples what a chunk is of; it is
// empty if there are too few to tell.
func resolutionOf(c *store.Chunk) (string, error) {
	if c.Aggregated == nil {
		return "raw", nil
	}
	count, err := c.Aggregated.Count.Chunk()
	if err != nil {
		return "", err
	}
	if count.NumSamples() < 3 { // The last window may be shorter than the others.
		return "", nil
	}
	it := count.Iterator(nil)
	it.Next()
	first := it.AtT()
	it.Next()
	if err := it.Err(); err != nil {
		return "", err
	}
	if it.AtT()-first < time.Hour.Milliseconds() {
		return "5m", nil
	}
	return "1h", nil
}
