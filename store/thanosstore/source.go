package thanosstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// Options say how Thanos' code is asked. The zero value, and nil, are good.
type Options struct {
	// Name is the store's name in errors; "thanos" if empty.
	Name string
	// BatchSize is the number of series asked for in one message; 64 if 0, no
	// batches if negative. Of one shard, single series are asked for in any case:
	// of members that do not shard, Thanos' proxy filters only those.
	BatchSize int
	// Info answers Describe. If nil, a server that is an infopb.InfoServer too
	// answers for itself, and so does a client with the methods that members of
	// Thanos' proxy have (LabelSets, TimeRange and so on); of others nothing is
	// known.
	Info func(ctx context.Context) (*infopb.InfoResponse, error)
}

// defaultBatchSize is what Thanos' querier asks for.
const defaultBatchSize = 64

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Name == "" {
		out.Name = "thanos"
	}
	if out.BatchSize == 0 {
		out.BatchSize = defaultBatchSize
	}
	return out
}

// FromServer makes a Store of a StoreServer of Thanos, which is called directly.
//
// The Store is a store.LabelQuerier and a store.Describer. The server may change
// what it sends once Send has returned, and may call Send from any goroutine
// until its method returns. Warnings and hints are passed on, each warning as a
// *store.Error.
//
// Errors: those of the writer are returned as they are, whatever the server
// makes of them, and panics are *store.PanicError. All others are *store.Error,
// and what grpcstore.Client returns for the same answer: store.ErrUnsorted,
// store.ErrMalformed, *store.EncodingError, the condition that a gRPC status
// stands for, the context's error once it has ended.
//
// Concurrency: as safe as the server, which is called once for each call.
//
// Cost: one copy of each message, two for a writer that wants plain series.
func FromServer(srv storepb.StoreServer, opts *Options) store.Store {
	o := opts.withDefaults()
	if s, ok := srv.(infopb.InfoServer); ok && o.Info == nil {
		o.Info = func(ctx context.Context) (*infopb.InfoResponse, error) { return s.Info(ctx, new(infopb.InfoRequest)) }
	}
	return newSource(server{srv}, o)
}

// FromClient makes a Store of a StoreClient of Thanos: of a connection, or of a
// member of its proxy. See FromServer; Send is Recv here.
//
// Over a connection, Thanos' messages are safe only with its own codec, which
// its package extgrpc installs process-wide, and the build tag slicelabels:
// gRPC's codec uses the memory again that they are views of. For a connection,
// use grpcstore.NewClient.
func FromClient(c storepb.StoreClient, opts *Options) store.Store {
	o := opts.withDefaults()
	if m, ok := c.(member); ok && o.Info == nil {
		o.Info = func(context.Context) (*infopb.InfoResponse, error) { return memberInfo(m), nil }
	}
	return newSource(client{c}, o)
}

// member is what a client of Thanos' proxy says of itself.
type member interface {
	LabelSets() []labels.Labels
	TimeRange() (mint, maxt int64)
	TSDBInfos() []infopb.TSDBInfo
	SupportsSharding() bool
	SupportsWithoutReplicaLabels() bool
}

func memberInfo(m member) *infopb.InfoResponse {
	mint, maxt := m.TimeRange()
	info := &infopb.InfoResponse{Store: &infopb.StoreInfo{
		MinTime: mint, MaxTime: maxt, TsdbInfos: m.TSDBInfos(),
		SupportsSharding: m.SupportsSharding(), SupportsWithoutReplicaLabels: m.SupportsWithoutReplicaLabels(),
	}}
	for _, lset := range m.LabelSets() {
		info.LabelSets = append(info.LabelSets, storepb.LabelSet{Labels: labelsToThanos(lset)})
	}
	return info
}

// caller is Thanos' code, however it is called. Responses are borrowed by send.
type caller interface {
	series(ctx context.Context, req *storepb.SeriesRequest, send func(*storepb.SeriesResponse) error) error
	labelNames(context.Context, *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error)
	labelValues(context.Context, *storepb.LabelValuesRequest) (*storepb.LabelValuesResponse, error)
}

type client struct{ storepb.StoreClient }

func (c client) series(ctx context.Context, req *storepb.SeriesRequest, send func(*storepb.SeriesResponse) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.Series(ctx, req)
	if err != nil {
		cancel()
		return err
	}
	// Over a connection the end of the context ends the call; in process Thanos
	// waits for CloseSend, which then lets the server run to its end.
	defer func() {
		cancel()
		if cerr := stream.CloseSend(); err == nil {
			err = cerr
		}
	}()
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(resp); err != nil {
			return err
		}
	}
}

func (c client) labelNames(ctx context.Context, req *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error) {
	return c.LabelNames(ctx, req)
}

func (c client) labelValues(ctx context.Context, req *storepb.LabelValuesRequest) (*storepb.LabelValuesResponse, error) {
	return c.LabelValues(ctx, req)
}

// source is Thanos' code as a Store.
type source struct {
	caller caller
	opts   Options
	frames sync.Pool // of *heldFrame
}

func newSource(c caller, o Options) store.Store {
	return store.Wrap(&source{caller: c, opts: o}, store.WithRecovery())
}

func (s *source) error(op string, err error) error {
	return &store.Error{Store: s.opts.Name, Op: op, Err: err}
}

func (s *source) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	batch := max(s.opts.BatchSize, 0)
	if req.Shard != nil {
		batch = 0
	}
	in, err := seriesRequestToThanos(req, batch)
	if err != nil {
		return s.error(opSeries, err)
	}
	r := &seriesReader{s: s, w: w, out: req.Outcome}
	err = s.caller.series(callContext(ctx, req.Tenant, req.Metadata), in, r.message)
	switch {
	case r.err != nil: // Thanos may have made a text of it, or nothing at all
		return r.err
	case err == nil && ctx.Err() != nil: // a server that was called directly may have just stopped
		return s.error(opSeries, ctx.Err())
	case err != nil:
		return s.error(opSeries, peer.FromStatus(ctx, err))
	}
	return nil
}

func (s *source) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	in := new(storepb.LabelNamesRequest)
	if err := toThanos(in, wire.AppendLabelNamesRequest(nil, req)); err != nil {
		return nil, s.error(opLabelNames, err)
	}
	resp, err := s.caller.labelNames(callContext(ctx, req.Tenant, req.Metadata), in)
	if err != nil {
		return nil, s.error(opLabelNames, peer.FromStatus(ctx, err))
	}
	return s.strings(opLabelNames, resp, req.Limit, req.Outcome)
}

func (s *source) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	in := new(storepb.LabelValuesRequest)
	if err := toThanos(in, wire.AppendLabelValuesRequest(nil, req)); err != nil {
		return nil, s.error(opLabelValues, err)
	}
	resp, err := s.caller.labelValues(callContext(ctx, req.Tenant, req.Metadata), in)
	if err != nil {
		return nil, s.error(opLabelValues, peer.FromStatus(ctx, err))
	}
	return s.strings(opLabelValues, resp, req.Limit, req.Outcome)
}

func (s *source) strings(op string, resp encodes, limit int, out *store.Outcome) ([]string, error) {
	answer, err := fromThanos(resp, wire.DecodeStrings)
	if err != nil {
		return nil, s.error(op, err)
	}
	for _, w := range answer.Warnings {
		out.AddWarning(s.error(op, peer.Warning(w)))
	}
	if answer.Hints != nil {
		out.AddHints(*answer.Hints)
	}
	// Thanos' stores differ in whether they sort, and in whether they know the
	// limit.
	slices.Sort(answer.Values)
	values := slices.Compact(answer.Values)
	if limit > 0 && len(values) > limit {
		values = values[:limit:limit]
	}
	return values, nil
}

func (s *source) Describe(ctx context.Context) (store.Info, error) {
	if s.opts.Info == nil {
		return store.Info{}, nil
	}
	resp, err := s.opts.Info(callContext(ctx, "", nil))
	if err != nil {
		return store.Info{}, s.error(opInfo, peer.FromStatus(ctx, err))
	}
	var apis wire.APIs
	info, err := fromThanos(resp, func(b []byte) (info *store.Info, err error) {
		info, apis, err = wire.DecodeInfo(b)
		return info, err
	})
	if err != nil {
		return store.Info{}, s.error(opInfo, err)
	}
	if !apis.Has(wire.StoreAPI) {
		return store.Info{}, s.error(opInfo, fmt.Errorf("%w: component %q has no StoreAPI", store.ErrUnavailable, info.Component))
	}
	return *info, nil
}
