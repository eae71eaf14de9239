package grpcstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/snappy"
)

// poison is a buffer pool that overwrites what comes back to it, and counts.
type poison struct {
	pool     mem.BufferPool
	get, put atomic.Int64
}

// poisoned is what it overwrites buffers with, many bytes at a time.
var poisoned = [4096]byte(bytes.Repeat([]byte{0xdb}, 4096))

func newPoison() *poison { return &poison{pool: grpcstore.NewBufferPool()} }

func (p *poison) Get(n int) *[]byte {
	p.get.Add(1)
	return p.pool.Get(n)
}

func (p *poison) Put(b *[]byte) {
	p.put.Add(1)
	for all := (*b)[:cap(*b)]; len(all) > 0; {
		all = all[copy(all, poisoned[:]):]
	}
	p.pool.Put(b)
}

// registrar remembers what is registered on a server.
type registrar struct {
	*grpc.Server
	impl any
}

func (r *registrar) RegisterService(d *grpc.ServiceDesc, impl any) {
	r.impl = impl
	r.Server.RegisterService(d, impl)
}

// TestNothingHandedOutIsOverwritten overwrites every buffer, of gRPC and of
// ours, on both ends, as soon as it is given back.
func TestNothingHandedOutIsOverwritten(t *testing.T) {
	usual, mixed := seriesOf(t, 400, 2), mixedSeries()
	for kind, gopts := range servers {
		for _, compression := range []string{"", snappy.Name} {
			for _, batch := range []int{1, 64} {
				for name, s := range map[string][]*store.Series{"usual": usual, "mixed": mixed} {
					t.Run(fmt.Sprintf("%s/%s/%d/%s", kind, compression, batch, name), func(t *testing.T) {
						t.Parallel()
						ours, grpcs := newPoison(), newPoison()
						l := bufconn.Listen(1 << 20)
						r := &registrar{Server: grpc.NewServer(append(gopts(), experimental.BufferPool(grpcs))...)}
						testutil.Ok(t, grpcstore.Register(r, &labelledFrames{framesOf(s, 50)}, nil))
						grpcstore.SetBufferPool(r.impl, ours)
						serve(t, l, r.Server)
						c := dialMemory(t, l, &grpcstore.ClientOptions{BatchSize: batch, Compression: compression, DialOptions: []grpc.DialOption{experimental.WithBufferPool(grpcs)}})
						grpcstore.SetBufferPool(c, ours)

						var got collector
						testutil.Ok(t, c.Series(t.Context(), everything, &got))
						var frames keepFrames
						testutil.Ok(t, c.Series(t.Context(), everything, &frames))
						values, err := c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "pod"})
						testutil.Ok(t, err)
						for range 3 { // whatever is reused is used again
							testutil.Ok(t, c.Series(t.Context(), everything, &collector{}))
						}
						requireSeries(t, s, got.series)
						requireSeries(t, s, frames.plain())
						requireSeries(t, s, got.series)
						for _, v := range values {
							testutil.Assert(t, v != "" && v[0] != 0xdb, "%q", v)
						}
						frames.release()
						// gRPC does not reuse the buffers of small messages.
						testutil.Assert(t, name != "usual" || grpcs.put.Load() > 0 && ours.put.Load() > 0, "nothing was reused")
					})
				}
			}
		}
	}
}

type labelledFrames struct{ frameStore }

// TestEveryBufferComesBack counts what was taken from our pools and given back
// when all calls have ended. What gRPC had not written of an answer that nobody
// wanted to the end, it leaves to the garbage collector.
func TestEveryBufferComesBack(t *testing.T) {
	for kind, gopts := range servers {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/whole=%t", kind, whole), func(t *testing.T) {
				t.Parallel()
				server, client := newPoison(), newPoison()
				l, err := net.Listen("tcp", "127.0.0.1:0")
				testutil.Ok(t, err)
				r := &registrar{Server: grpc.NewServer(append(gopts(), grpc.WaitForHandlers(true))...)}
				testutil.Ok(t, grpcstore.Register(r, framesOf(seriesOf(t, 2000, 1), 64), nil))
				grpcstore.SetBufferPool(r.impl, server)
				var wg sync.WaitGroup
				wg.Go(func() { _ = r.Serve(l) })
				c, err := grpcstore.Dial(l.Addr().String(), nil)
				testutil.Ok(t, err)
				grpcstore.SetBufferPool(c, client)
				for range 5 {
					frames := new(keepFrames)
					if !whole {
						frames.err = errors.New("enough")
					}
					testutil.Equals(t, frames.err, c.Series(t.Context(), everything, frames))
					frames.release()
				}
				testutil.Ok(t, c.Close())
				r.GracefulStop()
				wg.Wait()
				testutil.Assert(t, client.get.Load() > 0 && server.get.Load() > 0)
				testutil.Equals(t, client.get.Load(), client.put.Load())
				if whole {
					testutil.Equals(t, server.get.Load(), server.put.Load())
				}
			})
		}
	}
}

func TestBufferPool(t *testing.T) {
	p := grpcstore.NewBufferPool()
	for _, n := range []int{0, 1, 4096, 4097, 1 << 16, 1<<16 + 1, 1 << 22, 1<<22 + 1, 5 << 20} {
		b := p.Get(n)
		testutil.Equals(t, n, len(*b))
		testutil.Assert(t, n > 1<<22 || cap(*b) <= max(4096, 2*n), "%d bytes for %d", cap(*b), n)
		p.Put(b)
	}
	for n := 1; n < math.MaxInt16; n = n*3 + 1 { // buffers of any size may come back
		b := make([]byte, n)
		p.Put(&b)
		testutil.Equals(t, n, len(*p.Get(n)))
	}
}
