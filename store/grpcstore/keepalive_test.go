package grpcstore_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// TestSilentStream asks a Store that sends nothing for a minute, while the
// client pings every 10 s as Thanos' do. The minute is the bubble's.
func TestSilentStream(t *testing.T) {
	const silence = time.Minute
	silent := store.Func(func(ctx context.Context, _ *store.SeriesRequest, _ store.SeriesWriter) error {
		select {
		case <-time.After(silence):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	ask := func(t *testing.T, gopts ...grpc.ServerOption) (after time.Duration, err error) {
		synctest.Test(t, func(t *testing.T) {
			l := bufconn.Listen(1 << 20)
			srv := grpc.NewServer(gopts...)
			testutil.Ok(t, grpcstore.Register(srv, silent, nil))
			go func() { _ = srv.Serve(l) }()
			c := dialMemory(t, l, nil)
			start := time.Now()
			err = c.Series(t.Context(), &store.SeriesRequest{}, &collector{})
			after = time.Since(start)
			testutil.Ok(t, c.Close())
			srv.Stop()
		})
		return after, err
	}
	t.Run("plain server", func(t *testing.T) {
		after, err := ask(t)
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
		testutil.Assert(t, strings.Contains(err.Error(), "too_many_pings"), "%v", err)
		testutil.Assert(t, after >= 30*time.Second && after < silence, "after %s", after)
	})
	t.Run("server with our options", func(t *testing.T) {
		after, err := ask(t, grpcstore.GRPCServerOptions(nil)...)
		testutil.Ok(t, err)
		testutil.Equals(t, silence, after)
	})
}

// TestIdleConnection leaves a connection without calls for five minutes while
// the client pings every 10 s.
func TestIdleConnection(t *testing.T) {
	for kind, want := range map[string]int64{"plain": 2, "our options": 1} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := bufconn.Listen(1 << 20)
				srv := grpc.NewServer(servers[kind]()...)
				testutil.Ok(t, grpcstore.Register(srv, plainStore(nil), nil))
				go func() { _ = srv.Serve(l) }()
				var dials atomic.Int64
				c := dialMemory(t, l, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
					grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
					grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
						dials.Add(1)
						return l.DialContext(ctx)
					}),
				}})
				testutil.Ok(t, c.Series(t.Context(), everything, &collector{}))
				<-time.After(5 * time.Minute)
				testutil.Ok(t, c.Series(t.Context(), everything, &collector{}))
				testutil.Equals(t, want, dials.Load())
				testutil.Ok(t, c.Close())
				srv.Stop()
			})
		})
	}
}
