package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/tlsutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a gRPC server that demands certificates, and files for clients.
func server(t *testing.T) (addr, dir string) {
	t.Helper()
	dir = t.TempDir()
	ca, err := tlsutil.NewCA("observee", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(filepath.Join(dir, "ca.crt")))
	pair, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	testutil.Ok(t, err)
	cert, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	testutil.Ok(t, pair.WriteFiles(cert, key))
	pair, err = ca.IssueClient(tlsutil.Leaf{CommonName: "observer"})
	testutil.Ok(t, err)
	testutil.Ok(t, pair.WriteFiles(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")))

	srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{ClientCAFile: filepath.Join(dir, "ca.crt")})
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(srv.Config())))
	done := make(chan error, 1)
	go func() { done <- g.Serve(srv.Listener(l)) }()
	t.Cleanup(func() {
		g.Stop()
		testutil.Ok(t, <-done)
	})
	return l.Addr().String(), dir
}

func TestRun(t *testing.T) {
	t.Parallel()
	addr, dir := server(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	secure := []string{"--grpc-client-tls-secure", "--grpc-client-tls-ca=" + file("ca.crt")}
	whole := append(secure, "--grpc-client-tls-cert="+file("tls.crt"), "--grpc-client-tls-key="+file("tls.key"))
	for name, tc := range map[string]struct {
		args      []string
		status    int
		out, errs string // are in what is printed
	}{
		"good":           {append(whole, addr), statusOK, "ok   " + addr + " answers gRPC", ""},
		"no certificate": {append(secure, addr), statusFound, "FAIL " + addr + ": no client certificate", ""},
		"plain text":     {[]string{addr}, statusFound, "TLS on the server's port", ""},
		"one of two":     {append(whole, addr, "host.invalid:1"), statusFound, "does not resolve", ""},
		"file missing":   {[]string{"--grpc-client-tls-secure", "--grpc-client-tls-ca=" + file("none"), addr}, statusFound, "FAIL own files", ""},
		"no target":      {secure, statusUsage, "", "no HOST:PORT"},
		"no port":        {append(secure, "host"), statusUsage, "", `"host" is not HOST:PORT`},
		"TLS flags only": {[]string{"--grpc-client-tls-ca=x", addr}, statusUsage, "", "needs --grpc-client-tls-secure"},
		"no such flag":   {[]string{"--none"}, statusUsage, "", "not defined"},
		"help":           {[]string{"-h"}, statusOK, "grpc-client-tls-ca", ""},
		"flags behind":   {append([]string{addr}, secure...), statusFound, "FAIL " + addr + ": no client certificate", ""},
		"one is wrong":   {append(whole, addr, "host"), statusUsage, "", `"host" is not HOST:PORT`}, // and nothing is looked at
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs strings.Builder
			status := run(t.Context(), tc.args, &out, &errs)
			if tc.status == statusUsage { // what is wrong is one line
				testutil.Assert(t, out.Len() == 0 && strings.Count(errs.String(), "\n") == 1, "%s%s", &out, &errs)
			}
			testutil.Assert(t, status == tc.status && strings.Contains(out.String(), tc.out) && strings.Contains(errs.String(), tc.errs), "%d\n%s%s", status, &out, &errs)
		})
	}
}
