package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// proof is a question to the top querier and what its answer has to be.
type proof struct {
	claim string
	expr  string
	opts  query.QueryOptions
	// instant asks at the present; else the whole history is asked for.
	instant bool
	// check gets the answer without and with deduplication.
	check func(t *topology, replicas, merged promql.Matrix) error
}

const (
	historyStep = 15 * time.Second
	// A series of the history gains 1, 2 and 3 every 15 s in each cluster.
	ordersPerSecond = (1 + 2 + 3) / 15.0
)

// firstStep leaves room for the ranges of rates before it.
func (t *topology) firstStep() time.Time { return t.start.Add(5 * time.Minute) }

var proofs = []proof{
	{
		claim: "scrapes of both clusters arrive, and replicas are merged to one series each",
		expr:  `up{job="prometheus"}`, instant: true,
		check: func(_ *topology, replicas, merged promql.Matrix) error {
			if len(replicas) != 4 || len(merged) != 2 {
				return fmt.Errorf("want 4 replicas and 2 series, got %d and %d", len(replicas), len(merged))
			}
			for i, cluster := range []string{"eu", "us"} {
				if got := merged[i].Metric; got.Get("cluster") != cluster || got.Has(replicaLabel) {
					return fmt.Errorf("want cluster %s without replica, got %s", cluster, got)
				}
			}
			return nil
		},
	},
	{
		claim: "each replica has a hole in its history, the deduplicated series has none and never falls",
		expr:  `orders_total{instance="shop-2"}`,
		// Long enough for a switch of replica, much shorter than a hole.
		opts: query.QueryOptions{LookbackDelta: 4 * historyStep},
		check: func(t *topology, replicas, merged promql.Matrix) error {
			whole := int(t.end.Sub(t.firstStep())/historyStep) + 1
			for _, s := range replicas {
				if len(s.Floats) >= whole {
					return fmt.Errorf("replica %s has no hole: %d points", s.Metric, len(s.Floats))
				}
			}
			if len(merged) != 2 {
				return fmt.Errorf("want 2 series, got %d", len(merged))
			}
			for _, s := range merged {
				if len(s.Floats) < whole {
					return fmt.Errorf("%s has %d points of %d", s.Metric, len(s.Floats), whole)
				}
				for i := 1; i < len(s.Floats); i++ {
					if s.Floats[i].F < s.Floats[i-1].F {
						return fmt.Errorf("%s falls from %g to %g at %d", s.Metric, s.Floats[i-1].F, s.Floats[i].F, s.Floats[i].T)
					}
				}
			}
			return nil
		},
	},
	{
		claim: "rates over the holes are those that were made up",
		expr:  `sum by (cluster) (rate(orders_total[5m]))`,
		check: func(_ *topology, _, merged promql.Matrix) error {
			if len(merged) != 2 {
				return fmt.Errorf("want 2 clusters, got %d", len(merged))
			}
			for _, s := range merged {
				for _, p := range s.Floats {
					// A switch of replica leaves out up to three of the twenty
					// intervals, and rate extrapolates over half of one.
					if math.Abs(p.F-ordersPerSecond) > ordersPerSecond*3/20 {
						return fmt.Errorf("%s is %g at %d, want %g", s.Metric, p.F, p.T, ordersPerSecond)
					}
				}
			}
			return nil
		},
	},
}

// prove asks, prints what came, and returns an error if it does not prove the
// claim.
func (t *topology) prove(ctx context.Context, w io.Writer, p *proof) error {
	fmt.Fprintf(w, "\nquery     %s\n", p.expr)
	off := false
	opts := p.opts
	opts.Dedup = &off
	replicas, _, err := t.ask(ctx, p, &opts)
	if err != nil {
		return err
	}
	show(w, "dedup=off", replicas)
	merged, outcome, err := t.ask(ctx, p, &p.opts)
	if err != nil {
		return err
	}
	show(w, "dedup=on", merged)
	for _, m := range outcome.Members() {
		fmt.Fprintf(w, "%-9s cluster %s: %d series, %d chunks, %d bytes in %s", m.Status, m.Member, m.Series, m.Chunks, m.Bytes, m.Duration.Round(10*time.Microsecond))
		if m.Err != nil {
			fmt.Fprintf(w, ": %v", m.Err)
		}
		fmt.Fprintln(w)
	}
	if !outcome.Complete() {
		return fmt.Errorf("answer is incomplete: %v", outcome.Warnings())
	}
	return p.check(t, replicas, merged)
}

func (t *topology) ask(ctx context.Context, p *proof, opts *query.QueryOptions) (promql.Matrix, *store.Outcome, error) {
	var res *query.Result
	var err error
	if p.instant {
		now := time.Now()
		res, err = t.querier.Range(ctx, p.expr, now, now, time.Second, opts)
	} else {
		res, err = t.querier.Range(ctx, p.expr, t.firstStep(), t.end, historyStep, opts)
	}
	if err != nil {
		return nil, nil, err
	}
	m, ok := res.Value.(promql.Matrix)
	if !ok {
		return nil, nil, fmt.Errorf("answer is a %s", res.Value.Type())
	}
	return m, res.Outcome, nil
}

// show prints the first lines of a matrix: each series with the number of its
// points, and the last one.
func show(w io.Writer, what string, m promql.Matrix) {
	const most = 4
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, s := range m {
		if i == most {
			fmt.Fprintf(tw, "%-9s and %d more\n", what, len(m)-most)
			break
		}
		last := s.Floats[len(s.Floats)-1]
		fmt.Fprintf(tw, "%-9s %s\t%d points\tlast %g\n", what, s.Metric, len(s.Floats), last.F)
	}
	if len(m) == 0 {
		fmt.Fprintf(tw, "%-9s nothing\n", what)
	}
	tw.Flush()
}

// describe prints what runs where.
func (t *topology) describe(w io.Writer) {
	for _, c := range t.clusters {
		fmt.Fprintf(w, "cluster %s\n", c.name)
		for i, r := range c.replicas {
			fmt.Fprintf(w, "  replica %-30s prometheus %s  sidecar %s\n", strings.ReplaceAll(r.external.String(), `"`, ""), r.url, c.sidecars[i])
		}
		fmt.Fprintf(w, "  querier over both sidecars     %s\n", c.querier)
	}
	fmt.Fprintln(w, "top querier over both queriers, in this process")
}
