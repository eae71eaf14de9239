package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	_ "github.com/thanoskit/thanoskit/store/grpcstore/snappy"
)

func main() { program.Main("query", run) }

func run(ctx context.Context, p *program.Program) (err error) {
	endpoints := newEndpointFlags(p)
	replicaLabels := p.Strings("query.replica-label", "label that tells replicas apart: they are merged, and lose it")
	prefer := program.NewPrefer(p.Flags, "query.prefer-replica", `selector of replicas that come before others, such as {replica="a"}; labels in it that are no replica labels say which series that is about (not in Thanos)`)
	algorithm := p.Enum("deduplication.func", "how replicas are merged (Thanos has no follow, and penalty is its default)", "follow", "penalty", "chain")
	var timeout, lookback, waitBudget, removeAfter, infoTimeout time.Duration
	var concurrent, selects int
	p.Duration(&timeout, "query.timeout", 2*time.Minute, "longest time that a query may take")
	program.Count(p.Flags, &concurrent, "query.max-concurrent", 20, 0, "how many queries run at a time; 0 is without limit")
	program.Count(p.Flags, &selects, "query.max-concurrent-select", 4, 1, "how many selectors of one query are asked for at a time")
	p.Duration(&lookback, "query.lookback-delta", 5*time.Minute, "how old a sample may be to stand for the present")
	auto := p.Flags.Bool("query.auto-downsampling", false, "use downsampled data, as coarse as a fifth of the step, for queries that do not say max_source_resolution")
	tenantHeader := p.Flags.String("query.tenant-header", "THANOS-TENANT", "HTTP header that says which tenant a query is made for; endpoints are told")
	tenant := p.Flags.String("query.default-tenant-id", "default-tenant", "tenant of queries without the header of --query.tenant-header")
	partial := p.Flags.Bool("query.partial-response", true, "answer even if some of the endpoints do not, with a warning; otherwise queries fail then")
	p.Duration(&waitBudget, "store.response-timeout", 0, "how long in all a query waits for one endpoint (in Thanos: for its next message); 0 is without limit")
	var selector []string
	p.Flags.Func("selector-label", `label, NAME="VALUE", that the querier announces, so that queriers above it can select it; series do not get it (repeatable)`, func(s string) error {
		selector = append(selector, s)
		return nil
	})
	p.Duration(&removeAfter, "store.unhealthy-timeout", 5*time.Minute, "how long an endpoint may fail to describe itself before it is left out, until it does")
	p.Duration(&infoTimeout, "endpoint.info-timeout", 5*time.Second, "how long an endpoint may take to describe itself")
	if err := p.Parse(); err != nil {
		return err
	}

	source, err := endpoints.source(p)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, source.Close, "close endpoints")
	found := make(chan struct{})
	p.Go(func(ctx context.Context) error {
		find(ctx, source, p.Log)
		close(found)
		return source.Run(ctx)
	})
	selectorLabels, err := parseLabels(selector)
	if err != nil {
		return fmt.Errorf("--selector-label: %w", err)
	}
	all, err := fanout.New(source, &fanout.Options{
		SelectorLabels: selectorLabels, RemoveAfter: removeAfter,
		InfoTimeout: infoTimeout, WaitBudget: waitBudget, Logger: p.Log, Registerer: p.Registry,
	})
	if err != nil {
		return err
	}
	p.Go(all.Run)

	opts := query.Options{
		ReplicaLabels: *replicaLabels, Timeout: timeout, MaxConcurrentSelects: selects, LookbackDelta: lookback,
		Logger: p.Log, Registerer: p.Registry,
	}
	if opts.PreferReplicas, err = prefer.Among(*replicaLabels, "query.replica-label"); err != nil {
		return err
	}
	if concurrent == 0 {
		concurrent = -1 // without limit
	}
	if opts.Algorithm, err = dedup.Parse(*algorithm); err != nil {
		return err
	}
	if !*partial {
		opts.Strategy = store.Abort
	}
	if *auto {
		opts.MaxResolution = query.AutoResolution
	}
	queried := store.Store(all)
	allow, err := p.HTTPAllow()
	if err != nil {
		return err
	}
	if allow != nil {
		queried = store.Wrap(all, store.WithAllowed(allow))
	}
	q, err := query.New(queried, &opts)
	if err != nil {
		return err
	}
	api, err := httpapi.New(q, &httpapi.Options{
		MaxConcurrent: concurrent, TenantHeader: *tenantHeader, DefaultTenant: *tenant, AllowOrigin: "*", Logger: p.Log, Registerer: p.Registry,
		BuildInfo: httpapi.BuildInfo{Version: "3.9.1"}, // what the PromQL engine is; Grafana asks
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.Handle("GET /api/v1/stores", p.ForAll(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeStores(w, all.Health()) })))
	return p.Serve(ctx, all, grpcstore.ServerOptions{}, mux, described(found, all))
}

// parseLabels reads labels as Thanos' flags have them: NAME="VALUE".
func parseLabels(flags []string) (labels.Labels, error) {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, f := range flags {
		name, quoted, _ := strings.Cut(f, "=")
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return labels.EmptyLabels(), fmt.Errorf(`%s is not NAME="VALUE"`, f)
		}
		b.Set(name, value)
	}
	return b.Labels(), nil
}
