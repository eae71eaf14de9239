package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// question is a range query to the top querier.
type question struct {
	expr     string
	from, to time.Time
	step     time.Duration
	opts     query.QueryOptions
}

// points is how many points the answer has in a series without holes.
func (q *question) points() int { return int(q.to.Sub(q.from)/q.step) + 1 }

// notGateways leaves out what is merged already.
var notGateways = [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchNotRegexp, "__address__", "gateway .*")}}

// askBoth asks without deduplication and with it.
func (t *topology) askBoth(ctx context.Context, w io.Writer, q question) (replicas, merged promql.Matrix, err error) {
	off := false
	raw := q
	raw.opts.Dedup = &off
	if replicas, err = t.ask(ctx, w, raw); err != nil {
		return nil, nil, err
	}
	merged, err = t.ask(ctx, w, q)
	return replicas, merged, err
}

// ask asks, prints what came and from whom, and returns an error if that is not
// all there is.
func (t *topology) ask(ctx context.Context, w io.Writer, q question) (promql.Matrix, error) {
	m, outcome, err := t.query(ctx, w, q)
	if err != nil {
		return nil, err
	}
	if !outcome.Complete() {
		return nil, fmt.Errorf("answer is incomplete: %v", outcome.Warnings())
	}
	return m, nil
}

// query asks, and prints what came and from whom.
func (t *topology) query(ctx context.Context, w io.Writer, q question) (promql.Matrix, *store.Outcome, error) {
	dedup := "dedup=on"
	if q.opts.Dedup != nil {
		dedup = "dedup=off"
	}
	fmt.Fprintf(w, "query     %s (%s)\n", q.expr, dedup)
	res, err := t.querier.Load().Range(ctx, q.expr, q.from, q.to, q.step, &q.opts)
	if err != nil {
		return nil, nil, err
	}
	m, ok := res.Value.(promql.Matrix)
	if !ok {
		return nil, nil, fmt.Errorf("answer is a %s", res.Value.Type())
	}
	show(w, m)
	for _, m := range res.Outcome.Members() {
		if m.Status == store.Pruned || strings.Contains(m.Member, "/") {
			continue // Who need not be asked, and members of members.
		}
		fmt.Fprintf(w, "%-9s %s: %d series, %d chunks, %d bytes in %s", m.Status, m.Member, m.Series, m.Chunks, m.Bytes, m.Duration.Round(10*time.Microsecond))
		if m.Err != nil {
			fmt.Fprintf(w, ": %v", m.Err)
		}
		fmt.Fprintln(w)
	}
	for _, r := range res.Outcome.Replicas() {
		fmt.Fprintf(w, "replica   %s in %d series, of which %d samples are its own\n", r.Labels, r.Series, r.Samples)
	}
	return m, res.Outcome, nil
}

// show prints the first lines of a matrix: each series with the number of its
// points, and the last one.
func show(w io.Writer, m promql.Matrix) {
	const most = 3
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, s := range m {
		if i == most {
			fmt.Fprintf(tw, "answer    and %d more\n", len(m)-most)
			break
		}
		fmt.Fprintf(tw, "answer    %s\t%d points\tlast %g\n", s.Metric, len(s.Floats), s.Floats[len(s.Floats)-1].F)
	}
	if len(m) == 0 {
		fmt.Fprintln(tw, "answer    nothing")
	}
	tw.Flush()
}
