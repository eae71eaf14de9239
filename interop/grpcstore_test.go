package interop

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	gogoproto "github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/thanos-io/thanos/pkg/component"
	_ "github.com/thanos-io/thanos/pkg/extgrpc" // Thanos' codec, without which its messages are not safe
	"github.com/thanos-io/thanos/pkg/extgrpc/snappy"
	thanosinfo "github.com/thanos-io/thanos/pkg/info"
	"github.com/thanos-io/thanos/pkg/info/infopb"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	_ "github.com/thanoskit/thanoskit/store/grpcstore/snappy" // as a program would; gRPC keeps one of the two
)

// Peers in one process: Thanos' client on our server, and our client on
// Thanos' servers.

// grpcServe serves on loopback until the test ends and returns the address.
func grpcServe(t testing.TB, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); wg.Wait() })
	return l.Addr().String()
}

// grpcConn connects as Thanos' components do.
func grpcConn(t testing.TB, addr string, compression string) *grpc.ClientConn {
	t.Helper()
	call := []grpc.CallOption{grpc.MaxCallRecvMsgSize(math.MaxInt32)}
	if compression != "" {
		call = append(call, grpc.UseCompressor(compression))
	}
	cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(call...))
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, cc.Close()) })
	return cc
}

// ourServers are the two kinds of server that a Store of ours may be on.
func ourServers() map[string][]grpc.ServerOption {
	return map[string][]grpc.ServerOption{
		"our options": grpcstore.GRPCServerOptions(nil),
		"plain":       {grpc.MaxSendMsgSize(math.MaxInt32)},
	}
}

// ourServer serves s and returns the address.
func ourServer(t testing.TB, s store.Store, gopts []grpc.ServerOption) string {
	t.Helper()
	srv := grpc.NewServer(gopts...)
	testutil.Ok(t, grpcstore.Register(srv, s, nil))
	return grpcServe(t, srv)
}

func ourClient(t testing.TB, addr string, opts *grpcstore.ClientOptions) *grpcstore.Client {
	t.Helper()
	c, err := grpcstore.Dial(addr, opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return c
}

// seriesAnswer is what came of a Series call, series and chunks as text.
type seriesAnswer struct {
	Series, Warnings, Hints []string
	Messages                int
}

func (a *seriesAnswer) Send(s *store.Series) error {
	text := s.Labels.String()
	for _, c := range s.Chunks {
		text += fmt.Sprintf(" [%d..%d", c.MinTime, c.MaxTime)
		data := []store.ChunkData{c.Raw}
		if g := c.Aggregated; g != nil {
			data = append(data, g.Count, g.Sum, g.Min, g.Max, g.Counter)
		}
		for i, d := range data {
			if !d.IsZero() {
				text += fmt.Sprintf(" %d:%s:%x", i, d.Encoding, d.Bytes)
			}
		}
		text += "]"
	}
	a.Series = append(a.Series, text)
	return nil
}

func (a *seriesAnswer) Warn(err error) error {
	if e, ok := errors.AsType[*store.Error](err); ok {
		err = e.Err
	}
	a.Warnings = append(a.Warnings, err.Error())
	return nil
}

// thanosAnswer reads a whole answer with Thanos' client.
func thanosAnswer(t testing.TB, cc *grpc.ClientConn, req *storepb.SeriesRequest) (*seriesAnswer, error) {
	t.Helper()
	stream, err := storepb.NewStoreClient(cc).Series(t.Context(), req)
	testutil.Ok(t, err)
	out := &seriesAnswer{}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out.Messages++
		var series []*storepb.Series
		switch r := resp.Result.(type) {
		case *storepb.SeriesResponse_Series:
			series = append(series, r.Series)
		case *storepb.SeriesResponse_Batch:
			series = append(series, r.Batch.Series...)
		case *storepb.SeriesResponse_Warning:
			out.Warnings = append(out.Warnings, r.Warning)
		case *storepb.SeriesResponse_Hints:
			out.Hints = append(out.Hints, r.Hints.TypeUrl+string(r.Hints.Value))
		}
		for _, s := range series {
			testutil.Ok(t, out.Send(seriesOfThanos(s)))
		}
	}
}

// seriesOfThanos translates without the help of our codec.
func seriesOfThanos(in *storepb.Series) *store.Series {
	out := &store.Series{Labels: labelpb.ZLabelsToPromLabels(in.Labels)}
	data := func(c *storepb.Chunk) store.ChunkData {
		if c == nil {
			return store.ChunkData{}
		}
		return store.ChunkData{Encoding: chunkenc.Encoding(c.Type + 1), Bytes: c.Data}
	}
	for _, c := range in.Chunks {
		chunk := store.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: data(c.Raw)}
		if c.Count != nil || c.Sum != nil || c.Min != nil || c.Max != nil || c.Counter != nil {
			chunk.Aggregated = &store.AggregatedChunk{Count: data(c.Count), Sum: data(c.Sum), Min: data(c.Min), Max: data(c.Max), Counter: data(c.Counter)}
		}
		out.Chunks = append(out.Chunks, chunk)
	}
	return out
}

// ourAnswerOf reads a whole answer with our client.
func ourAnswerOf(t testing.TB, c store.Store, req *store.SeriesRequest) (*seriesAnswer, error) {
	t.Helper()
	out := &seriesAnswer{}
	r := *req
	r.Outcome = new(store.Outcome)
	err := c.Series(t.Context(), &r, out)
	for _, h := range r.Outcome.Hints() {
		out.Hints = append(out.Hints, h.TypeURL+string(h.Value))
	}
	return out, err
}

// thanosSeries has every kind of chunk.
func thanosSeries() []*storepb.Series {
	xor := func(s string) *storepb.Chunk { return &storepb.Chunk{Data: []byte(s), Hash: 7} }
	lset := func(kv ...string) []labelpb.ZLabel { return labelpb.ZLabelsFromPromLabels(labels.FromStrings(kv...)) }
	out := kubeSeries(150)
	return append(out,
		&storepb.Series{Labels: lset("__name__", "i", "ütf", "wërt")},
		&storepb.Series{Labels: lset("__name__", "j"), Chunks: []storepb.AggrChunk{
			{MinTime: -5, MaxTime: 7, Raw: xor("xor")},
			{MinTime: 8, MaxTime: 9, Raw: &storepb.Chunk{Type: storepb.Chunk_HISTOGRAM, Data: []byte("h")}},
			{MinTime: math.MinInt64, MaxTime: math.MaxInt64, Raw: &storepb.Chunk{Type: storepb.Chunk_FLOAT_HISTOGRAM, Data: []byte("fh")}},
		}},
		&storepb.Series{Labels: lset("__name__", "k"), Chunks: []storepb.AggrChunk{
			{MinTime: 1, MaxTime: 2, Count: xor("count"), Counter: xor("counter")},
			{MinTime: 1, MaxTime: 2, Sum: xor("sum"), Min: xor("min"), Max: xor("max")},
		}},
		&storepb.Series{Labels: lset("__name__", "k"), Chunks: []storepb.AggrChunk{{MinTime: 3, MaxTime: 4, Raw: xor("more of k")}}},
	)
}

func answerOfThanosSeries(t testing.TB) *seriesAnswer {
	t.Helper()
	want := &seriesAnswer{}
	for _, s := range thanosSeries() {
		testutil.Ok(t, want.Send(seriesOfThanos(s)))
	}
	return want
}

func requireAnswer(t testing.TB, want, got *seriesAnswer) {
	t.Helper()
	want.Messages, got.Messages = 0, 0
	testutil.Equals(t, "", cmp.Diff(want, got))
}

// ourPeer is a Store that answers what thanosSeries says, and records requests.
type ourPeer struct {
	t      testing.TB
	series *store.SeriesRequest
	names  *store.LabelNamesRequest
	values *store.LabelValuesRequest
	err    error
}

func (p *ourPeer) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	p.series = req
	for _, s := range thanosSeries() {
		if err := w.Send(seriesOfThanos(s)); err != nil {
			return err
		}
	}
	req.Outcome.AddHints(store.Any{TypeURL: "type", Value: []byte("value")})
	if err := w.Warn(errors.New("something is missing")); err != nil {
		return err
	}
	return p.err
}

func (p *ourPeer) LabelNames(_ context.Context, req *store.LabelNamesRequest) ([]string, error) {
	p.names = req
	req.Outcome.AddWarning(errors.New("names are missing"))
	req.Outcome.AddHints(store.Any{TypeURL: "type", Value: []byte("value")})
	return []string{"a", "ü"}, p.err
}

func (p *ourPeer) LabelValues(_ context.Context, req *store.LabelValuesRequest) ([]string, error) {
	p.values = req
	req.Outcome.AddWarning(errors.New("values are missing"))
	req.Outcome.AddHints(store.Any{TypeURL: "type", Value: []byte("value")})
	return []string{"", "x"}, p.err
}

func (p *ourPeer) Describe(context.Context) (store.Info, error) {
	lset := labels.FromStrings("cluster", "eu", "replica", "a")
	return store.Info{
		Component: "store", LabelSets: []labels.Labels{lset, labels.FromStrings("cluster", "us")}, MinTime: -5, MaxTime: math.MaxInt64,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true, TSDBs: []store.TSDBInfo{{Labels: lset, MinTime: 1, MaxTime: 2}},
	}, p.err
}

func TestGRPCStoreThanosClientOnOurServer(t *testing.T) {
	matchers := []storepb.LabelMatcher{
		{Type: storepb.LabelMatcher_EQ, Name: "a", Value: "b"}, {Type: storepb.LabelMatcher_NEQ, Name: "c", Value: ""},
		{Type: storepb.LabelMatcher_RE, Name: "d", Value: "x|y.*"}, {Type: storepb.LabelMatcher_NRE, Name: "e", Value: "z"},
	}
	const ourMatchers = `{a="b",c!="",d=~"x|y.*",e!~"z"}`
	hints := &types.Any{TypeUrl: "h", Value: []byte("v")}
	for kind, gopts := range ourServers() {
		for _, compression := range []string{"", snappy.Name} {
			t.Run(kind+"/"+compression, func(t *testing.T) {
				p := &ourPeer{t: t}
				cc := grpcConn(t, ourServer(t, p, gopts), compression)
				want := answerOfThanosSeries(t)
				want.Warnings, want.Hints = []string{"something is missing"}, []string{"typevalue"}
				for batch, messages := range map[int64]int{0: 154, 1: 154, 2: 77, 64: 3} {
					got, err := thanosAnswer(t, cc, &storepb.SeriesRequest{MinTime: 1, MaxTime: 2, ResponseBatchSize: batch})
					testutil.Ok(t, err)
					testutil.Equals(t, messages+2, got.Messages)
					requireAnswer(t, want, got)
				}

				_, err := thanosAnswer(t, cc, &storepb.SeriesRequest{
					MinTime: -1, MaxTime: math.MaxInt64, Matchers: matchers, MaxResolutionWindow: 300_000,
					Aggregates:              []storepb.Aggr{storepb.Aggr_COUNT, storepb.Aggr_SUM, storepb.Aggr_COUNTER},
					PartialResponseStrategy: storepb.PartialResponseStrategy_ABORT, SkipChunks: true, Hints: hints,
					QueryHints: &storepb.QueryHints{StepMillis: 15_000, Func: &storepb.Func{Name: "rate"}, Grouping: &storepb.Grouping{By: true, Labels: []string{"job"}},
						Range: &storepb.Range{Millis: 60_000}, ProjectionLabels: []string{"le"}, ProjectionInclude: true},
					ShardInfo:            &storepb.ShardInfo{ShardIndex: 1, TotalShards: 3, By: true, Labels: []string{"pod"}},
					WithoutReplicaLabels: []string{"replica"}, Limit: 9,
				})
				testutil.Ok(t, err)
				testutil.Equals(t, ourMatchers+"[-1..9223372036854775807]", p.series.String())
				r := *p.series
				r.Matchers, r.Outcome = nil, nil
				testutil.Equals(t, store.SeriesRequest{
					MinTime: -1, MaxTime: math.MaxInt64, MaxResolution: 5 * time.Minute, Aggregates: store.AggregateCount | store.AggregateSum | store.AggregateCounter,
					Strategy: store.Abort, SkipChunks: true, StoreHints: &store.Any{TypeURL: "h", Value: []byte("v")},
					Hints: &store.QueryHints{Step: 15 * time.Second, Func: "rate", Grouping: []string{"job"}, By: true, Range: time.Minute,
						ProjectionLabels: []string{"le"}, ProjectionInclude: true},
					Shard:                &store.Shard{Index: 1, Total: 3, By: true, Labels: []string{"pod"}},
					WithoutReplicaLabels: []string{"replica"}, Limit: 9,
				}, r)

				sc := storepb.NewStoreClient(cc)
				names, err := sc.LabelNames(t.Context(), &storepb.LabelNamesRequest{Start: -1, End: 5, Matchers: matchers, Hints: hints, WithoutReplicaLabels: []string{"replica"}, Limit: 4})
				testutil.Ok(t, err)
				testutil.Equals(t, storepb.LabelNamesResponse{Names: []string{"a", "ü"}, Warnings: []string{"names are missing"}, Hints: &types.Any{TypeUrl: "type", Value: []byte("value")}}, *names)
				testutil.Equals(t, "-1 5 [replica] 4 &{h [118]}", fmt.Sprint(p.names.MinTime, p.names.MaxTime, p.names.WithoutReplicaLabels, p.names.Limit, p.names.StoreHints))
				values, err := sc.LabelValues(t.Context(), &storepb.LabelValuesRequest{Label: "x", Start: -1, End: 5, Matchers: matchers, Hints: hints, WithoutReplicaLabels: []string{"replica"}, Limit: 4})
				testutil.Ok(t, err)
				testutil.Equals(t, storepb.LabelValuesResponse{Values: []string{"", "x"}, Warnings: []string{"values are missing"}, Hints: &types.Any{TypeUrl: "type", Value: []byte("value")}}, *values)
				testutil.Equals(t, "x-1 5 [replica] 4 &{h [118]}", fmt.Sprint(p.values.Label, p.values.MinTime, p.values.MaxTime, p.values.WithoutReplicaLabels, p.values.Limit, p.values.StoreHints))

				got, err := infopb.NewInfoClient(cc).Info(t.Context(), &infopb.InfoRequest{})
				testutil.Ok(t, err)
				lset := labelpb.ZLabelSet{Labels: []labelpb.ZLabel{{Name: "cluster", Value: "eu"}, {Name: "replica", Value: "a"}}}
				testutil.Equals(t, infopb.InfoResponse{
					LabelSets: []labelpb.ZLabelSet{lset, {Labels: []labelpb.ZLabel{{Name: "cluster", Value: "us"}}}}, ComponentType: "store",
					Store: &infopb.StoreInfo{MinTime: -5, MaxTime: math.MaxInt64, SupportsSharding: true, SupportsWithoutReplicaLabels: true,
						TsdbInfos: []infopb.TSDBInfo{{Labels: lset, MinTime: 1, MaxTime: 2}}},
				}, *got)

				p.err = fmt.Errorf("%w: 5 series", store.ErrLimit)
				_, err = thanosAnswer(t, cc, &storepb.SeriesRequest{})
				testutil.Equals(t, codes.ResourceExhausted, status.Code(err))
			})
		}
	}
}

// thanosPeer is Thanos' side of ourPeer.
type thanosPeer struct {
	responses []*storepb.SeriesResponse
	series    *storepb.SeriesRequest
	names     *storepb.LabelNamesRequest
	values    *storepb.LabelValuesRequest
	err       error
}

func (p *thanosPeer) Series(req *storepb.SeriesRequest, srv storepb.Store_SeriesServer) error {
	p.series = req
	for _, r := range p.responses {
		if err := srv.Send(r); err != nil {
			return err
		}
	}
	return p.err
}

func (p *thanosPeer) LabelNames(_ context.Context, req *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error) {
	p.names = req
	return &storepb.LabelNamesResponse{Names: []string{"a", "ü"}, Warnings: []string{"names are missing"}, Hints: &types.Any{TypeUrl: "type", Value: []byte("value")}}, p.err
}

func (p *thanosPeer) LabelValues(_ context.Context, req *storepb.LabelValuesRequest) (*storepb.LabelValuesResponse, error) {
	p.values = req
	return &storepb.LabelValuesResponse{Values: []string{"", "x"}, Warnings: []string{"values are missing"}, Hints: &types.Any{TypeUrl: "type", Value: []byte("value")}}, p.err
}

// thanosServer serves s and i as Thanos does and returns the address.
func thanosServer(t testing.TB, s storepb.StoreServer, i infopb.InfoServer) string {
	t.Helper()
	srv := grpc.NewServer(grpc.MaxSendMsgSize(math.MaxInt32), grpc.MaxRecvMsgSize(math.MaxInt32))
	storepb.RegisterStoreServer(srv, s)
	if i != nil {
		infopb.RegisterInfoServer(srv, i)
	}
	return grpcServe(t, srv)
}

func TestGRPCStoreOurClientOnThanosServer(t *testing.T) {
	ss := thanosSeries()
	hints := storepb.NewHintsSeriesResponse(&types.Any{TypeUrl: "type", Value: []byte("value")})
	p := &thanosPeer{responses: []*storepb.SeriesResponse{storepb.NewSeriesResponse(ss[0]), storepb.NewWarnSeriesResponse(errors.New("one")), storepb.NewBatchResponse(ss[1:100]), hints}}
	for _, s := range ss[100:] {
		p.responses = append(p.responses, storepb.NewSeriesResponse(s))
	}
	p.responses = append(p.responses, storepb.NewBatchResponse(nil), storepb.NewWarnSeriesResponse(errors.New("two")))
	want := answerOfThanosSeries(t)
	want.Warnings, want.Hints = []string{"one", "two"}, []string{"typevalue"}
	addr := thanosServer(t, p, nil)
	for _, compression := range []string{"", snappy.Name} {
		t.Run(compression, func(t *testing.T) {
			c := ourClient(t, addr, &grpcstore.ClientOptions{Compression: compression, BatchSize: 32})
			p.err = nil
			req := &store.SeriesRequest{
				MinTime: -1, MaxTime: math.MaxInt64, MaxResolution: time.Hour, Aggregates: store.AggregateMin | store.AggregateMax, Strategy: store.Abort,
				Matchers: []*labels.Matcher{
					labels.MustNewMatcher(labels.MatchEqual, "a", "b"), labels.MustNewMatcher(labels.MatchNotEqual, "c", ""),
					labels.MustNewMatcher(labels.MatchRegexp, "d", "x|y"), labels.MustNewMatcher(labels.MatchNotRegexp, "e", "z"),
				},
				SkipChunks: true, StoreHints: &store.Any{TypeURL: "h", Value: []byte("v")}, Limit: 3, WithoutReplicaLabels: []string{"replica"},
				Hints: &store.QueryHints{Step: 15 * time.Second, Func: "rate", Grouping: []string{"job"}, By: true, Range: time.Minute, ProjectionLabels: []string{"le"}, ProjectionInclude: true},
				Shard: &store.Shard{Index: 1, Total: 3, By: true, Labels: []string{"pod"}},
			}
			got, err := ourAnswerOf(t, c, req)
			testutil.Ok(t, err)
			requireAnswer(t, want, got)
			wantReq := storepb.SeriesRequest{
				MinTime: -1, MaxTime: math.MaxInt64, MaxResolutionWindow: 3_600_000, Aggregates: []storepb.Aggr{storepb.Aggr_MIN, storepb.Aggr_MAX},
				PartialResponseStrategy: storepb.PartialResponseStrategy_ABORT, SkipChunks: true, Hints: &types.Any{TypeUrl: "h", Value: []byte("v")},
				Matchers: []storepb.LabelMatcher{
					{Type: storepb.LabelMatcher_EQ, Name: "a", Value: "b"}, {Type: storepb.LabelMatcher_NEQ, Name: "c", Value: ""},
					{Type: storepb.LabelMatcher_RE, Name: "d", Value: "x|y"}, {Type: storepb.LabelMatcher_NRE, Name: "e", Value: "z"},
				},
				QueryHints: &storepb.QueryHints{StepMillis: 15_000, Func: &storepb.Func{Name: "rate"}, Grouping: &storepb.Grouping{By: true, Labels: []string{"job"}},
					Range: &storepb.Range{Millis: 60_000}, ProjectionLabels: []string{"le"}, ProjectionInclude: true},
				ShardInfo:            &storepb.ShardInfo{ShardIndex: 1, TotalShards: 3, By: true, Labels: []string{"pod"}},
				WithoutReplicaLabels: []string{"replica"}, Limit: 3, ResponseBatchSize: 32,
			}
			testutil.Equals(t, wantReq.String(), p.series.String())

			out := new(store.Outcome)
			names, err := c.LabelNames(t.Context(), &store.LabelNamesRequest{MinTime: -1, MaxTime: 5, Matchers: req.Matchers[:1], WithoutReplicaLabels: []string{"replica"}, Limit: 4, Outcome: out})
			testutil.Ok(t, err)
			testutil.Equals(t, []string{"a", "ü"}, names)
			testutil.Equals(t, (&storepb.LabelNamesRequest{Start: -1, End: 5, Matchers: wantReq.Matchers[:1], WithoutReplicaLabels: []string{"replica"}, Limit: 4}).String(), p.names.String())
			values, err := c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "x", MinTime: -1, MaxTime: 5, Matchers: req.Matchers[:1], WithoutReplicaLabels: []string{"replica"}, Limit: 4, Outcome: out})
			testutil.Ok(t, err)
			testutil.Equals(t, []string{"", "x"}, values)
			testutil.Equals(t, (&storepb.LabelValuesRequest{Label: "x", Start: -1, End: 5, Matchers: wantReq.Matchers[:1], WithoutReplicaLabels: []string{"replica"}, Limit: 4}).String(), p.values.String())
			testutil.Equals(t, 2, len(out.Warnings()))
			testutil.Equals(t, []store.Any{{TypeURL: "type", Value: []byte("value")}, {TypeURL: "type", Value: []byte("value")}}, out.Hints())

			p.err = status.Error(codes.Aborted, "a store is missing")
			got, err = ourAnswerOf(t, c, req)
			testutil.Equals(t, codes.Aborted, status.Code(err))
			requireAnswer(t, want, got)
		})
	}
}

// TestGRPCStoreThanosTSDBStore asks Thanos' own store over a TSDB, behind its
// own Info, with both clients.
func TestGRPCStoreThanosTSDBStore(t *testing.T) {
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, db.Close()) }()
	app := db.Appender(t.Context())
	for i := range 500 {
		lset := labels.FromStrings("__name__", fmt.Sprint("metric_", i%7), "pod", fmt.Sprint("pod-", i), "replica", fmt.Sprint(i%2))
		for ts := range int64(300) {
			_, err := app.Append(0, lset, ts*1000, float64(i)+float64(ts))
			testutil.Ok(t, err)
		}
	}
	testutil.Ok(t, app.Commit())
	ts := thanosstore.NewTSDBStore(nil, db, component.Rule, labels.FromStrings("cluster", "eu", "replica", "x"))
	addr := thanosServer(t, ts, thanosinfo.NewInfoServer(component.Rule.String(),
		thanosinfo.WithLabelSetFunc(func() []labelpb.ZLabelSet { return ts.LabelSet() }),
		thanosinfo.WithStoreInfoFunc(func() (*infopb.StoreInfo, error) {
			mint, maxt := ts.TimeRange()
			return &infopb.StoreInfo{MinTime: mint, MaxTime: maxt, SupportsSharding: true, SupportsWithoutReplicaLabels: true, TsdbInfos: ts.TSDBInfos()}, nil
		})))
	cc := grpcConn(t, addr, "")
	c := ourClient(t, addr, &grpcstore.ClientOptions{Name: "rule"})

	i, err := c.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, `rule [{cluster="eu", replica="x"}] 0 true true 1`,
		fmt.Sprint(i.Component, " ", i.LabelSets, " ", i.MinTime, " ", i.SupportsSharding, " ", i.SupportsWithoutReplicaLabels, " ", len(i.TSDBs)))

	all := labels.MustNewMatcher(labels.MatchRegexp, "__name__", "metric_[0-5]")
	thanosAll := []storepb.LabelMatcher{{Type: storepb.LabelMatcher_RE, Name: "__name__", Value: "metric_[0-5]"}}
	for name, reqs := range map[string]struct {
		ours   store.SeriesRequest
		thanos storepb.SeriesRequest
	}{
		"all":                    {store.SeriesRequest{}, storepb.SeriesRequest{}},
		"labels only":            {store.SeriesRequest{SkipChunks: true}, storepb.SeriesRequest{SkipChunks: true}},
		"without replica labels": {store.SeriesRequest{WithoutReplicaLabels: []string{"replica"}}, storepb.SeriesRequest{WithoutReplicaLabels: []string{"replica"}}},
		"limit":                  {store.SeriesRequest{Limit: 5}, storepb.SeriesRequest{Limit: 5}},
		"a shard": {
			store.SeriesRequest{Shard: &store.Shard{Index: 1, Total: 3, By: true, Labels: []string{"pod"}}},
			storepb.SeriesRequest{ShardInfo: &storepb.ShardInfo{ShardIndex: 1, TotalShards: 3, By: true, Labels: []string{"pod"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			reqs.ours.MaxTime, reqs.thanos.MaxTime = 200_000, 200_000
			reqs.ours.Matchers, reqs.thanos.Matchers = []*labels.Matcher{all}, thanosAll
			want, err := thanosAnswer(t, cc, &reqs.thanos)
			testutil.Ok(t, err)
			got, err := ourAnswerOf(t, c, &reqs.ours)
			testutil.Ok(t, err)
			testutil.Assert(t, len(want.Series) > 0)
			requireAnswer(t, want, got)
		})
	}
	names, err := c.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 200_000})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__", "cluster", "pod", "replica"}, names)
	values, err := c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "__name__", MaxTime: 200_000, Matchers: []*labels.Matcher{all}})
	testutil.Ok(t, err)
	testutil.Equals(t, 6, len(values))

	err = c.Series(t.Context(), &store.SeriesRequest{MaxTime: 1}, &seriesAnswer{}) // Thanos wants a matcher
	testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%v", err)
	testutil.Assert(t, strings.HasPrefix(err.Error(), "store rule: series: "), "%v", err)
}

// TestGRPCStoreReflectionIsThanos compares what our reflection says of the
// StoreAPI and Info with what Thanos was generated from.
func TestGRPCStoreReflectionIsThanos(t *testing.T) {
	srv := grpc.NewServer()
	testutil.Ok(t, grpcstore.RegisterReflection(srv))
	stream, err := reflectionv1.NewServerReflectionClient(grpcConn(t, grpcServe(t, srv), "")).ServerReflectionInfo(t.Context())
	testutil.Ok(t, err)
	for _, path := range []string{"store/labelpb/types.proto", "store/storepb/types.proto", "store/storepb/rpc.proto", "info/infopb/rpc.proto"} {
		testutil.Ok(t, stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: path}}))
		resp, err := stream.Recv()
		testutil.Ok(t, err)
		ours, thanos := new(descriptorpb.FileDescriptorProto), new(descriptorpb.FileDescriptorProto)
		for _, b := range resp.GetFileDescriptorResponse().GetFileDescriptorProto() {
			f := new(descriptorpb.FileDescriptorProto)
			testutil.Ok(t, proto.Unmarshal(b, f))
			if f.GetName() == path {
				ours = f
			}
		}
		z, err := gzip.NewReader(bytes.NewReader(gogoproto.FileDescriptor(path)))
		testutil.Ok(t, err)
		b, err := io.ReadAll(z)
		testutil.Ok(t, err)
		testutil.Ok(t, proto.Unmarshal(b, thanos))
		have, want := facts(ours), facts(thanos)
		testutil.Assert(t, len(have) > 0)
		for _, f := range have {
			// Thanos v0.42.4 does not have it yet.
			if !slices.Contains(want, f) && !strings.Contains(f, "series_hash_label_name") {
				t.Errorf("%s: not of Thanos: %s", path, f)
			}
		}
		for _, f := range want {
			if !slices.Contains(have, f) && !strings.Contains(f, "Writ") && !strings.Contains(f, "Sym") {
				t.Errorf("%s: missing: %s", path, f)
			}
		}
	}
}

// facts lists what a file defines, one line each.
func facts(f *descriptorpb.FileDescriptorProto) []string {
	var out []string
	var message func(prefix string, m *descriptorpb.DescriptorProto)
	enum := func(prefix string, e *descriptorpb.EnumDescriptorProto) {
		for _, v := range e.Value {
			out = append(out, fmt.Sprintf("%s.%s.%s = %d", prefix, e.GetName(), v.GetName(), v.GetNumber()))
		}
	}
	message = func(prefix string, m *descriptorpb.DescriptorProto) {
		name := prefix + "." + m.GetName()
		out = append(out, name)
		for _, x := range m.Field {
			out = append(out, fmt.Sprintf("%s.%s %s %s %s = %d, one of %t", name, x.GetName(), x.GetLabel(), x.GetType(), x.GetTypeName(), x.GetNumber(), x.OneofIndex != nil))
		}
		for _, e := range m.EnumType {
			enum(name, e)
		}
		for _, n := range m.NestedType {
			message(name, n)
		}
	}
	for _, m := range f.MessageType {
		message(f.GetPackage(), m)
	}
	for _, e := range f.EnumType {
		enum(f.GetPackage(), e)
	}
	for _, s := range f.Service {
		for _, m := range s.Method {
			out = append(out, fmt.Sprintf("%s.%s.%s(%s) %s stream %t", f.GetPackage(), s.GetName(), m.GetName(), m.GetInputType(), m.GetOutputType(), m.GetServerStreaming()))
		}
	}
	return out
}
