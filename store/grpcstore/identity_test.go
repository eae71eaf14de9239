package grpcstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// secret is in all that cluster b has: its labels, names, members and errors.
const secret = "bsecret"

// pki has files for TLS between a server and two clients.
type pki struct{ dir string }

func newPKI(t *testing.T) pki {
	t.Helper()
	p := pki{t.TempDir()}
	ca, err := tlsutil.NewCA("test", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(p.file("ca.crt")))
	server, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	testutil.Ok(t, err)
	testutil.Ok(t, server.WriteFiles(p.file("server.crt"), p.file("server.key")))
	for _, name := range []string{"a", "all", "nobody"} {
		client, err := ca.IssueClient(tlsutil.Leaf{URIs: []string{"spiffe://example.org/" + name}})
		testutil.Ok(t, err)
		testutil.Ok(t, client.WriteFiles(p.file(name+".crt"), p.file(name+".key")))
	}
	return p
}

func (p pki) file(name string) string { return filepath.Join(p.dir, name) }

// twoClusters is a fan-out over clusters a and b, one of whose members fails, and
// one that says nothing of itself and fails, too.
func twoClusters(t *testing.T) store.Store {
	t.Helper()
	member := func(name, cluster, metric, label string) fanout.Member {
		s := memstore.New(nil)
		testutil.Ok(t, s.Append(labels.FromStrings(labels.MetricName, metric, label, label), 1000, 1))
		return fanout.Member{Name: name, Store: store.Wrap(s, store.WithExternalLabels(labels.FromStrings("cluster", cluster)))}
	}
	failing := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
		return errors.New("disk of " + secret + " is full")
	})
	warning := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		return w.Warn(errors.New("block of " + secret + " is broken"))
	})
	f, err := fanout.New(fanout.Static(
		member("member-of-a", "a", "up", "shown"),
		member(secret+"-1", secret, secret+"_metric", secret+"_label"),
		fanout.Member{Name: secret + "-2", Store: store.Wrap(failing, store.WithExternalLabels(labels.FromStrings("cluster", secret)))},
		fanout.Member{Name: secret + "-3", Store: failing},
		fanout.Member{Name: secret + "-4", Store: warning},
		fanout.Member{Name: secret + "-5", Store: store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
			panic("no " + secret)
		})},
	), nil)
	testutil.Ok(t, err)
	testutil.Ok(t, f.Sync(t.Context()))
	return f
}

// serveIdentities serves s over TLS to clients that are allowed what their SPIFFE
// ID says, and returns a client for each.
func serveIdentities(t *testing.T, s store.Store) map[string]*grpcstore.Client {
	t.Helper()
	p := newPKI(t)
	allow := func(ctx context.Context) ([]*labels.Matcher, error) {
		id, ok := grpcstore.PeerIdentity(ctx)
		switch {
		case ok && id.SPIFFE == "spiffe://example.org/all":
			return nil, nil
		case ok && id.SPIFFE == "spiffe://example.org/a":
			return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "cluster", "a")}, nil
		}
		return nil, fmt.Errorf("%s: %w", id.SPIFFE, store.ErrDenied)
	}
	srv, err := tlsutil.NewServer(p.file("server.crt"), p.file("server.key"), &tlsutil.ServerOptions{ClientCAFile: p.file("ca.crt")})
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	g := grpc.NewServer(append(grpcstore.GRPCServerOptions(nil), grpc.Creds(credentials.NewTLS(srv.Config())))...)
	testutil.Ok(t, grpcstore.Register(g, s, &grpcstore.ServerOptions{Allow: allow}))
	done := make(chan error, 1)
	go func() { done <- g.Serve(srv.Listener(l)) }()
	clients := map[string]*grpcstore.Client{}
	for _, name := range []string{"a", "all", "nobody"} {
		cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: p.file("ca.crt"), CertFile: p.file(name + ".crt"), KeyFile: p.file(name + ".key")})
		testutil.Ok(t, err)
		clients[name], err = grpcstore.Dial(l.Addr().String(), &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
			grpc.WithTransportCredentials(credentials.NewTLS(cli.Config("127.0.0.1"))),
		}})
		testutil.Ok(t, err)
	}
	t.Cleanup(func() {
		for _, c := range clients {
			testutil.Ok(t, c.Close())
		}
		g.Stop()
		testutil.Ok(t, <-done)
	})
	return clients
}

// allSeen is all that a caller gets to see, asked in one way, as text.
func allSeen(ctx context.Context, c *grpcstore.Client, req *store.SeriesRequest) string {
	var b strings.Builder
	see := func(what string, out *store.Outcome, err error) {
		fmt.Fprintf(&b, "%s: %v\n", what, err)
		for _, m := range out.Members() {
			fmt.Fprintf(&b, "%s member %+v %v\n", what, m, m.Err)
		}
		fmt.Fprintln(&b, out.Warnings(), out.Hints(), out.Require(req.Require))
	}
	r, out := *req, &store.Outcome{}
	r.Outcome = out
	for s, err := range store.All(ctx, c, &r, out) {
		if err != nil {
			fmt.Fprintln(&b, err)
			break
		}
		fmt.Fprintln(&b, s.Labels)
	}
	see("series", out, nil)
	out = &store.Outcome{}
	names, err := c.LabelNames(ctx, &store.LabelNamesRequest{MinTime: r.MinTime, MaxTime: r.MaxTime, Matchers: r.Matchers, Strategy: r.Strategy, Require: r.Require, StoreMatch: r.StoreMatch, WithoutReplicaLabels: r.WithoutReplicaLabels, Outcome: out})
	fmt.Fprintln(&b, names)
	see("names", out, err)
	for _, name := range []string{labels.MetricName, "cluster", "shown", secret + "_label"} {
		out = &store.Outcome{}
		values, err := c.LabelValues(ctx, &store.LabelValuesRequest{Label: name, MinTime: r.MinTime, MaxTime: r.MaxTime, Matchers: r.Matchers, Strategy: r.Strategy, Require: r.Require, StoreMatch: r.StoreMatch, WithoutReplicaLabels: r.WithoutReplicaLabels, Outcome: out})
		fmt.Fprintln(&b, values)
		see("values", out, err)
	}
	return b.String()
}

// A peer that is allowed cluster a gets nothing of another one to see, however it
// asks; one that is allowed everything does.
func TestIdentities(t *testing.T) {
	t.Parallel()
	clients := serveIdentities(t, twoClusters(t))
	match := func(kind labels.MatchType, name, value string) []*labels.Matcher {
		return []*labels.Matcher{labels.MustNewMatcher(kind, name, value)}
	}
	asked := map[string]*store.SeriesRequest{
		"all":               {},
		"cluster by name":   {Matchers: match(labels.MatchEqual, "cluster", secret)},
		"any cluster":       {Matchers: match(labels.MatchRegexp, "cluster", ".*")},
		"not a":             {Matchers: match(labels.MatchNotEqual, "cluster", "a")},
		"no cluster":        {Matchers: match(labels.MatchEqual, "cluster", "")},
		"metric":            {Matchers: match(labels.MatchRegexp, labels.MetricName, ".+")},
		"without cluster":   {WithoutReplicaLabels: []string{"cluster"}},
		"shard":             {Shard: &store.Shard{Total: 1, By: true, Labels: []string{"cluster"}}},
		"labels only":       {SkipChunks: true, Limit: 10},
		"required":          {Require: [][]*labels.Matcher{match(labels.MatchRegexp, "cluster", ".*b.*")}},
		"abort":             {Strategy: store.Abort},
		"members by name":   {StoreMatch: [][]*labels.Matcher{match(labels.MatchRegexp, "__address__", ".*-[12]")}},
		"members by labels": {StoreMatch: [][]*labels.Matcher{match(labels.MatchNotEqual, "cluster", "a")}},
	}
	for name, req := range asked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req.MinTime, req.MaxTime = math.MinInt64, math.MaxInt64
			seen := allSeen(t.Context(), clients["a"], req)
			// What it has said itself is in its own errors.
			if strings.Contains(strings.ReplaceAll(seen, ".*b.*", ""), secret) {
				t.Errorf("it can see:\n%s", seen)
			}
		})
	}
	req := &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}
	seen := allSeen(t.Context(), clients["a"], req)
	for _, want := range []string{`{__name__="up", cluster="a", shown="shown"}`, "member-of-a", store.ErrWithheld.Error()} {
		testutil.Assert(t, strings.Contains(seen, want), "%q is not in\n%s", want, seen)
	}
	seen = allSeen(t.Context(), clients["all"], req)
	for _, want := range []string{secret + "_metric", secret + "-2", "is full", "is broken"} {
		testutil.Assert(t, strings.Contains(seen, want), "%q is not in\n%s", want, seen)
	}
}

func TestIdentitiesInfo(t *testing.T) {
	t.Parallel()
	clients := serveIdentities(t, twoClusters(t))
	info, err := clients["a"].Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []labels.Labels{labels.FromStrings("cluster", "a")}, info.LabelSets)
	info, err = clients["all"].Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Assert(t, len(info.LabelSets) != 1, "%v", info.LabelSets)
}

// Who is allowed nothing is told so by a code of its own.
func TestIdentityDenied(t *testing.T) {
	t.Parallel()
	c := serveIdentities(t, twoClusters(t))["nobody"]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	denied := func(err error) {
		t.Helper()
		testutil.Assert(t, errors.Is(err, store.ErrDenied) && status.Code(errors.Unwrap(err)) == codes.PermissionDenied, "%v", err)
	}
	for _, err := range store.All(ctx, c, &store.SeriesRequest{MaxTime: math.MaxInt64}, nil) {
		denied(err)
	}
	_, err := c.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: math.MaxInt64})
	denied(err)
	_, err = c.LabelValues(ctx, &store.LabelValuesRequest{Label: "cluster", MaxTime: math.MaxInt64})
	denied(err)
	_, err = c.Describe(ctx)
	denied(err)
}

// Without TLS nobody is anybody.
func TestPeerIdentityWithoutTLS(t *testing.T) {
	t.Parallel()
	_, ok := grpcstore.PeerIdentity(t.Context())
	testutil.Assert(t, !ok)
}
