package nginx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// pki is a CA in ca.crt, with certificates beside it.
type pki struct {
	testing.TB
	dir string
}

func newPKI(t testing.TB, name string) pki {
	t.Helper()
	p := pki{t, t.TempDir()}
	ca, err := tlsutil.NewCA(name, 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(p.path("ca.crt")))
	for name, hosts := range map[string][]string{"server": {"store.example", "down.example"}, "other": {"other.example"}} {
		pair, err := ca.IssueServer(tlsutil.Leaf{Hosts: hosts})
		testutil.Ok(t, err)
		testutil.Ok(t, pair.WriteFiles(p.path(name+".crt"), p.path(name+".key")))
	}
	pair, err := ca.IssueClient(tlsutil.Leaf{CommonName: "observer"})
	testutil.Ok(t, err)
	testutil.Ok(t, pair.WriteFiles(p.path("client.crt"), p.path("client.key")))
	return p
}

func (p pki) path(name string) string { return filepath.Join(p.dir, name) }

// profile is that of a client that asks for a name, and trusts what p has issued.
func (p pki) profile(name string) *tlsutil.ClientOptions {
	return &tlsutil.ClientOptions{CAFile: p.path("ca.crt"), CertFile: p.path("client.crt"), KeyFile: p.path("client.key"), ServerName: name}
}

// backend serves the StoreAPI, with TLS and client certificates if creds is there.
func backend(t testing.TB, l func(net.Listener) net.Listener, opts ...grpc.ServerOption) string {
	t.Helper()
	srv, err := grpcstore.NewServer(memstore.New(nil), &grpcstore.ServerOptions{GracePeriod: -1, GRPC: opts})
	testutil.Ok(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- srv.Run(ctx, l(tcp)) }()
	t.Cleanup(func() {
		cancel()
		testutil.Ok(t, <-done)
	})
	return tcp.Addr().String()
}

// ports are where nginx listens, by what is special there.
type ports struct {
	front  string // HTTP/2 over TLS for certificates of clients; backend in plain text
	again  string // as front, and the backend has TLS for certificates of nginx
	strict string // as front, and no handshake for names that are not known
	http1  string // HTTP/1.1 over TLS
	plain  string // HTTP/1.1 in plain text
	old    string // TLS 1.2
	down   string // as front, and no backend
}

const config = `
daemon off; master_process off; worker_processes 1; pid DIR/nginx.pid; error_log stderr;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR; uwsgi_temp_path DIR; scgi_temp_path DIR;
  ssl_certificate PKI/server.crt; ssl_certificate_key PKI/server.key; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_client_certificate PKI/ca.crt; ssl_verify_client on;
  server { listen FRONT ssl http2; server_name store.example; location / { grpc_pass grpc://BACKEND; } }
  server { listen FRONT ssl http2 default_server; server_name other.example; ssl_certificate PKI/other.crt; ssl_certificate_key PKI/other.key; return 404; }
  server { listen AGAIN ssl http2; location / {
    grpc_pass grpcs://SECURE; grpc_ssl_certificate PKI/client.crt; grpc_ssl_certificate_key PKI/client.key;
    grpc_ssl_trusted_certificate PKI/ca.crt; grpc_ssl_verify on; grpc_ssl_name store.example; grpc_ssl_server_name on; grpc_ssl_protocols TLSv1.3;
  } }
  server { listen STRICT ssl http2 default_server; ssl_reject_handshake on; }
  server { listen STRICT ssl http2; server_name store.example; location / { grpc_pass grpc://BACKEND; } }
  server { listen HTTP1 ssl; location / { return 200; } }
  server { listen PLAIN; location / { return 200; } }
  server { listen OLD ssl http2; ssl_protocols TLSv1.2; location / { grpc_pass grpc://BACKEND; } }
  server { listen DOWN ssl http2; location / { grpc_pass grpc://127.0.0.1:1; } }
}
`

// start runs nginx until the test ends.
func start(t *testing.T, p pki) ports {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx"
	}
	srv, err := tlsutil.NewServer(p.path("server.crt"), p.path("server.key"), &tlsutil.ServerOptions{ClientCAFile: p.path("ca.crt")})
	testutil.Ok(t, err)
	ps := ports{proc.FreeAddr(t), proc.FreeAddr(t), proc.FreeAddr(t), proc.FreeAddr(t), proc.FreeAddr(t), proc.FreeAddr(t), proc.FreeAddr(t)}
	dir := t.TempDir()
	text := strings.NewReplacer("DIR", dir, "PKI", p.dir, "FRONT", ps.front, "AGAIN", ps.again, "STRICT", ps.strict,
		"HTTP1", ps.http1, "PLAIN", ps.plain, "OLD", ps.old, "DOWN", ps.down,
		"BACKEND", backend(t, func(l net.Listener) net.Listener { return l }),
		"SECURE", backend(t, srv.Listener, grpc.Creds(credentials.NewTLS(srv.Config()))),
	).Replace(config)
	file := filepath.Join(dir, "nginx.conf")
	testutil.Ok(t, os.WriteFile(file, []byte(text), 0o600))
	log := &strings.Builder{}
	cmd := exec.Command(path, "-p", dir, "-e", "stderr", "-c", file)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start nginx, which is in Debian's nginx-light: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if t.Failed() {
			t.Logf("nginx says:\n%s", log)
		}
	}
	if err := await(t.Context(), ps.down); err != nil { // the last
		stop()
		t.Fatalf("await nginx: %v\n%s", err, log)
	}
	t.Cleanup(stop)
	return ps
}

// await waits until somebody listens at an address.
func await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, proc.Patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// Doctor says of real nginx what is wrong, and nothing else.
func TestDoctor(t *testing.T) {
	t.Parallel()
	p, stranger := newPKI(t, "ca"), newPKI(t, "stranger")
	ps := start(t, p)
	without := func(o *tlsutil.ClientOptions) *tlsutil.ClientOptions {
		o.CertFile, o.KeyFile = "", ""
		return o
	}
	of := func(who pki, o *tlsutil.ClientOptions) *tlsutil.ClientOptions {
		o.CertFile, o.KeyFile = who.path("client.crt"), who.path("client.key")
		return o
	}
	for name, tc := range map[string]struct {
		target  string
		profile *tlsutil.ClientOptions
		want    tlsutil.Problem // none if empty
		detail  string
	}{
		"well":                   {ps.front, p.profile("store.example"), "", ""},
		"well, encrypted again":  {ps.again, p.profile("store.example"), "", ""},
		"well, strict":           {ps.strict, p.profile("store.example"), "", ""},
		"no client certificate":  {ps.front, without(p.profile("store.example")), tlsutil.ProblemNoClientCert, "No required SSL certificate was sent"},
		"client of another CA":   {ps.front, of(stranger, p.profile("store.example")), tlsutil.ProblemClientCert, "The SSL certificate error"},
		"server of another CA":   {ps.front, of(p, stranger.profile("store.example")), tlsutil.ProblemUnknownCA, "stranger"},
		"name that is not known": {ps.front, p.profile("query.example"), tlsutil.ProblemServerName, "other.example"},
		"name that is refused":   {ps.strict, p.profile("query.example"), tlsutil.ProblemServerName, "query.example"},
		"no name":                {ps.front, p.profile(""), tlsutil.ProblemNoServerName, "other.example"},
		"no name where one must": {ps.strict, p.profile(""), tlsutil.ProblemServerName, ""},
		"plain text to TLS":      {ps.front, nil, tlsutil.ProblemTLS, "plain text"},
		"TLS to plain text":      {ps.plain, p.profile("store.example"), tlsutil.ProblemPlainText, "HTTP/1.1"},
		"plain text, HTTP/1.1":   {ps.plain, nil, tlsutil.ProblemHTTP1, "HTTP/1.1"},
		"TLS, HTTP/1.1":          {ps.http1, p.profile("store.example"), tlsutil.ProblemNoHTTP2, "h2"},
		"an older TLS":           {ps.old, p.profile("store.example"), tlsutil.ProblemVersion, "TLS 1.2"},
		"no backend":             {ps.down, p.profile("store.example"), tlsutil.ProblemNotGRPC, "502"},
		"nobody listens":         {"127.0.0.1:1", p.profile("store.example"), tlsutil.ProblemConnect, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := tlsutil.Doctor(t.Context(), tc.target, tc.profile)
			testutil.Ok(t, err)
			if tc.want == "" {
				testutil.Equals(t, 0, len(d.Findings), fmt.Sprint(d))
				return
			}
			testutil.Assert(t, len(d.Findings) == 1 && d.Has(tc.want), "want %q:\n%s", tc.want, d)
			testutil.Assert(t, strings.Contains(d.Findings[0].Detail, tc.detail), "want %q:\n%s", tc.detail, d)
			testutil.Assert(t, d.Findings[0].Advice != "", "%s", d)
		})
	}
}
