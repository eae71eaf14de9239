package storetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// onSend is a writer that does something else in Send.
type onSend struct {
	store.SeriesWriter
	send func(s *store.Series) error
}

func (w *onSend) Send(s *store.Series) error { return w.send(s) }

// written makes a twin that writes otherwise. The function that it is made by is
// called for each call.
func written(write func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter, stop <-chan struct{}) (send func(*store.Series) error, end func(error) error)) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(_ *testing.T, s store.Store, _ *Fixture, stop <-chan struct{}) store.Store {
		return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			send, end := write(ctx, req, w, stop)
			return end(s.Series(ctx, req, &onSend{w, send}))
		}}
	}
}

func asIs(err error) error { return err }

func callTwins() []twin {
	type sender = func(*store.Series) error
	type ender = func(error) error
	return []twin{
		{check: "send-error", wrong: "returns no error", make: written(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter, _ <-chan struct{}) (sender, ender) {
			refused := false
			return func(s *store.Series) error {
					err := w.Send(s)
					refused = refused || err != nil
					return err
				}, func(err error) error {
					if refused {
						return nil
					}
					return err
				}
		})},
		{check: "send-error", wrong: "goes on", make: written(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter, _ <-chan struct{}) (sender, ender) {
			var last error
			return func(s *store.Series) error { last = cmp.Or(w.Send(s), last); return nil },
				func(err error) error { return cmp.Or(err, last) }
		})},
		{check: checkPrompt, wrong: "waits for its database", make: written(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter, stop <-chan struct{}) (sender, ender) {
			return func(s *store.Series) error {
				err := w.Send(s)
				if ctx.Err() != nil {
					<-stop
				}
				return err
			}, asIs
		})},
		{check: "cancellation", wrong: "takes it for the end", make: written(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter, _ <-chan struct{}) (sender, ender) {
			return w.Send, func(err error) error {
				if errors.Is(err, ctx.Err()) {
					err = nil
				}
				return err
			}
		})},
		{check: "cancellation", wrong: "has an error of its own", make: written(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter, _ <-chan struct{}) (sender, ender) {
			return w.Send, func(err error) error {
				if ctx.Err() != nil {
					return errors.New("query interrupted")
				}
				return err
			}
		})},
		{check: "goroutines", wrong: "leaves one behind if it was canceled", make: written(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter, stop <-chan struct{}) (sender, ender) {
			return w.Send, func(err error) error {
				if ctx.Err() != nil {
					go func() { <-stop }()
				}
				return err
			}
		})},
		{check: "one-send-at-a-time", unsent: true, wrong: "sends parts side by side", make: written(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter, _ <-chan struct{}) (sender, ender) {
			return func(s *store.Series) error {
				if len(s.Chunks) < 2 {
					return w.Send(s)
				}
				part := &store.Series{Labels: s.Labels, Chunks: s.Chunks[1:]}
				s.Chunks = s.Chunks[:1]
				var errs [2]error
				var both sync.WaitGroup
				both.Go(func() { errs[0] = w.Send(s) })
				both.Go(func() { errs[1] = w.Send(part) })
				both.Wait()
				return cmp.Or(errs[0], errs[1])
			}, asIs
		})},
		{check: "slow-consumer", wrong: "has no patience", make: written(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter, _ <-chan struct{}) (sender, ender) {
			n := 0
			return func(s *store.Series) error {
				start := time.Now()
				err := w.Send(s)
				if n++; n > 1 && time.Since(start) > 190*time.Millisecond {
					return errors.New("reader is too slow")
				}
				return err
			}, asIs
		})},
		{check: "concurrent-calls", wrong: "has one cursor", make: func(t *testing.T, s store.Store, f *Fixture, stop <-chan struct{}) store.Store {
			var calls atomic.Int32
			return written(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter, _ <-chan struct{}) (sender, ender) {
				calls.Add(1)
				n := 0
				return func(s *store.Series) error {
					if n++; n > 1 && calls.Load() > 1 {
						return nil // somebody else's
					}
					return w.Send(s)
				}, func(err error) error { calls.Add(-1); return err }
			})(t, s, f, stop)
		}},
		{check: "request-unchanged", wrong: "sorts matchers", make: func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
			return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				slices.SortFunc(req.Matchers, func(a, b *labels.Matcher) int { return cmp.Compare(a.Name, b.Name) })
				return s.Series(ctx, req, w)
			}}
		}},
		{check: "request-unchanged", wrong: "uses up replica labels", make: func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
			return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				slices.Sort(req.WithoutReplicaLabels)
				return s.Series(ctx, req, w)
			}}
		}},
		{check: "ownership", wrong: "sends what it keeps", make: func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
			var mu sync.Mutex
			cache := map[string][]*store.Series{}
			return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				mu.Lock()
				ss, ok := cache[describeRequest(req)]
				mu.Unlock()
				if !ok {
					var err error
					if ss, err = readAll(ctx, s, req); err != nil {
						return err
					}
					mu.Lock()
					cache[describeRequest(req)] = ss
					mu.Unlock()
				}
				for _, x := range ss {
					if err := ctx.Err(); err != nil {
						return err
					}
					if err := w.Send(&store.Series{Labels: x.Labels, Chunks: x.Chunks}); err != nil {
						return err
					}
				}
				return nil
			}}
		}},
		{check: "ownership", wrong: "uses buffers again", make: written(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter, _ <-chan struct{}) (sender, ender) {
			return func(s *store.Series) error {
				sent := &store.Series{Labels: s.Labels, Chunks: s.Chunks}
				err := w.Send(sent)
				for _, c := range s.Chunks {
					clear(c.Raw.Bytes)
				}
				return err
			}, asIs
		})},
	}
}

// wiretap is a connection that alters messages.
type wiretap struct {
	grpc.ClientConnInterface
	request func(b []byte) []byte
	drop    func(n int) bool // the n-th message of an answer
}

func (w wiretap) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := w.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	return &tapped{ClientStream: s, tap: w}, err
}

type tapped struct {
	grpc.ClientStream
	tap wiretap
	n   int
}

func (s *tapped) SendMsg(m any) error {
	if raw := m.(*rawMessage); s.tap.request != nil {
		raw.b = s.tap.request(raw.b)
	}
	return s.ClientStream.SendMsg(m)
}

func (s *tapped) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if s.n++; err == nil && s.tap.drop != nil && s.tap.drop(s.n) {
		return s.RecvMsg(m)
	}
	return err
}

func wireTwins() []twin {
	batched := func(n uint64) func(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
		return func(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
			return wiretap{ClientConnInterface: conn, request: func(b []byte) []byte { // the last of a field counts
				return protowire.AppendVarint(protowire.AppendTag(b, 16, protowire.VarintType), n)
			}}
		}
	}
	return []twin{
		{check: "batches", wrong: "loses a message", conn: func(conn grpc.ClientConnInterface) grpc.ClientConnInterface {
			return wiretap{ClientConnInterface: conn, drop: func(n int) bool { return n == 2 }}
		}},
		{check: "batch-sizes", wrong: "has a size of its own", conn: batched(50)},
		{check: "batch-sizes", wrong: "always sends batches", conn: batched(2)},
	}
}
