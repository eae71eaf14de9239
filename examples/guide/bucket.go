package guide

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block/shipper"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/store/bucketstore"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// Upload sends the finished blocks of a Prometheus to a bucket. dir is its data
// directory.
func Upload(ctx context.Context, prometheus *promstore.Store, dir string, bkt objstore.Bucket) error {
	ship, err := shipper.New(bkt, dir, &shipper.Options{ExternalLabels: prometheus.ExternalLabels})
	if err != nil {
		return err
	}
	return ship.Run(ctx)
}

// Gateway serves the blocks in a bucket as a StoreAPI. What is in dir makes the
// next start quick.
func Gateway(ctx context.Context, bkt objstore.BucketReader, dir string, l net.Listener) error {
	s, err := bucketstore.Open(ctx, bkt, dir, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{Component: "store"})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) }) // blocks that come and go
	g.Go(func() error { return srv.Run(ctx, l) })
	return g.Wait()
}

// Compact keeps a bucket small. It writes what it is about to do first.
func Compact(ctx context.Context, bkt objstore.Bucket, dir string, w io.Writer) error {
	const day = 24 * time.Hour
	c, err := compact.New(bkt, dir, &compact.Options{
		ReplicaLabels: []string{"replica"},
		Retention:     compact.Retention{Raw: 30 * day, FiveMinutes: 90 * day}, // 1h for good
	})
	if err != nil {
		return err
	}
	defer c.Close()
	plan, err := c.Plan(ctx) // does nothing
	if err != nil {
		return err
	}
	if err := plan.WriteTable(w); err != nil {
		return err
	}
	return c.Run(ctx)
}
