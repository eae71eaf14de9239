package tlsutil_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// answersGRPC answers a health check as a gRPC server does that has none.
func answersGRPC(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", "12")
}

// serve serves HTTP, over TLS if cfg is not nil, and returns the address.
func serve(t testing.TB, cfg *tls.Config, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	srv := &http.Server{Handler: h, TLSConfig: cfg, Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute}
	srv.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // that clients go away is what is tested
	done := make(chan error, 1)
	if cfg == nil {
		srv.Protocols.SetUnencryptedHTTP2(true)
		go func() { done <- srv.Serve(l) }()
	} else {
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetHTTP1(true)
		go func() { done <- srv.ServeTLS(l, "", "") }()
	}
	t.Cleanup(func() {
		testutil.Ok(t, srv.Close())
		testutil.Equals(t, http.ErrServerClosed, <-done)
	})
	return l.Addr().String()
}

// doctorCase is a server, a client's profile, and what is to be found.
type doctorCase struct {
	server  func(f folder, ca *tlsutil.CA) string // returns the address
	profile func(f folder, ca *tlsutil.CA) *tlsutil.ClientOptions
	want    tlsutil.Problem
	text    string // is in the finding
}

// tlsServer is one of tlsutil over HTTP/2, with a changed certificate and options.
func tlsServer(change func(*tlsutil.Leaf), opts *tlsutil.ServerOptions, h http.HandlerFunc, protocols ...string) func(folder, *tlsutil.CA) string {
	return func(f folder, ca *tlsutil.CA) string {
		cert, key := f.server(ca, change)
		srv, err := tlsutil.NewServer(cert, key, opts)
		testutil.Ok(f, err)
		if protocols == nil {
			protocols = []string{"h2", "http/1.1"}
		}
		return serve(f, srv.Config(protocols...), h)
	}
}

// fixedServer is one whose certificate tlsutil would not serve with.
func fixedServer(leaf tlsutil.Leaf) func(folder, *tlsutil.CA) string {
	return func(f folder, ca *tlsutil.CA) string {
		p, err := ca.IssueServer(leaf)
		testutil.Ok(f, err)
		cert, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
		testutil.Ok(f, err)
		return serve(f, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}, answersGRPC)
	}
}

// demanding is a server that demands certificates of the folder's CA.
func demanding(version uint16) func(folder, *tlsutil.CA) string {
	return func(f folder, ca *tlsutil.CA) string {
		return tlsServer(nil, &tlsutil.ServerOptions{ClientCAFile: f.write("clients.crt", ca.PEM()), MinVersion: version}, answersGRPC)(f, ca)
	}
}

func profile(change func(*tlsutil.ClientOptions)) func(folder, *tlsutil.CA) *tlsutil.ClientOptions {
	return func(f folder, ca *tlsutil.CA) *tlsutil.ClientOptions {
		o := &tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM()), ServerName: "store.example"}
		if change != nil {
			change(o)
		}
		return o
	}
}

// showing is a profile with a certificate of a CA of its own, or of the server's.
func showing(own bool, change func(*tlsutil.Leaf)) func(folder, *tlsutil.CA) *tlsutil.ClientOptions {
	return func(f folder, ca *tlsutil.CA) *tlsutil.ClientOptions {
		o := profile(nil)(f, ca)
		if own {
			ca = newCA(f, "another CA")
		}
		o.CertFile, o.KeyFile = f.client(ca, change)
		return o
	}
}

func plainProfile(folder, *tlsutil.CA) *tlsutil.ClientOptions { return nil }

// saysSo returns the address of a server that is that at addr to who speaks TLS, and
// tells others in HTTP/1.1 that they do not, as nginx does.
func saysSo(t testing.TB, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	var wg sync.WaitGroup
	serve := func(conn net.Conn) {
		defer conn.Close()
		first := make([]byte, 1)
		if _, err := io.ReadFull(conn, first); err != nil {
			return
		}
		if first[0] != 22 { // which a handshake begins with
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		to, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer to.Close()
		wg.Go(func() { io.Copy(to, io.MultiReader(bytes.NewReader(first), conn)) })
		io.Copy(conn, to)
	}
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func page(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

// nginxRefusal is what nginx answers to a client without a certificate.
const nginxRefusal = "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n</body>\r\n</html>"

func doctorCases() map[string]doctorCase {
	now := time.Now()
	hosts := []string{"store.example"}
	return map[string]doctorCase{
		"healthy":           {tlsServer(nil, nil, answersGRPC), profile(nil), "", ""},
		"healthy, mTLS":     {demanding(0), showing(false, nil), "", ""},
		"healthy, mTLS 1.2": {demanding(tls.VersionTLS12), showing(false, nil), "", ""},
		"healthy, plain":    {func(f folder, _ *tlsutil.CA) string { return serve(f, nil, answersGRPC) }, plainProfile, "", ""},
		"file missing": {tlsServer(nil, nil, answersGRPC), func(folder, *tlsutil.CA) *tlsutil.ClientOptions {
			return &tlsutil.ClientOptions{CAFile: "nowhere.crt"}
		}, tlsutil.ProblemFiles, "nowhere.crt"},
		"own certificate expired": {tlsServer(nil, nil, answersGRPC), showing(false, func(l *tlsutil.Leaf) { l.NotBefore, l.NotAfter = now.Add(-2*time.Hour), now.Add(-time.Hour) }), tlsutil.ProblemFiles, "expired"},
		// A port that was free a moment ago may be somebody's by now.
		"nobody listens":      {func(folder, *tlsutil.CA) string { return "127.0.0.1:1" }, profile(nil), tlsutil.ProblemConnect, "refused"},
		"TLS to plain HTTP/2": {func(f folder, _ *tlsutil.CA) string { return serve(f, nil, answersGRPC) }, profile(nil), tlsutil.ProblemPlainText, "answers HTTP/2 in plain text"},
		"TLS to HTTP/1.1":     {http1, profile(nil), tlsutil.ProblemPlainText, "answers HTTP/1.1 in plain text"},
		"plain to TLS":        {tlsServer(nil, nil, answersGRPC), plainProfile, tlsutil.ProblemTLS, "answers with TLS"},
		"plain to TLS that says so": {func(f folder, ca *tlsutil.CA) string {
			return saysSo(f, tlsServer(nil, nil, answersGRPC)(f, ca))
		}, plainProfile, tlsutil.ProblemTLS, "answers with TLS"},
		"plain to HTTP/1.1": {http1, plainProfile, tlsutil.ProblemHTTP1, "answers HTTP/1.1"},
		"plain to nginx TLS": {func(f folder, _ *tlsutil.CA) string {
			return serve(f, nil, page(400, "400 The plain HTTP request was sent to HTTPS port"))
		}, plainProfile, tlsutil.ProblemTLS, "HTTPS port"},
		"no ALPN":         {noALPN, profile(nil), tlsutil.ProblemNoHTTP2, "not agreed to h2"},
		"ALPN without h2": {tlsServer(nil, nil, answersGRPC, "http/1.1"), profile(nil), tlsutil.ProblemNoHTTP2, "h2 is none of them"},
		"server name empty": {tlsServer(func(l *tlsutil.Leaf) { l.Hosts = hosts }, nil, answersGRPC), profile(func(o *tlsutil.ClientOptions) { o.ServerName = "" }),
			tlsutil.ProblemNoServerName, "no name is asked for, and the certificate is for store.example"},
		"another name":       {tlsServer(nil, nil, answersGRPC), profile(func(o *tlsutil.ClientOptions) { o.ServerName = "querier.example" }), tlsutil.ProblemServerName, `store.example, 127.0.0.1 and not for "querier.example"`},
		"name refused":       {picky, profile(nil), tlsutil.ProblemServerName, "does not know the name"},
		"unknown CA":         {tlsServer(nil, nil, answersGRPC), func(f folder, _ *tlsutil.CA) *tlsutil.ClientOptions { return profile(nil)(f, newCA(f, "wrong CA")) }, tlsutil.ProblemUnknownCA, `"CN=wrong CA"`},
		"expired":            {fixedServer(tlsutil.Leaf{Hosts: hosts, NotBefore: now.Add(-3 * time.Second), NotAfter: now.Add(-time.Second)}), profile(nil), tlsutil.ProblemExpired, "has expired on"},
		"not yet valid":      {fixedServer(tlsutil.Leaf{Hosts: hosts, NotBefore: now.Add(time.Hour)}), profile(nil), tlsutil.ProblemNotYetValid, "clocks"},
		"no client cert":     {demanding(0), profile(nil), tlsutil.ProblemNoClientCert, "demands a certificate"},
		"no client cert 1.2": {demanding(tls.VersionTLS12), profile(func(o *tlsutil.ClientOptions) { o.MinVersion = tls.VersionTLS12 }), tlsutil.ProblemNoClientCert, "demands a certificate"},
		"client cert":        {demanding(0), showing(true, nil), tlsutil.ProblemClientCert, "another CA"},
		"ingress, none":      {tlsServer(nil, nil, page(400, nginxRefusal)), profile(nil), tlsutil.ProblemNoClientCert, "No required SSL certificate was sent"},
		"ingress, another":   {tlsServer(nil, &tlsutil.ServerOptions{}, page(400, "<title>400 The SSL certificate error</title>")), profile(nil), tlsutil.ProblemNoClientCert, "SSL certificate error"},
		"ingress, shown":     {asking(page(400, "<title>400 The SSL certificate error</title>")), showing(true, nil), tlsutil.ProblemClientCert, "SSL certificate error"},
		"ingress, no route":  {tlsServer(nil, nil, page(404, "default backend - 404")), profile(nil), tlsutil.ProblemNotGRPC, "no backend"},
		"ingress, 502":       {tlsServer(nil, nil, page(502, "<h1>502 Bad Gateway</h1>")), profile(nil), tlsutil.ProblemNotGRPC, "does not reach its backend"},
		"web server":         {tlsServer(nil, nil, page(200, "hello")), profile(nil), tlsutil.ProblemNotGRPC, "hello"},
		"denied": {tlsServer(nil, nil, func(w http.ResponseWriter, r *http.Request) {
			answersGRPC(w, r)
			w.Header().Set("Grpc-Status", "16")
			w.Header().Set("Grpc-Message", "who are you")
		}), profile(nil), tlsutil.ProblemDenied, "who are you"},
		"clock": {tlsServer(nil, nil, func(w http.ResponseWriter, r *http.Request) {
			answersGRPC(w, r)
			w.Header().Set("Date", now.Add(-time.Hour).UTC().Format(http.TimeFormat))
		}), profile(nil), tlsutil.ProblemClockSkew, "it is"},
		"version": {func(f folder, ca *tlsutil.CA) string {
			cert, key := f.server(ca, nil)
			pair, err := tls.LoadX509KeyPair(cert, key)
			testutil.Ok(f, err)
			return serve(f, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}, answersGRPC)
		}, profile(nil), tlsutil.ProblemVersion, "but TLS 1.2"},
		"hangs up": {func(f folder, _ *tlsutil.CA) string { return raw(f, nil) }, profile(nil), tlsutil.ProblemHandshake, "EOF"},
		"garbage":  {func(f folder, _ *tlsutil.CA) string { return raw(f, []byte("220 mail.example ESMTP\r\n")) }, plainProfile, tlsutil.ProblemNotGRPC, "something else"},
	}
}

// http1 is a server that speaks HTTP/1.1 only.
func http1(f folder, _ *tlsutil.CA) string {
	return raw(f, []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
}

// raw is a server that says something to whoever has said something, and hangs up.
func raw(t testing.TB, says []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1024)) // whatever it is
			_, _ = conn.Write(says)
			conn.(*net.TCPConn).CloseWrite()
			_, _ = conn.Read(make([]byte, 1024)) // so that no reset overtakes the answer
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		testutil.Ok(t, l.Close())
		<-done
	})
	return l.Addr().String()
}

func noALPN(f folder, ca *tlsutil.CA) string {
	cert, key := f.server(ca, nil)
	pair, err := tls.LoadX509KeyPair(cert, key)
	testutil.Ok(f, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	testutil.Ok(f, err)
	srv := &http.Server{Handler: http.HandlerFunc(answersGRPC), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	f.Cleanup(func() {
		testutil.Ok(f, srv.Close())
		testutil.Equals(f, http.ErrServerClosed, <-done)
	})
	return l.Addr().String()
}

// picky refuses every name.
func picky(f folder, _ *tlsutil.CA) string {
	const alert, fatal, unrecognizedName = 0x15, 2, 112
	return raw(f, []byte{alert, 3, 3, 0, 2, fatal, unrecognizedName})
}

// asking asks for a certificate and takes any, as an ingress does.
func asking(h http.HandlerFunc) func(folder, *tlsutil.CA) string {
	return func(f folder, ca *tlsutil.CA) string {
		cert, key := f.server(ca, nil)
		pair, err := tls.LoadX509KeyPair(cert, key)
		testutil.Ok(f, err)
		return serve(f, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13}, h)
	}
}

// Each way to be out of reach is told by its name, and nothing else is told.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for name, tc := range doctorCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, ca := newFolder(t), newCA(t, "the CA")
			addr := tc.server(f, ca)
			d, err := tlsutil.Doctor(t.Context(), addr, tc.profile(f, ca))
			testutil.Ok(t, err)
			if tc.want == "" {
				testutil.Assert(t, len(d.Findings) == 0 && strings.Contains(d.String(), "ok   "+addr), "%s", d)
				return
			}
			testutil.Assert(t, len(d.Findings) == 1 && d.Has(tc.want), "want %q:\n%s", tc.want, d)
			testutil.Assert(t, strings.Contains(d.Findings[0].String(), tc.text), "want %q:\n%s", tc.text, d)
			testutil.Assert(t, strings.Contains(d.String(), "FAIL "), "%s", d)
		})
	}
}

func TestDoctorOfANameThatIsNone(t *testing.T) {
	t.Parallel()
	d, err := tlsutil.Doctor(t.Context(), "host.invalid:443", &tlsutil.ClientOptions{})
	testutil.Ok(t, err)
	testutil.Assert(t, d.Has(tlsutil.ProblemResolve) && d.ServerName == "host.invalid", "%s", d)
}

func TestDoctorRefuses(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"", "host", ":443", "host:"} {
		_, err := tlsutil.Doctor(t.Context(), target, nil)
		testutil.NotOk(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := tlsutil.Doctor(ctx, "127.0.0.1:1", nil)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
}
