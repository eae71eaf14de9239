package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

var hostile = flag.Int("hostile", 120/raceDivisor, "requests to make up in each state of the topology: the same ones for the same number")

// hidden is in what clusters other than eu have of their own: metrics, labels and
// values.
const hidden = "bsecret"

// share serves the top querier to clients with certificates: team-eu may have
// cluster eu, everybody all, and nobody nothing. It returns a connection for each.
func share(t *testing.T, top *topology) map[string]*grpc.ClientConn {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca, err := tlsutil.NewCA("shared", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(file("ca.crt")))
	server, err := write(dir, "server")(ca.IssueServer(tlsutil.Leaf{Hosts: []string{"querier.hub.example"}}))
	testutil.Ok(t, err)
	peers, err := grpcstore.NewPeers(
		grpcstore.Peer{Name: "spiffe://example/team-eu", Labels: map[string][]string{"cluster": {"eu"}}},
		grpcstore.Peer{Name: "spiffe://example/everybody", Everything: true},
	)
	testutil.Ok(t, err)
	u, err := top.launch("shared querier", "", func(u *unit) error {
		tls, err := tlsutil.NewServer(server.cert, server.key, &tlsutil.ServerOptions{ClientCAFile: file("ca.crt")})
		if err != nil {
			return err
		}
		srv, err := grpcstore.NewServer(latest{top}, &grpcstore.ServerOptions{
			Component: "query", GracePeriod: time.Second, Allow: peers.Allow, MetadataKeys: []string{"request-id"},
			GRPC: []grpc.ServerOption{grpc.Creds(credentials.NewTLS(tls.Config()))},
		})
		if err != nil {
			return err
		}
		l, err := u.listen("")
		if err != nil {
			return err
		}
		u.Go(func(ctx context.Context) error { return srv.Run(ctx, tls.Listener(l)) })
		return nil
	})
	testutil.Ok(t, err)
	conns := map[string]*grpc.ClientConn{}
	for _, name := range []string{"team-eu", "everybody", "nobody"} {
		pair, err := write(dir, name)(ca.IssueClient(tlsutil.Leaf{URIs: []string{"spiffe://example/" + name}}))
		testutil.Ok(t, err)
		cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: file("ca.crt"), CertFile: pair.cert, KeyFile: pair.key, ServerName: "querier.hub.example"})
		testutil.Ok(t, err)
		conns[name], err = grpc.NewClient(u.addr(), grpc.WithTransportCredentials(grpcstore.TLS(cli, "")))
		testutil.Ok(t, err)
		t.Cleanup(func() { testutil.Ok(t, conns[name].Close()) })
	}
	return conns
}

// latest is the top querier of now, which may be killed and begin again.
type latest struct{ *topology }

func (l latest) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	return l.top.Load().Series(ctx, req, w)
}

func (l latest) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	return l.top.Load().LabelNames(ctx, req)
}

func (l latest) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	return l.top.Load().LabelValues(ctx, req)
}

func (l latest) Describe(ctx context.Context) (store.Info, error) { return l.top.Load().Describe(ctx) }

// rawCodec passes messages as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

// Methods of the server, and of others that one might think of.
const (
	seriesMethod = "/thanos.Store/Series"
	namesMethod  = "/thanos.Store/LabelNames"
	valuesMethod = "/thanos.Store/LabelValues"
	infoMethod   = "/thanos.info.Info/Info"
	healthMethod = "/grpc.health.v1.Health/Check"
)

var otherMethods = []string{
	"/thanos.Query/Query", "/thanos.Query/QueryRange", "/thanos.Rules/Rules", "/thanos.Targets/Targets", "/thanos.Metadata/MetricMetadata",
	"/thanos.Exemplars/Exemplars", "/thanos.status.Status/TSDBStatistics", "/thanos.WriteableStore/RemoteWrite",
}

// seen is all bytes that a peer gets in answer to a request: messages, the error with
// its details, and metadata.
func seen(ctx context.Context, conn *grpc.ClientConn, method string, request []byte) (all []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method, grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		return nil, err
	}
	if err = errors.Join(stream.SendMsg(&request), stream.CloseSend()); errors.Is(err, io.EOF) {
		err = nil // what it is comes next
	}
	for err == nil {
		var b []byte
		if err = stream.RecvMsg(&b); err == nil {
			all = append(append(all, b...), '\n')
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	} else {
		all = append(all, err.Error()...)
		for _, d := range status.Convert(err).Proto().GetDetails() {
			all = append(all, d.String()...)
		}
	}
	header, _ := stream.Header()
	return fmt.Append(all, header, stream.Trailer()), err
}

// made makes requests up.
type made struct {
	*rand.Rand
	end int64
}

func pick[T any](m *made, from ...T) T { return from[m.IntN(len(from))] }

func (m *made) some(from ...string) (out []string) {
	for _, s := range from {
		if m.IntN(3) == 0 {
			out = append(out, s)
		}
	}
	return out
}

func (m *made) matchers(names ...string) (out []*labels.Matcher) {
	for range m.IntN(3) {
		matcher, err := labels.NewMatcher(labels.MatchType(m.IntN(4)), pick(m, names...),
			pick(m, "", "eu", "us", "hub", "up", ".*", ".+", "u.*|h.*", "us|hub", "a", hidden, hidden+".*", ".*"+hidden+".*", "querier us", "querier.*", "gateway (us|hub)", "sidecar.*", "orders_total", "[^e].*", "(?i)US"))
		if err == nil {
			out = append(out, matcher)
		}
	}
	return out
}

func (m *made) series() *store.SeriesRequest {
	req := &store.SeriesRequest{
		MinTime: pick(m, math.MinInt64, 0, m.end-time.Hour.Milliseconds()), MaxTime: pick(m, math.MaxInt64, m.end, m.end-time.Minute.Milliseconds()),
		Matchers:      m.matchers("cluster", "cluster", labels.MetricName, replicaLabel, "job", hidden+"_label", "instance"),
		MaxResolution: pick(m, 0, 5*time.Minute, time.Hour), Aggregates: store.Aggregates(m.IntN(32)),
		Strategy: store.PartialResponseStrategy(m.IntN(2)), SkipChunks: m.IntN(2) == 0, Limit: pick(m, 0, 1, 100),
		WithoutReplicaLabels: m.some("cluster", replicaLabel, "job", labels.MetricName, hidden+"_label"),
	}
	if m.IntN(3) == 0 {
		req.Shard = &store.Shard{Total: 1 + m.Int64N(2), By: m.IntN(2) == 0, Labels: m.some("cluster", "job", hidden+"_label")}
	}
	if m.IntN(3) == 0 {
		req.Hints = &store.QueryHints{
			Step: time.Minute, Func: pick(m, "rate", "series", ""), Grouping: m.some("cluster"), By: true, Range: time.Hour,
			ProjectionLabels: m.some("cluster", hidden+"_label", "job"), ProjectionInclude: m.IntN(2) == 0, SeriesHashLabel: pick(m, "", "cluster", "hash"),
		}
	}
	if m.IntN(4) == 0 {
		req.StoreHints = &store.Any{TypeURL: pick(m, "", "x", "thanos.io/hintspb.SeriesRequestHints"), Value: []byte(pick(m, "", hidden, "\x0a\x02us"))}
	}
	for range m.IntN(3) {
		req.StoreMatch = append(req.StoreMatch, m.matchers("__address__", "cluster", replicaLabel))
	}
	return req
}

// request is a call with a request that was made up, as it is or broken.
func (m *made) request() (method string, b []byte) {
	req := m.series()
	switch m.IntN(4) {
	case 0, 1:
		method, b = seriesMethod, wire.AppendSeriesRequest(nil, req, pick(m, 0, 1, 64))
	case 2:
		method, b = namesMethod, wire.AppendLabelNamesRequest(nil, &store.LabelNamesRequest{
			MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, Strategy: req.Strategy, WithoutReplicaLabels: req.WithoutReplicaLabels,
			Limit: req.Limit, StoreHints: req.StoreHints, StoreMatch: req.StoreMatch,
		})
	case 3:
		method, b = valuesMethod, wire.AppendLabelValuesRequest(nil, &store.LabelValuesRequest{
			Label:   pick(m, "cluster", labels.MetricName, replicaLabel, "job", hidden+"_label", ""),
			MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, Strategy: req.Strategy, WithoutReplicaLabels: req.WithoutReplicaLabels,
			Limit: req.Limit, StoreHints: req.StoreHints, StoreMatch: req.StoreMatch,
		})
	}
	for m.IntN(4) == 0 && len(b) > 0 { // it may be broken, in several ways
		at := m.IntN(len(b))
		switch m.IntN(4) {
		case 0:
			b[at] ^= 1 << m.IntN(8)
		case 1:
			b = b[:at]
		case 2:
			b = slices.Insert(b, at, byte(m.IntN(256)))
		case 3:
			b = append(b, b[at:]...)
		}
	}
	return method, b
}

// metadata is what may be beside a request.
func (m *made) metadata() metadata.MD {
	md := metadata.MD{}
	if m.IntN(2) == 0 {
		md.Set("thanoskit-receipt", "1")
	}
	if m.IntN(4) == 0 {
		md.Set("thanos-tenant", pick(m, "us", hidden, "*"))
	}
	if m.IntN(4) == 0 {
		md.Set("request-id", pick(m, "us", strings.Repeat("x", 100)))
	}
	if m.IntN(4) == 0 {
		md.Set("thanoskit-via-bin", pick(m, "us", "fanout", ""))
	}
	return md
}

// secrets are what only others than eu have, as it is on the wire or in texts.
func (t *topology) secrets() (out []string) {
	out = []string{hidden, "cluster\x12\x02us", "cluster\x12\x03hub", "\n\x02us", "\n\x03hub", `"us"`, `"hub"`, "querier us", "gateway us", "gateway hub", "\n\tsidecar ", "store sidecar", t.dir}
	for _, c := range []*cluster{t.hub, t.observees[1]} {
		for i, r := range c.replicas {
			out = append(out, r.unit.addr(), c.sidecars[i].addr())
		}
		out = append(out, c.gateway.addr())
	}
	return append(out, t.observees[1].querier.addr())
}

// without leaves out what the request has said itself.
func without(b, request []byte, secret string) []byte {
	if bytes.Contains(request, []byte(secret)) {
		return bytes.ReplaceAll(b, []byte(secret), nil)
	}
	return b
}

// A peer that may have cluster eu gets nothing of another one, whatever it asks, of
// a stack of queriers of which some fail; one that may have everything does, and one
// of whom nothing is said is refused.
func TestHostilePeer(t *testing.T) {
	top, err := startTopology(t.Context(), t.TempDir(), options{scale: live, patience: 5 * time.Second, interval: 300 * time.Millisecond, host: ownHost()})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, top.stop()) }()
	for _, c := range []*cluster{top.hub, top.observees[1]} {
		for _, r := range c.replicas {
			testutil.Ok(t, r.append(t.Context(), top.end, model.Vector{{Metric: model.Metric{"__name__": hidden + "_metric", hidden + "_label": hidden + "_value"}, Value: 1}}))
		}
	}
	conns := share(t, top)
	elsewhere(t, top, conns["team-eu"])
	us := top.observees[1]
	for _, state := range []struct {
		name  string
		enter func() error
	}{
		{"all is well", func() error { return nil }},
		{"members fail", func() error {
			return errors.Join(us.querier.link.set(resetting), us.gateway.kill(newGates()), top.hub.sidecars[0].kill(newGates()))
		}},
		{"members were never seen", func() error { return errors.Join(top.observer.kill(newGates()), top.observer.begin()) }},
	} {
		testutil.Ok(t, state.enter())
		t.Run(state.name, func(t *testing.T) {
			seed := uint64(*hostile)
			m := &made{rand.New(rand.NewPCG(seed, 0)), top.end.UnixMilli()}
			answers, told := map[string]int{}, map[string]int{}
			check := func(method string, request []byte, md metadata.MD) {
				ctx := metadata.NewOutgoingContext(t.Context(), md)
				got, err := seen(ctx, conns["team-eu"], method, request)
				for _, secret := range top.secrets() {
					if at := bytes.Index(without(got, request, secret), []byte(secret)); at >= 0 {
						t.Errorf("seed %d: %s %q %v: %q is in %q", seed, method, request, md, secret, got[max(0, at-200):min(len(got), at+200)])
					}
				}
				if err == nil && len(got) > 60 {
					answers[method]++
				}
				got, _ = seen(ctx, conns["everybody"], method, request)
				if slices.ContainsFunc(top.secrets(), func(s string) bool { return bytes.Contains(without(got, request, s), []byte(s)) }) {
					told[method]++
				}
				got, err = seen(ctx, conns["nobody"], method, request)
				empty := bytes.HasPrefix(got, []byte("\nmap[")) // the values of a label that is to be removed, of which nobody is asked
				if code := status.Code(err); code != codes.PermissionDenied && code != codes.InvalidArgument && !empty {
					t.Errorf("seed %d: %s %q %v for nobody: %v %q", seed, method, request, md, err, got)
				}
			}
			for range *hostile {
				method, request := m.request()
				check(method, request, m.metadata())
			}
			check(infoMethod, nil, m.metadata())
			for _, method := range []string{seriesMethod, namesMethod, valuesMethod} {
				testutil.Assert(t, answers[method] > 0 && told[method] > 0, "%s: %d answers, %d with something to hide", method, answers[method], told[method])
			}
			testutil.Equals(t, 1, told[infoMethod])
			overHTTP(t, top)
			t.Logf("seed %d: answers %v, of which had something to hide %v", seed, answers, told)
		})
	}
}

// overHTTP asks Prometheus' HTTP API, as who may have cluster eu.
func overHTTP(t *testing.T, top *topology) {
	t.Helper()
	q, err := query.New(store.Wrap(latest{top}, store.WithAllowed(func(context.Context) ([]*labels.Matcher, error) {
		return store.Having(map[string][]string{"cluster": {"eu"}})
	})), &query.Options{ReplicaLabels: []string{replicaLabel}})
	testutil.Ok(t, err)
	api, err := httpapi.New(q, nil)
	testutil.Ok(t, err)
	found, n := 0, 0
	span := "start=" + fmt.Sprint(top.end.Add(-time.Minute).Unix()) + "&end=" + fmt.Sprint(top.end.Unix()) + "&step=30&"
	ways := []string{"", "&dedup=false", "&analyze=true&stats=all", "&partial_response=false", "&replicaLabels[]=cluster", `&require[]={cluster="us"}`, `&storeMatch[]={__address__=~".*us"}`}
	for _, path := range []string{"query?", "query_range?" + span, "series?", "labels?", "label/cluster/values?", "label/" + hidden + "_label/values?", "label/__name__/values?"} {
		for _, selector := range []string{`{__name__=~".+"}`, `{cluster=~"us|hub"}`, `{cluster!="eu"}`, hidden + "_metric", `{replica="a"}`} {
			request := path + "query=" + url.QueryEscape(selector) + "&match[]=" + url.QueryEscape(selector) + "&time=" + fmt.Sprint(top.end.Unix()) + ways[n%len(ways)]
			said := []byte(selector + path + ways[n%len(ways)])
			n++
			w := httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/"+request, nil))
			got := fmt.Append(w.Body.Bytes(), w.Header())
			for _, secret := range top.secrets() {
				if bytes.Contains(without(got, said, secret), []byte(secret)) {
					t.Errorf("%s: %q is in %.2000q", request, secret, got)
				}
			}
			if strings.Contains(w.Body.String(), `"eu"`) {
				found++
			}
		}
	}
	testutil.Assert(t, found > 0, "only %d answers had anything of eu", found)
}

// elsewhere asks for what is not about series, which has nothing to tell: other APIs
// are not there, health and reflection know services only, and are for all.
func elsewhere(t *testing.T, top *topology, conn *grpc.ClientConn) {
	t.Helper()
	for _, method := range otherMethods {
		_, err := seen(t.Context(), conn, method, nil)
		testutil.Equals(t, codes.Unimplemented, status.Code(err), method)
	}
	listed := func(req *reflectionv1.ServerReflectionRequest) []byte {
		b, err := proto.Marshal(req)
		testutil.Ok(t, err)
		return b
	}
	const reflect = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	for method, request := range map[string][]byte{
		healthMethod:       []byte("\n\x0cthanos.Store"),
		reflect:            listed(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}),
		reflect + " ":      nil,
		healthMethod + "s": nil,
	} {
		got, _ := seen(t.Context(), conn, strings.TrimSpace(method), request)
		for _, secret := range top.secrets() {
			testutil.Assert(t, !bytes.Contains(got, []byte(secret)), "%s: %q is in %q", method, secret, got)
		}
	}
}
