package thanosstore

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/store"
)

// Client is a Store as a member of Thanos' proxy, in process: it has all methods
// of the interface Client in Thanos' package store, and of storepb.StoreClient.
// It is safe for concurrent use.
type Client struct {
	name   string
	store  store.Store
	server *Server

	mu   sync.RWMutex
	info infopb.InfoResponse
	sets []labels.Labels
}

var _ storepb.StoreClient = (*Client)(nil)

// NewClient makes a Client of s. Until the first Sync it is known under its name
// only, as a store that may hold anything and can do nothing of what is optional.
// See NewServer for the options.
func NewClient(name string, s store.Store, opts *ServerOptions) *Client {
	c := &Client{name: name, store: s, server: NewServer(s, opts)}
	c.info.Store = &infopb.StoreInfo{MinTime: math.MinInt64, MaxTime: math.MaxInt64}
	return c
}

// Sync asks the Store for its Info, by which Thanos' proxy decides whether to ask
// the Client, as it does by what it hears from other members every few seconds.
// If the Store cannot say, what it said last holds on.
//
// Errors: the gRPC status of the Store's.
func (c *Client) Sync(ctx context.Context) error {
	resp, err := c.server.Info(ctx, new(infopb.InfoRequest))
	if err != nil {
		return err
	}
	var sets []labels.Labels
	for _, set := range resp.LabelSets {
		sets = append(sets, labelsFromThanos(set.Labels))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info, c.sets = *resp, sets
	return nil
}

// labelsFromThanos rebuilds a label set that is sorted.
func labelsFromThanos(lset []storepb.Label) labels.Labels {
	sb := labels.NewScratchBuilder(len(lset))
	for _, l := range lset {
		sb.Add(l.Name, l.Value)
	}
	return sb.Labels()
}

// LabelSets returns the external label sets of the last Sync.
func (c *Client) LabelSets() []labels.Labels {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.sets
}

func (c *Client) storeInfo() *infopb.StoreInfo {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.info.Store
}

// TimeRange returns the bounds of the data, of the last Sync, in milliseconds,
// both inclusive.
func (c *Client) TimeRange() (mint, maxt int64) {
	i := c.storeInfo()
	return i.MinTime, i.MaxTime
}

// TSDBInfos returns what the last Sync found of the TSDBs behind the Store.
func (c *Client) TSDBInfos() []infopb.TSDBInfo { return c.storeInfo().TsdbInfos }

// SupportsSharding reports whether the Store announced it.
func (c *Client) SupportsSharding() bool { return c.storeInfo().SupportsSharding }

// SupportsWithoutReplicaLabels reports whether the Store announced it.
func (c *Client) SupportsWithoutReplicaLabels() bool {
	return c.storeInfo().SupportsWithoutReplicaLabels
}

// String returns the name.
func (c *Client) String() string { return c.name }

// Addr returns the name, and that there is no connection.
func (c *Client) Addr() (addr string, isLocalClient bool) { return c.name, true }

// Matches reports whether the Store may hold the metric that the matchers ask
// for by its exact name.
func (c *Client) Matches(ms []*labels.Matcher) bool {
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual && !store.MayHoldMetric(c.store, m.Value) {
			return false
		}
	}
	return true
}

// LabelNames asks the Store for label names. Call options mean nothing.
func (c *Client) LabelNames(ctx context.Context, r *storepb.LabelNamesRequest, _ ...grpc.CallOption) (*storepb.LabelNamesResponse, error) {
	return c.server.LabelNames(received(ctx), r)
}

// LabelValues asks the Store for the values of a label. Call options mean
// nothing.
func (c *Client) LabelValues(ctx context.Context, r *storepb.LabelValuesRequest, _ ...grpc.CallOption) (*storepb.LabelValuesResponse, error) {
	return c.server.LabelValues(received(ctx), r)
}

// received returns the context of a call as a server has it: what was outgoing
// is incoming.
func received(ctx context.Context) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		md = metadata.MD{}
	}
	return metadata.NewIncomingContext(metadata.NewOutgoingContext(ctx, metadata.MD{}), md)
}

// Series asks the Store for series, and holds one message until Recv takes it.
// As with a connection, the call goes on until Recv has returned an error or the
// context has ended. CloseSend, which Thanos' proxy calls when it is done, ends
// it too, and waits for that. Call options mean nothing.
func (c *Client) Series(ctx context.Context, r *storepb.SeriesRequest, _ ...grpc.CallOption) (storepb.Store_SeriesClient, error) {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	l := &localStream{caller: caller, ctx: ctx, cancel: cancel, messages: make(chan *storepb.SeriesResponse), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer cancel()
		stream := &serverStream{ctx: received(ctx), cancel: cancel, send: l.send}
		l.err = c.server.Series(r, stream) //nolint:contextcheck // The stream has it.
	}()
	return l, nil
}

// localStream is the two ends of a call between goroutines.
type localStream struct {
	caller   context.Context // of who receives
	ctx      context.Context // of the call
	cancel   context.CancelFunc
	messages chan *storepb.SeriesResponse

	done chan struct{}
	err  error // of the server, once done is closed
}

func (l *localStream) send(m *storepb.SeriesResponse) error {
	select {
	case l.messages <- m:
		return nil
	case <-l.ctx.Done():
		return peer.Status(l.ctx.Err())
	}
}

// Recv returns the next message; at the end io.EOF or the server's error. Once
// the caller's context has ended it does not wait for a Store that heeds nothing,
// nor take for whole what one sent that then just stopped.
func (l *localStream) Recv() (*storepb.SeriesResponse, error) {
	select {
	case m := <-l.messages:
		return m, nil
	case <-l.caller.Done():
		return nil, peer.Status(l.caller.Err())
	case <-l.done:
	}
	switch {
	case l.err != nil:
		return nil, l.err
	case l.caller.Err() != nil:
		return nil, peer.Status(l.caller.Err())
	}
	return nil, io.EOF
}

func (l *localStream) CloseSend() error {
	l.cancel()
	<-l.done
	return nil
}

func (l *localStream) Context() context.Context { return l.ctx }

// There are no headers and trailers.

func (l *localStream) Header() (metadata.MD, error) { return metadata.MD{}, nil }
func (l *localStream) Trailer() metadata.MD         { return metadata.MD{} }

// SendMsg refuses: the request was sent with the call.
func (l *localStream) SendMsg(m any) error { return fmt.Errorf("send %T: call has its request", m) }

// RecvMsg is Recv into a message of any type.
func (l *localStream) RecvMsg(m any) error {
	out, ok := m.(*storepb.SeriesResponse)
	if !ok {
		return fmt.Errorf("receive %T: not a response to a series request", m)
	}
	resp, err := l.Recv()
	if err != nil {
		return err
	}
	*out = *resp
	return nil
}
