package query_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// replicated is a store with a counter that two replicas of Prometheus scrape,
// three seconds apart. Replica a was down for some minutes.
func replicated() store.Store {
	s := &memstore.Store{}
	for at := int64(0); at <= 1_800_000; at += 15_000 {
		requests := float64(at / 100)
		if at < 600_000 || at > 900_000 {
			if err := s.Append(labels.FromStrings("__name__", "requests_total", "job", "api", "replica", "a"), at, requests); err != nil {
				panic(err)
			}
		}
		if err := s.Append(labels.FromStrings("__name__", "requests_total", "job", "api", "replica", "b"), at+3000, requests+30); err != nil {
			panic(err)
		}
	}
	return s
}

func ExampleQuerier_Instant() {
	q, err := query.New(replicated(), &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, at := context.Background(), time.Unix(1000, 0)

	merged, err := q.Instant(ctx, `round(rate(requests_total[5m]), 0.1)`, at, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer merged.Close()
	fmt.Println(merged.Value)

	raw, err := q.Instant(ctx, `requests_total`, at, &query.QueryOptions{Dedup: new(false)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer raw.Close()
	fmt.Println(raw.Value)
	// Output:
	// {job="api"} => 10 @[1000000]
	// {__name__="requests_total", job="api", replica="a"} => 9900 @[1000000]
	// {__name__="requests_total", job="api", replica="b"} => 9930 @[1000000]
}

func ExampleQuerier_Range() {
	q, err := query.New(replicated(), &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := q.Range(context.Background(), `round(sum by (job) (rate(requests_total[5m])), 0.1)`, time.Unix(1300, 0), time.Unix(1700, 0), 200*time.Second, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Value)
	// Output:
	// {job="api"} =>
	// 10 @[1300000]
	// 10 @[1500000]
	// 10 @[1700000]
}

// The receipt says which replica served what: replica b stood in while a was down.
func Example_replicas() {
	q, err := query.New(replicated(), &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := q.Range(context.Background(), `requests_total`, time.Unix(0, 0), time.Unix(1800, 0), time.Minute, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	for _, r := range res.Outcome.Replicas() {
		fmt.Println(r.Labels, "in", r.Series, "series,", r.Samples, "samples")
	}
	fmt.Println(res.Outcome.Unidentified(), "series of replicas that cannot be told apart")
	// Output:
	// {replica="a"} in 1 series, 100 samples
	// {replica="b"} in 1 series, 21 samples
	// 0 series of replicas that cannot be told apart
}

// A store that is down is told apart from what the engine remarks, and can be
// made an error.
func Example_partialResponse() {
	down := &store.Error{Store: "eu-west-1", Op: "series", Err: errors.New("connection refused")}
	half := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		if req.Strategy == store.Abort {
			return down
		}
		if err := w.Warn(down); err != nil {
			return err
		}
		return replicated().(*memstore.Store).Series(ctx, req, w)
	})
	q, err := query.New(half, &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, at := context.Background(), time.Unix(1000, 0)

	res, err := q.Instant(ctx, `requests_total`, at, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Value)
	fmt.Println("warning:", res.Warnings[0])

	_, err = q.Instant(ctx, `requests_total`, at, &query.QueryOptions{Strategy: new(store.Abort)})
	var failed *store.Error
	fmt.Println(errors.As(err, &failed), failed.Store)
	// Output:
	// {__name__="requests_total", job="api"} => 9900 @[1000000]
	// warning: store eu-west-1: series: connection refused
	// true eu-west-1
}

func ExampleQuerier_Queryable() {
	q, err := query.New(replicated(), &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute})
	ctx := context.Background()
	qry, err := engine.NewInstantQuery(ctx, q.Queryable(nil), nil, `count(requests_total)`, time.Unix(1000, 0))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer qry.Close()
	fmt.Println(qry.Exec(ctx))
	// Output: {} => 1 @[1000000]
}

func ExampleQuerier_Series() {
	q, err := query.New(replicated(), &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	sets := [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "job", "api")}}

	series, _, err := q.Series(ctx, 0, 1_800_000, sets, nil)
	fmt.Println(series, err)
	names, _, err := q.LabelNames(ctx, 0, 1_800_000, sets, nil)
	fmt.Println(names, err)
	values, _, err := q.LabelValues(ctx, "replica", 0, 1_800_000, sets, &query.QueryOptions{Dedup: new(false)})
	fmt.Println(values, err)
	// Output:
	// [{__name__="requests_total", job="api"}] <nil>
	// [__name__ job] <nil>
	// [a b] <nil>
}
