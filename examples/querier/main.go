package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/efficientgo/core/errcapture"

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
	endpoints := p.Strings("endpoint", "host:port of a StoreAPI")
	replicaLabels := p.Strings("query.replica-label", "label that tells replicas apart")
	algorithm := p.Enum("deduplication.func", "how replicas are merged", "penalty", "chain")
	compression := p.Enum("grpc-compression", "compression of the StoreAPI", "none", "snappy")
	timeout := p.Flags.Duration("query.timeout", 2*time.Minute, "longest time that a query may take")
	concurrent := p.Flags.Int("query.max-concurrent", 20, "queries that run at once")
	selects := p.Flags.Int("query.max-concurrent-select", 4, "selectors of one query that are asked for at once")
	lookback := p.Flags.Duration("query.lookback-delta", 0, "how old a sample may be to stand for the present (default 5m)")
	partial := p.Flags.Bool("query.partial-response", true, "answer even if some of the endpoints do not")
	waitBudget := p.Flags.Duration("store.response-timeout", 0, "how long in all a query waits for one endpoint (in Thanos: for its next message); 0 is without limit")
	infoTimeout := p.Flags.Duration("endpoint.info-timeout", 5*time.Second, "how long an endpoint may take to describe itself")
	if err := p.Parse(); err != nil {
		return err
	}

	client := grpcstore.ClientOptions{}
	if *compression != "none" {
		client.Compression = *compression
	}
	var members []fanout.Member
	for _, addr := range *endpoints {
		c, err := grpcstore.Dial(addr, &client)
		if err != nil {
			return err
		}
		defer errcapture.Do(&err, c.Close, "close client")
		members = append(members, fanout.Member{Name: addr, Store: c})
	}
	all, err := fanout.New(fanout.Static(members...), &fanout.Options{
		InfoTimeout: *infoTimeout, WaitBudget: *waitBudget, Logger: p.Log, Registerer: p.Registry,
	})
	if err != nil {
		return err
	}
	p.Go(all.Run)

	opts := query.Options{
		ReplicaLabels: *replicaLabels, Timeout: *timeout, MaxConcurrentSelects: *selects, LookbackDelta: *lookback,
		Logger: p.Log, Registerer: p.Registry,
	}
	if opts.Algorithm, err = dedup.Parse(*algorithm); err != nil {
		return err
	}
	if !*partial {
		opts.Strategy = store.Abort
	}
	q, err := query.New(all, &opts)
	if err != nil {
		return err
	}
	api, err := httpapi.New(q, &httpapi.Options{
		MaxConcurrent: *concurrent, AllowOrigin: "*", Logger: p.Log, Registerer: p.Registry,
		BuildInfo: httpapi.BuildInfo{Version: "3.9.1"}, // what the PromQL engine is; Grafana asks
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /api/v1/stores", func(w http.ResponseWriter, _ *http.Request) { writeStores(w, all.Health()) })
	return p.Serve(ctx, all, grpcstore.ServerOptions{}, mux, described(all))
}

// described is ready once every endpoint has been asked what it holds, whether
// it answered or not.
func described(all *fanout.Store) func(context.Context) error {
	return func(context.Context) error {
		for _, h := range all.Health() {
			if h.Checked.IsZero() {
				return errors.New("an endpoint was not asked yet")
			}
		}
		return nil
	}
}
