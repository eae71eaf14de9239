package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"

	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// ClientOptions say how a peer is asked. The zero value, and nil, are good.
type ClientOptions struct {
	// Name is the store's name in errors and outcomes; the target if empty.
	Name string
	// BatchSize is the number of series that the peer may put into one message;
	// 64 if 0. A peer that knows no batches sends one in each.
	BatchSize int
	// Compression names the compressor of requests, which servers use for their
	// answers too; none if empty. The compressor must be registered: import
	// store/grpcstore/snappy for "snappy".
	Compression string
	// MaxRecvSize bounds the messages that are received, in bytes, after
	// decompression; 0 is unlimited. It also bounds the largest frame that a
	// fan-out has to hold.
	MaxRecvSize int
	// WindowSize is how many bytes the peer may send ahead of what was read, in
	// one call; 4 MiB if 0. It bounds what a reader that stalls makes gRPC hold, and
	// what a call can receive in a round trip: 40 MiB/s at 100 ms. gRPC by itself
	// would go up to 16 MiB. Less than 64 KiB is 64 KiB. Of use to Dial only.
	WindowSize int
	// Limits bound the answer to one Series call, and are enforced while it is
	// decoded. A series that is sent in parts counts once for each part; Bytes
	// is the size of the messages. Warnings and hints may take 16 MiB in any case.
	Limits store.Limits
	// DialOptions are further options for the connection that Dial makes:
	// transport credentials, interceptors, stats handlers. They win over its
	// own. Without credentials the connection is not encrypted; besides a
	// credentials bundle, grpc.WithTransportCredentials(nil) is needed.
	DialOptions []grpc.DialOption
}

const (
	defaultBatchSize  = 64 // what Thanos' querier asks for
	defaultWindowSize = 4 << 20
	maxWindowSize     = math.MaxInt32 // what HTTP/2 allows
)

func (o *ClientOptions) withDefaults(name string) (ClientOptions, error) {
	var out ClientOptions
	if o != nil {
		out = *o
	}
	if out.Name == "" {
		out.Name = name
	}
	var errs []error
	switch {
	case out.BatchSize < 0:
		errs = append(errs, fmt.Errorf("BatchSize is negative: %d", out.BatchSize))
	case out.BatchSize == 0:
		out.BatchSize = defaultBatchSize
	}
	switch {
	case out.MaxRecvSize < 0:
		errs = append(errs, fmt.Errorf("MaxRecvSize is negative: %d", out.MaxRecvSize))
	case out.MaxRecvSize == 0:
		out.MaxRecvSize = math.MaxInt32
	}
	switch {
	case out.WindowSize < 0 || out.WindowSize > maxWindowSize:
		errs = append(errs, fmt.Errorf("WindowSize is out of range: %d", out.WindowSize))
	case out.WindowSize == 0:
		out.WindowSize = defaultWindowSize
	}
	if c := out.Compression; c != "" && encoding.GetCompressor(c) == nil {
		errs = append(errs, fmt.Errorf("compressor %q is not registered", c))
	}
	return out, errors.Join(errs...)
}

// Client is a StoreAPI peer as a Store. It is safe for concurrent use.
type Client struct {
	cc     grpc.ClientConnInterface
	close  func() error // does nothing if the connection is not the client's
	opts   ClientOptions
	call   []grpc.CallOption
	pool   mem.BufferPool
	frames sync.Pool // of *heldFrame
}

var (
	_ store.Store        = (*Client)(nil)
	_ store.LabelQuerier = (*Client)(nil)
	_ store.Describer    = (*Client)(nil)
)

// Dial makes a Client of the peer at target, a gRPC target such as
// "host:port" or "dns:///name:port". It does not wait for a connection, which
// is made when it is first needed, and again whenever it was lost; attempts that
// fail are at most about 5 s apart.
//
// The connection pings the peer every 10 s while a call runs, and is given up
// if no answer comes within 5 s, as Thanos does it. It is not encrypted unless
// opts.DialOptions has credentials.
//
// Errors: if an option is out of range, or gRPC does not accept the target or
// the options.
func Dial(target string, opts *ClientOptions) (*Client, error) {
	o, err := opts.withDefaults(target)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	dial := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: pingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: connectTimeout}),
		grpc.WithStaticStreamWindowSize(int32(o.WindowSize)),
		grpc.WithStaticConnWindowSize(int32(min(4*o.WindowSize, math.MaxInt32))),
	}, o.DialOptions...)
	cc, err := grpc.NewClient(target, dial...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	c := newClient(cc, o)
	c.close = sync.OnceValue(cc.Close)
	return c, nil
}

const (
	pingInterval   = 10 * time.Second
	pingTimeout    = 5 * time.Second
	connectTimeout = 20 * time.Second
)

// reconnect is gRPC's default but for its end: two minutes are too long to go
// on without a store that is back.
var reconnect = backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}

// NewClient makes a Client of a connection that the caller has, and closes when
// the Client is not used any more. opts.DialOptions do not apply.
//
// Errors: if an option is out of range.
func NewClient(cc grpc.ClientConnInterface, name string, opts *ClientOptions) (*Client, error) {
	o, err := opts.withDefaults(name)
	if err != nil {
		return nil, fmt.Errorf("check client options: %w", err)
	}
	return newClient(cc, o), nil
}

func newClient(cc grpc.ClientConnInterface, o ClientOptions) *Client {
	c := &Client{cc: cc, opts: o, pool: new(bufferPool), close: func() error { return nil }}
	c.call = []grpc.CallOption{grpc.ForceCodecV2(newCodec()), grpc.MaxCallRecvMsgSize(o.MaxRecvSize), grpc.MaxCallSendMsgSize(math.MaxInt32)}
	if o.Compression != "" {
		c.call = append(c.call, grpc.UseCompressor(o.Compression))
	}
	return c
}

// Close closes the connection if Dial made it. Calls that are running fail with
// context.Canceled. Frames that are still held stay good.
func (c *Client) Close() error {
	return c.close()
}

// Name returns the store's name.
func (c *Client) Name() string { return c.opts.Name }

// LabelNames asks the peer for label names. See store.LabelQuerier, and Series
// for errors.
func (c *Client) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	ctx = peer.Metadata{Tenant: req.Tenant, More: req.Metadata, Receipt: req.Outcome != nil}.Outgoing(ctx)
	return c.strings(ctx, opLabelNames, methodLabelNames, wire.AppendLabelNamesRequest(nil, req), req.Limit, req.Outcome)
}

// LabelValues asks the peer for the values of a label. See store.LabelQuerier,
// and Series for errors.
func (c *Client) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	ctx = peer.Metadata{Tenant: req.Tenant, More: req.Metadata, Receipt: req.Outcome != nil}.Outgoing(ctx)
	return c.strings(ctx, opLabelValues, methodLabelValues, wire.AppendLabelValuesRequest(nil, req), req.Limit, req.Outcome)
}

func (c *Client) strings(ctx context.Context, op, method string, req []byte, limit int, out *store.Outcome) ([]string, error) {
	resp, err := c.invoke(ctx, method, req)
	if err != nil {
		return nil, c.error(op, err)
	}
	s, err := wire.DecodeStrings(resp)
	if err != nil {
		return nil, c.error(op, err)
	}
	for _, w := range s.Warnings {
		out.AddWarning(c.error(op, peer.Warning(w)))
	}
	if s.Hints != nil {
		if err := c.hints(op, *s.Hints, out); err != nil {
			return nil, err
		}
	}
	// Peers differ in whether they sort, and in whether they know the limit.
	values := s.Values
	if !slices.IsSorted(values) {
		slices.Sort(values)
	}
	values = slices.Compact(values)
	if limit > 0 && len(values) > limit {
		values = values[:limit:limit]
	}
	return values, nil
}

// Describe asks the peer for its Info. See Series for errors; one that has no
// StoreAPI is store.ErrUnavailable.
func (c *Client) Describe(ctx context.Context) (store.Info, error) {
	resp, err := c.invoke(peer.Metadata{}.Outgoing(ctx), methodInfo, nil)
	if err != nil {
		return store.Info{}, c.error(opInfo, err)
	}
	info, apis, err := wire.DecodeInfo(resp)
	if err != nil {
		return store.Info{}, c.error(opInfo, err)
	}
	if !apis.Has(wire.StoreAPI) {
		return store.Info{}, c.error(opInfo, fmt.Errorf("%w: peer %q has no StoreAPI", store.ErrUnavailable, info.Component))
	}
	return *info, nil
}

// invoke makes a unary call.
func (c *Client) invoke(ctx context.Context, method string, req []byte) ([]byte, error) {
	var resp message
	if err := c.cc.Invoke(ctx, method, &message{b: req}, &resp, c.call...); err != nil {
		return nil, peer.FromStatus(ctx, err)
	}
	return resp.b, nil
}

func (c *Client) error(op string, err error) error {
	return &store.Error{Store: c.opts.Name, Op: op, Err: err}
}
