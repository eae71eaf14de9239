package guide

import (
	"context"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// Sidecar serves the Prometheus at a URL as a StoreAPI.
func Sidecar(ctx context.Context, url string, l net.Listener) error {
	s, err := promstore.New(url, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{Component: "sidecar"})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) }) // external labels and time range, from time to time
	g.Go(func() error { return srv.Run(ctx, l) })
	return g.Wait()
}
