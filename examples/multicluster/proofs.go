package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/thanoskit/thanoskit/query"
)

// proof is something that holds of the topology.
type proof struct {
	name  string
	claim string
	// prove asks, prints what came, and returns why that proves nothing.
	prove func(ctx context.Context, t *topology, w io.Writer) error
}

// liveProofs are those that need no history.
var liveProofs = []proof{
	{"scrape", "scrapes of all clusters arrive, and replicas are merged to one series each", proveScrape},
	{"holes", "each replica has holes, the deduplicated series has none and never falls", proveHoles},
	{"clusters", "one query answers across clusters, and its rates over the holes are those that were made up", proveClusters},
	{"no-certificate", "an observee refuses whoever shows no certificate", proveNoCertificate},
	{"other-ca", "an observee refuses a certificate of another CA", proveOtherCA},
	{"cut", "with an observee cut off, the rest is answered and marked partial, and all of it once it is back", proveCut},
}

var historyProofs = []proof{
	{"raw", "history of the last month is answered from raw data", at(28*day, 24*day, 0, "raw")},
	{"5m", "history of the last three months is answered from 5m data", at(80*day, 76*day, 5*time.Minute, "5m")},
	{"1h", "history before that is answered from 1h data", at(118*day, 114*day, time.Hour, "1h")},
	{"retention", "raw data is gone after a month, and 5m data after three", proveRetention},
	{"span", "one query over 120 days is answered from 1h, 5m and raw data, without a seam", proveSpan},
}

// proofs are those that can be given.
func (s scale) proofs() []proof {
	if s.age == 0 {
		return liveProofs
	}
	return slices.Concat(historyProofs, liveProofs)
}

// promStep is the distance of samples that the Prometheus have.
const promStep = time.Minute

// proveScrape asks for what the Prometheus scrape of themselves.
func proveScrape(ctx context.Context, t *topology, w io.Writer) error {
	now := time.Now()
	q := question{expr: `up{job="prometheus"}`, from: now, to: now, step: time.Second}
	replicas, merged, err := t.askBoth(ctx, w, q)
	if err != nil {
		return err
	}
	if len(replicas) != 6 || len(merged) != 3 {
		return fmt.Errorf("want 6 replicas and 3 series, got %d and %d", len(replicas), len(merged))
	}
	for i, c := range []string{"eu", "hub", "us"} {
		if got := merged[i].Metric; got.Get("cluster") != c || got.Has(replicaLabel) {
			return fmt.Errorf("want cluster %s without replica, got %s", c, got)
		}
	}
	return nil
}

// proveHoles asks for a counter whose replicas have holes.
func proveHoles(ctx context.Context, t *topology, w io.Writer) error {
	q := question{
		expr: `orders_total{instance="shop-0"}`, from: t.live.Add(5 * time.Minute), to: t.end, step: promStep,
		// Long enough for a switch of replica, much shorter than a hole.
		opts: query.QueryOptions{LookbackDelta: 3 * promStep, StoreMatch: notGateways},
	}
	replicas, merged, err := t.askBoth(ctx, w, q)
	if err != nil {
		return err
	}
	for _, s := range replicas {
		if len(s.Floats) >= q.points() {
			return fmt.Errorf("replica %s has no hole: %d points", s.Metric, len(s.Floats))
		}
	}
	if len(merged) != len(t.clusters()) {
		return fmt.Errorf("want 3 series, got %d", len(merged))
	}
	for _, s := range merged {
		if len(s.Floats) < q.points() {
			return fmt.Errorf("%s has %d points of %d", s.Metric, len(s.Floats), q.points())
		}
		for i := 1; i < len(s.Floats); i++ {
			if s.Floats[i].F < s.Floats[i-1].F {
				return fmt.Errorf("%s falls from %g to %g at %d", s.Metric, s.Floats[i-1].F, s.Floats[i].F, s.Floats[i].T)
			}
		}
	}
	return nil
}

// proveClusters asks all clusters for a rate.
func proveClusters(ctx context.Context, t *topology, w io.Writer) error {
	q := question{
		expr: `sum by (cluster) (rate(orders_total[10m]))`, from: t.live.Add(15 * time.Minute), to: t.end, step: promStep,
		opts: query.QueryOptions{StoreMatch: notGateways},
	}
	merged, err := t.ask(ctx, w, q)
	if err != nil {
		return err
	}
	return t.everywhere(q, merged, t.scale.ordersPerSecond())
}

// everywhere returns an error unless there is a series for each cluster with a point
// at each step, whose value is about what is wanted.
func (t *topology) everywhere(q question, m promql.Matrix, want float64) error {
	if len(m) != len(t.clusters()) {
		return fmt.Errorf("want %d clusters, got %d", len(t.clusters()), len(m))
	}
	for _, s := range m {
		if len(s.Floats) < q.points() {
			return fmt.Errorf("%s has %d points of %d", s.Metric, len(s.Floats), q.points())
		}
		for _, p := range s.Floats {
			// Samples are nearer to each other or farther apart than others at a switch
			// of replica, and where chunks of downsampled data meet; and rate extrapolates.
			if math.Abs(p.F-want) > want*0.2 {
				return fmt.Errorf("%s is %g at %s, want %g", s.Metric, p.F, time.UnixMilli(p.T).UTC(), want)
			}
		}
	}
	return nil
}
