package selecting_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	uberatomic "go.uber.org/atomic"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"

	"github.com/thanos-io/thanos/pkg/component"
	_ "github.com/thanos-io/thanos/pkg/extgrpc" // the codec, without which messages of Thanos' change after they were read
	thanosquery "github.com/thanos-io/thanos/pkg/query"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"
	storetestutil "github.com/thanos-io/thanos/pkg/store/storepb/testutil"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

const batch = 64 // series in a message

// peer is a StoreServer of Thanos' that has one replica. Its answers are made
// beforehand, as cheap as can be.
type peer struct {
	storepb.StoreServer
	full, stripped []*storepb.SeriesResponse
}

func newPeer(r *replica) *peer {
	return &peer{full: messages(r.series), stripped: messages(r.without())}
}

func messages(ss []*store.Series) (out []*storepb.SeriesResponse) {
	for len(ss) > 0 {
		n := min(batch, len(ss))
		var b []*storepb.Series
		for _, s := range ss[:n] {
			p := &storepb.Series{Labels: labelpb.ZLabelsFromPromLabels(s.Labels)}
			for _, c := range s.Chunks {
				p.Chunks = append(p.Chunks, storepb.AggrChunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: &storepb.Chunk{Data: c.Raw.Bytes}})
			}
			b = append(b, p)
		}
		out, ss = append(out, storepb.NewBatchResponse(b)), ss[n:]
	}
	return out
}

func (p *peer) Series(req *storepb.SeriesRequest, srv storepb.Store_SeriesServer) error {
	ms := p.full
	if len(req.WithoutReplicaLabels) > 0 {
		ms = p.stripped
	}
	for _, m := range ms {
		if err := srv.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// member is the same as a Store.
type member struct{ full, stripped []*encoded.Frame }

func newMember(r *replica) *member { return &member{frames(r.series), frames(r.without())} }

func frames(ss []*store.Series) (out []*encoded.Frame) {
	for len(ss) > 0 {
		n := min(batch, len(ss))
		f := encoded.NewFrame(nil)
		for _, s := range ss[:n] {
			v, _ := wire.View(nil, s)
			f.Series = append(f.Series, v)
		}
		out, ss = append(out, f), ss[n:]
	}
	return out
}

func (m *member) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	fs := m.full
	if len(req.WithoutReplicaLabels) > 0 {
		fs = m.stripped
	}
	for _, f := range fs {
		if err := wire.Send(w, f); err != nil {
			return err
		}
	}
	return nil
}

func (*member) Describe(context.Context) (store.Info, error) {
	return store.Info{MaxTime: math.MaxInt64, SupportsWithoutReplicaLabels: true}, nil
}

// serve runs a gRPC server until the test ends.
func serve(t testing.TB, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); wg.Wait() })
	return l.Addr().String()
}

func serveOurs(t testing.TB, s store.Store) string {
	srv := grpc.NewServer(grpcstore.GRPCServerOptions(nil)...)
	testutil.Ok(t, grpcstore.Register(srv, s, nil))
	return serve(t, srv)
}

func serveThanos(t testing.TB, s storepb.StoreServer) string {
	srv := grpc.NewServer(grpc.MaxSendMsgSize(math.MaxInt32), grpc.MaxRecvMsgSize(math.MaxInt32))
	storepb.RegisterStoreServer(srv, s)
	return serve(t, srv)
}

// counted counts what a client receives.
type counted struct{ bytes atomic.Int64 }

func (*counted) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*counted) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*counted) HandleConn(context.Context, stats.ConnStats)                       {}
func (c *counted) HandleRPC(_ context.Context, s stats.RPCStats) {
	if p, ok := s.(*stats.InPayload); ok {
		c.bytes.Add(int64(p.WireLength))
	}
}

func dialOurs(t testing.TB, addr string, c *counted) store.Store {
	opts := &grpcstore.ClientOptions{BatchSize: batch}
	if c != nil {
		opts.DialOptions = []grpc.DialOption{grpc.WithStatsHandler(c), grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	client, err := grpcstore.Dial(addr, opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, client.Close()) })
	return client
}

func dialThanos(t testing.TB, addr string) storepb.StoreClient {
	cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, cc.Close()) })
	return storepb.NewStoreClient(cc)
}

func inProcess(p storepb.StoreServer) storepb.StoreClient {
	return storepb.ServerAsClient(p, uberatomic.Bool{})
}

// proxyOver is Thanos' proxy over clients.
func proxyOver(clients []storepb.StoreClient) *thanosstore.ProxyStore {
	cs := make([]thanosstore.Client, len(clients))
	for i, c := range clients {
		cs[i] = storetestutil.TestClient{StoreClient: c, Name: fmt.Sprint(i), MaxTime: math.MaxInt64, WithoutReplicaLabelsEnabled: true}
	}
	return thanosstore.NewProxyStore(nil, nil, func() []thanosstore.Client { return cs }, component.Query, labels.EmptyLabels(), 0, thanosstore.EagerRetrieval)
}

// thanosOver is Thanos' querier over clients, with its default deduplication.
func thanosOver(clients []storepb.StoreClient) storage.Queryable {
	create := thanosquery.NewQueryableCreator(nil, nil, proxyOver(clients), 4, time.Minute, dedup.Penalty{}.String(), batch)
	return create(true, []string{"replica"}, nil, 0, true, false, nil, thanosquery.NoopSeriesStatsReporter)
}

// fanOver is our fan-out over Stores.
func fanOver(t testing.TB, stores []store.Store) store.Store {
	ms := make([]fanout.Member, len(stores))
	for i, s := range stores {
		ms[i] = fanout.Member{Name: fmt.Sprint(i), Store: s, Strict: true}
	}
	f, err := fanout.New(fanout.Static(ms...), nil)
	testutil.Ok(t, err)
	return f
}

// oursOver is our querier over a Store, with its default deduplication.
func oursOver(t testing.TB, s store.Store, opts *query.QueryOptions) storage.Queryable {
	q, err := query.New(s, &query.Options{ReplicaLabels: []string{"replica"}})
	testutil.Ok(t, err)
	return q.Queryable(opts)
}
