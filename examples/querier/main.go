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
	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
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
	replicaLabels := p.Strings("query.replica-label", "label that tells replicas apart")
	var prefer []*labels.Matcher
	p.Flags.Func("query.prefer-replica", `selector of replicas that come before others, {replica="a"} say; of labels that are no replica labels, it says which series that is about (not in Thanos)`, func(s string) (err error) {
		prefer, err = parse.MetricSelector(s)
		return err
	})
	algorithm := p.Enum("deduplication.func", "how replicas are merged; Thanos knows penalty, which is its default, and chain", "follow", "penalty", "chain")
	timeout := p.Flags.Duration("query.timeout", 2*time.Minute, "longest time that a query may take")
	concurrent := p.Flags.Int("query.max-concurrent", 20, "queries that run at once")
	selects := p.Flags.Int("query.max-concurrent-select", 4, "selectors of one query that are asked for at once")
	lookback := p.Flags.Duration("query.lookback-delta", 0, "how old a sample may be to stand for the present (default 5m)")
	auto := p.Flags.Bool("query.auto-downsampling", false, "use data as coarse as a fifth of the step of a query that does not say max_source_resolution")
	tenantHeader := p.Flags.String("query.tenant-header", "THANOS-TENANT", "HTTP header that says who a query is made for; endpoints are told")
	tenant := p.Flags.String("query.default-tenant-id", "default-tenant", "who a query is made for without that header")
	partial := p.Flags.Bool("query.partial-response", true, "answer even if some of the endpoints do not")
	waitBudget := p.Flags.Duration("store.response-timeout", 0, "how long in all a query waits for one endpoint (in Thanos: for its next message); 0 is without limit")
	var selector []string
	p.Flags.Func("selector-label", `NAME="VALUE" that tells the querier as a whole apart from others below one more (repeatable)`, func(s string) error {
		selector = append(selector, s)
		return nil
	})
	removeAfter := p.Flags.Duration("store.unhealthy-timeout", 5*time.Minute, "how long an endpoint may go on not describing itself before it is forgotten, until it does")
	infoTimeout := p.Flags.Duration("endpoint.info-timeout", 5*time.Second, "how long an endpoint may take to describe itself")
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
		if err := source.Refresh(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn("not all endpoints were found", "err", err)
		}
		close(found)
		return source.Run(ctx)
	})
	selectorLabels, err := parseLabels(selector)
	if err != nil {
		return fmt.Errorf("--selector-label: %w", err)
	}
	all, err := fanout.New(source, &fanout.Options{
		SelectorLabels: selectorLabels, RemoveAfter: *removeAfter,
		InfoTimeout: *infoTimeout, WaitBudget: *waitBudget, Logger: p.Log, Registerer: p.Registry,
	})
	if err != nil {
		return err
	}
	p.Go(all.Run)

	opts := query.Options{
		ReplicaLabels: *replicaLabels, PreferReplicas: prefer, Timeout: *timeout, MaxConcurrentSelects: *selects, LookbackDelta: *lookback,
		Logger: p.Log, Registerer: p.Registry,
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
		MaxConcurrent: *concurrent, TenantHeader: *tenantHeader, DefaultTenant: *tenant, AllowOrigin: "*", Logger: p.Log, Registerer: p.Registry,
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
