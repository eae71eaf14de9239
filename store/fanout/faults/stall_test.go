package faults_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// framed sends each series as a frame.
type framed struct{ *synthetic }

func (f framed) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	return f.synthetic.Series(ctx, req, framing{w})
}

type framing struct{ store.SeriesWriter }

func (w framing) Send(s *store.Series) error {
	f := encoded.NewFrame(nil)
	defer f.Release()
	v, _ := wire.View(nil, s)
	f.Series, f.Size = append(f.Series, v), v.Size()
	return wire.Send(w.SeriesWriter, f)
}

// TestLiveHeapWithAStalledReader: members that send without end fill the buffer
// budget and one frame each, and no more than that is alive, whenever the reader
// stalls. The rest of the bound is what the ways to the members take.
func TestLiveHeapWithAStalledReader(t *testing.T) {
	const (
		budget = 8 << 20
		plain  = 128 << 10 // of frames that are made of plain series, and of messages
		window = 256 << 10
	)
	static := []grpc.DialOption{grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window)}
	overGRPC := func(opts ...grpc.DialOption) func(testing.TB, *synthetic) remote {
		return func(t testing.TB, s *synthetic) remote { return overMemory(t, s, opts...) }
	}
	for name, tc := range map[string]struct {
		members, chunk, perSeries int
		frame                     int64
		to                        func(t testing.TB, s *synthetic) remote
		way                       int64 // of each member
	}{
		"frames":       {20, 64 << 10, 4, 256 << 10, func(_ testing.TB, s *synthetic) remote { return framed{s} }, 0},
		"plain series": {20, 1 << 10, 4, 4 << 10, func(_ testing.TB, s *synthetic) remote { return s }, plain},
		"gRPC":         {20, 4 << 10, 4, plain, overGRPC(static...), window + 2*plain + buffers},
		// A message of one series is in a buffer of the next power of two, at the sender
		// as here, and the sender has the series itself.
		"gRPC, large series": {8, 64 << 10, 8, 1 << 20, overGRPC(static...), window + 3<<20 + buffers},
		"gRPC, its windows":  {8, 64 << 10, 8, 1 << 20, overGRPC(), maxWindow + 3<<20 + buffers},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := liveHeap()
				var all []fanout.Member
				for i := range tc.members {
					s := &synthetic{cluster: clusterOf(i), chunk: tc.chunk, perSeries: tc.perSeries}
					all = append(all, fanout.Member{Name: s.cluster, Store: tc.to(t, s)})
				}
				r := fanWith(t, fanout.Options{BufferBytes: budget}, all...)
				ctx, cancel := context.WithCancel(t.Context())
				resume, done := make(chan int), make(chan error, 1)
				frames := 0
				reads := &sink{onFrame: func() error {
					for frames == 0 {
						select {
						case frames = <-resume:
						case <-ctx.Done():
							return ctx.Err()
						}
					}
					frames--
					return nil
				}}
				go func() { done <- r.Series(ctx, everything(), reads) }()
				bound := budget + int64(tc.members)*(tc.frame+tc.way) + constantHeap
				var most int64
				for range 5 {
					synctest.Wait() // whoever can get on has
					buffered := gauge(t, r.reg, "thanoskit_fanout_buffered_bytes")
					testutil.Assert(t, buffered > budget/2, "only %v bytes are buffered: the budget is not used", buffered)
					testutil.Assert(t, buffered <= budget, "%v bytes are buffered", buffered)
					alive := liveHeap() - before
					testutil.Assert(t, alive <= bound, "%d bytes are alive, the bound is %d", alive, bound)
					most = max(most, alive)
					resume <- 20
				}
				cancel()
				testutil.Equals(t, context.Canceled, <-done)
				r.leavesNothing(t)
				t.Logf("%.1f MiB alive at most; budget %d MiB, %d members with frames of %d KiB, bound %.1f MiB",
					float64(most)/(1<<20), budget>>20, tc.members, tc.frame>>10, float64(bound)/(1<<20))
			})
		})
	}
}
