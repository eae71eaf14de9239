package faults_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// pki is a CA, and files of a server, store.example, and a client.
type pki struct {
	testing.TB
	dir string
	ca  *tlsutil.CA
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	ca, err := tlsutil.NewCA("faults", 0)
	testutil.Ok(t, err)
	p := &pki{t, t.TempDir(), ca}
	testutil.Ok(t, ca.WriteFile(p.path("ca.crt")))
	server, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"store.example"}})
	testutil.Ok(t, err)
	testutil.Ok(t, server.WriteFiles(p.path("server.crt"), p.path("server.key")))
	p.client("client", tlsutil.Leaf{})
	p.client("expired", tlsutil.Leaf{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute)})
	return p
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) client(name string, l tlsutil.Leaf) {
	p.Helper()
	pair, err := p.ca.IssueClient(l)
	testutil.Ok(p, err)
	testutil.Ok(p, pair.WriteFiles(p.path(name+".crt"), p.path(name+".key")))
}

// serverCreds demand a client certificate of the CA.
func (p *pki) serverCreds() grpc.ServerOption {
	p.Helper()
	srv, err := tlsutil.NewServer(p.path("server.crt"), p.path("server.key"), &tlsutil.ServerOptions{ClientCAFile: p.path("ca.crt")})
	testutil.Ok(p, err)
	return grpc.Creds(credentials.NewTLS(srv.Config()))
}

func (p *pki) clientConfig(cert string) discovery.ClientConfig {
	return discovery.ClientConfig{TLS: discovery.TLSConfig{
		CAFile: new(p.path("ca.crt")), CertFile: new(p.path(cert + ".crt")), KeyFile: new(p.path(cert + ".key")),
	}}
}

// ingress is Stores behind addresses of a name, in memory, which note how they are
// asked.
type ingress struct {
	mu     sync.Mutex
	behind map[string]*bufconn.Listener // by address
	stops  map[string]func()
	calls  map[string]int // of Series, by address
	asked  map[string]int // by :authority and SNI
}

// add serves s at an address.
func (n *ingress) add(t testing.TB, addr string, s store.Store, creds grpc.ServerOption) {
	t.Helper()
	note := func(ctx context.Context, method string) {
		md, _ := metadata.FromIncomingContext(ctx)
		p, _ := peer.FromContext(ctx)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.asked[strings.Join(md.Get(":authority"), ",")+" "+p.AuthInfo.(credentials.TLSInfo).State.ServerName]++
		if strings.HasSuffix(method, "/Series") {
			n.calls[addr]++
		}
	}
	l := bufconn.Listen(64 << 10)
	stop := serve(t, s, l, creds,
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			note(ctx, info.FullMethod)
			return h(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			note(ss.Context(), info.FullMethod)
			return h(srv, ss)
		}))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.behind[addr], n.stops[addr] = l, stop
}

// kill makes an address one at which nobody is.
func (n *ingress) kill(addr string) {
	n.mu.Lock()
	stop := n.stops[addr]
	delete(n.behind, addr)
	n.mu.Unlock()
	stop()
}

func (n *ingress) dial(ctx context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.behind[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}
	}
	return l.DialContext(ctx)
}

// LookupNetIP answers for store.example alone.
func (n *ingress) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host != "store.example" {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}, nil
}

func (n *ingress) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

const ingressName = "dns+store.example:443"

// newIngress serves the data of the bad member, well, at three addresses of
// store.example, and returns what discovery makes of that.
func newIngress(t *testing.T, group bool) (*ingress, *discovery.Source) {
	t.Helper()
	p := newPKI(t)
	n := &ingress{behind: map[string]*bufconn.Listener{}, stops: map[string]func(){}, calls: map[string]int{}, asked: map[string]int{}}
	for i := range 3 {
		n.add(t, fmt.Sprintf("10.0.0.%d:443", i+1), badData(t).Store, p.serverCreds())
	}
	s, err := discovery.New(&discovery.Options{
		Config:   discovery.Config{Endpoints: []discovery.Endpoint{{Address: ingressName, Group: group, Client: p.clientConfig("client")}}},
		Resolver: n, Client: grpcstore.ClientOptions{DialOptions: []grpc.DialOption{grpc.WithContextDialer(n.dial), redial}},
	})
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, s.Close()) })
	testutil.Ok(t, s.Refresh(t.Context()))
	testutil.Equals(t, 3, len(s.Members()))
	return n, s
}

// TestIngressGroup: a name of several addresses, declared a group, is asked by its
// name, once for each query. An address that dies costs a retry and nothing else.
func TestIngressGroup(t *testing.T) {
	t.Parallel()
	n, s := newIngress(t, true)
	r := &rig{bad: badData(t).Store}
	members := append(slices.Clone(s.Members()), r.well(t, inMemory)...)
	f := fanWith(t, fanout.Options{InfoInterval: time.Hour, InfoTimeout: patient.InfoTimeout}, members...)
	others, own := r.whole(t)
	ask := func(prefix string) *store.Outcome {
		a := f.ask(t, store.Abort)
		testutil.Ok(t, a.err)
		a.data.holds(t, all(others, own), data{})
		testutil.Assert(t, a.outcome.Complete())
		testutil.Equals(t, prefix+", eu answered, us answered, ap answered", statuses(a.outcome))
		return a.outcome
	}
	answers := func(replica int) string {
		return fmt.Sprintf("%[1]s answered, %[1]s/%[1]s@10.0.0.%[2]d:443 answered", ingressName, replica)
	}
	testutil.Ok(t, f.Sync(t.Context()))
	for i := range 6 {
		ask(answers(i%3 + 1))
	}
	n.mu.Lock()
	testutil.Equals(t, map[string]int{"10.0.0.1:443": 2, "10.0.0.2:443": 2, "10.0.0.3:443": 2}, n.calls)
	n.mu.Unlock()

	n.kill("10.0.0.2:443")
	ask(answers(1))
	out := ask(fmt.Sprintf("%[1]s answered, %[1]s/%[1]s@10.0.0.2:443 pruned: %[2]s, %[1]s/%[1]s@10.0.0.3:443 answered", ingressName, store.PrunedByReplica))
	testutil.Assert(t, errors.Is(out.Members()[1].Err, store.ErrUnavailable), "%v", out.Members()[1].Err)
	testutil.Equals(t, 1.0, gauge(t, f.reg, "thanoskit_fanout_retries_total"))
	for range 10 { // it comes last now
		a := f.ask(t, store.Abort)
		testutil.Ok(t, a.err)
		a.data.holds(t, all(others, own), data{})
		testutil.Assert(t, !strings.Contains(statuses(a.outcome), "10.0.0.2"), "%s", statuses(a.outcome))
	}
	testutil.Equals(t, 1.0, gauge(t, f.reg, "thanoskit_fanout_retries_total"))
	testutil.Equals(t, int64(0), r.alive.Load(), "frames alive")
	n.mu.Lock()
	defer n.mu.Unlock()
	testutil.Equals(t, 18, n.calls["10.0.0.1:443"]+n.calls["10.0.0.2:443"]+n.calls["10.0.0.3:443"])
	testutil.Equals(t, map[string]int{"store.example:443 store.example": 18 + 3}, n.asked) // with Info
}

// TestIngressAddresses: without a group, each address is a member by itself, and
// one that is dead is missed by its name.
func TestIngressAddresses(t *testing.T) {
	t.Parallel()
	n, s := newIngress(t, false)
	n.kill("10.0.0.2:443")
	r := &rig{bad: badData(t).Store}
	f := fanWith(t, patient, append(slices.Clone(s.Members()), r.well(t, inMemory)...)...)
	others, own := r.whole(t)
	a := f.ask(t, store.Warn)
	testutil.Ok(t, a.err)
	a.data.holds(t, all(others, own), data{})
	const dead = ingressName + "@10.0.0.2:443"
	testutil.Equals(t, fmt.Sprintf("%[1]s@10.0.0.1:443 answered, %[2]s failed, %[1]s@10.0.0.3:443 answered, eu answered, us answered, ap answered", ingressName, dead), statuses(a.outcome))
	testutil.Equals(t, 1, len(a.warnings))
	for _, err := range []error{a.warnings[0], f.ask(t, store.Abort).err} {
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
		testutil.Assert(t, strings.HasPrefix(err.Error(), "store "+dead+": info: ") && strings.Contains(err.Error(), "no route to host"), "%v", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	testutil.Equals(t, 1, len(n.asked), "%v", n.asked)
	testutil.Assert(t, n.asked["store.example:443 store.example"] > 0)
}

// TestExpiredCertificate: the client certificate for one member has expired, which
// is found here if it is known, and else by the server.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	l := listen(t)
	serve(t, badData(t), l, p.serverCreds())
	secure := func(t testing.TB, s remote, pair tls.Certificate) remote {
		t.Helper()
		client, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: p.path("ca.crt")})
		testutil.Ok(t, err)
		cfg := client.Config("store.example")
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		addr := l.Addr().String()
		if s != nil {
			own := listen(t)
			serve(t, s, own, p.serverCreds())
			addr = own.Addr().String()
		}
		return dial(t, addr, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	}
	good, err := tls.LoadX509KeyPair(p.path("client.crt"), p.path("client.key"))
	testutil.Ok(t, err)
	expired, err := tls.LoadX509KeyPair(p.path("expired.crt"), p.path("expired.key"))
	testutil.Ok(t, err)
	others := func(t testing.TB, s remote) remote { return secure(t, s, good) }

	t.Run("found here", func(t *testing.T) {
		s, err := discovery.New(&discovery.Options{Config: discovery.Config{
			Endpoints: []discovery.Endpoint{{Address: l.Addr().String(), Client: p.clientConfig("expired")}},
		}})
		testutil.Ok(t, err)
		t.Cleanup(func() { testutil.Ok(t, s.Close()) })
		testutil.Assert(t, errors.Is(s.Refresh(t.Context()), tlsutil.ErrExpired))
		r := newRig(t, patient, fanout.Member{Store: s.Members()[0].Store}, others)
		r.check(t, fate{status: store.Failed, is: tlsutil.ErrExpired, text: []string{"info: ", l.Addr().String()}, anyTime: true})
	})
	t.Run("found by the server", func(t *testing.T) {
		r := newRig(t, patient, fanout.Member{Store: secure(t, nil, expired)}, others)
		r.check(t, fate{status: store.Failed, is: store.ErrUnavailable, text: []string{"info: "}, anyTime: true})
		r = newRig(t, patient, fanout.Member{Store: secure(t, nil, good)}, others)
		r.check(t, fate{status: store.Answered, arrived: seriesOfBad, anyTime: true})
	})
}
