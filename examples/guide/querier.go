package guide

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// Querier serves Prometheus' HTTP API over the StoreAPIs that a configuration names.
func Querier(ctx context.Context, endpoints discovery.Config, serve func(context.Context, http.Handler) error) error {
	members, err := discovery.New(&discovery.Options{Config: endpoints})
	if err != nil {
		return err
	}
	defer members.Close()
	all, err := fanout.New(members, nil)
	if err != nil {
		return err
	}
	q, err := query.New(all, &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		return err
	}
	api, err := httpapi.New(q, nil)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return members.Run(ctx) }) // DNS and files
	g.Go(func() error { return all.Run(ctx) })     // what members have
	g.Go(func() error { return serve(ctx, api) })
	return g.Wait()
}
