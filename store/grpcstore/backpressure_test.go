package grpcstore_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// TestAReaderThatStopsStopsTheStore holds up the reader at the first frame, and
// looks how far an endless Store gets until nothing in the program moves.
func TestAReaderThatStopsStopsTheStore(t *testing.T) {
	const window = 64 << 10 // the smallest that gRPC takes
	ss := seriesOf(t, 1, 30)
	for kind, gopts := range servers {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				produced := 0
				var ended error
				endless := store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
					for ended == nil {
						ended = w.Send(&store.Series{Labels: ss[0].Labels, Chunks: ss[0].Chunks})
						produced++
					}
					return ended
				})
				l := bufconn.Listen(1 << 10)
				srv := grpc.NewServer(gopts()...)
				testutil.Ok(t, grpcstore.Register(srv, endless, nil))
				go func() { _ = srv.Serve(l) }()
				c := dialMemory(t, l, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
					grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
				}})
				ctx, cancel := context.WithCancel(t.Context())
				w := &holdUp{let: make(chan struct{})}
				done := make(chan error, 1)
				go func() { done <- c.Series(ctx, everything, w) }()
				synctest.Wait()
				testutil.Equals(t, 1, w.frames)
				// A frame at the reader, the window, and what waits on the server.
				size := 0
				for _, chunk := range ss[0].Chunks {
					size += len(chunk.Raw.Bytes)
				}
				testutil.Assert(t, produced*size < 1<<20, "%d bytes were taken from a store whose reader does not read", produced*size)
				cancel()
				close(w.let)
				err := <-done
				testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
				testutil.Equals(t, 1, w.frames)
				synctest.Wait()
				testutil.NotOk(t, ended)
				testutil.Ok(t, c.Close())
				srv.Stop()
			})
		})
	}
}

// holdUp is a writer that does not return from the first frame until let.
type holdUp struct {
	collector
	let    chan struct{}
	frames int
}

func (h *holdUp) SendFrame(*encoded.Frame) error {
	if h.frames++; h.frames == 1 {
		<-h.let
	}
	return nil
}
