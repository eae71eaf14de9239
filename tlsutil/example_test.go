package tlsutil_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// A CA of one's own, a server that demands its certificates, and a client.
func Example() {
	dir, err := os.MkdirTemp("", "tlsutil")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := func(name string) string { return filepath.Join(dir, name) }

	ca, err := tlsutil.NewCA("example", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err1 := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	client, err2 := ca.IssueClient(tlsutil.Leaf{CommonName: "observer"})
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	err = errors.Join(
		ca.WriteFile(file("ca.crt")),
		server.WriteFiles(file("server.crt"), file("server.key")),
		client.WriteFiles(file("client.crt"), file("client.key")),
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	srv, err := tlsutil.NewServer(file("server.crt"), file("server.key"), &tlsutil.ServerOptions{ClientCAFile: file("ca.crt")})
	if err != nil {
		fmt.Println(err)
		return
	}
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: file("ca.crt"), CertFile: file("client.crt"), KeyFile: file("client.key")})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	// Connections are to end when the CA of their client is dropped.
	l = tls.NewListener(srv.Listener(l), srv.Config())
	done := make(chan struct{})
	go func() {
		defer close(done)
		greet(l)
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), cli.Config("127.0.0.1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := io.ReadAll(conn)
	fmt.Println(string(text), err)
	conn.Close()
	<-done
	// Output: hello observer <nil>
}

// greet tells one client by its certificate.
func greet(l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	c, ok := conn.(*tls.Conn)
	if !ok || c.Handshake() != nil {
		return
	}
	cs := c.ConnectionState()
	id, _ := tlsutil.PeerIdentity(&cs)
	fmt.Fprintf(c, "hello %s", id.CommonName)
}

// When certificates end, while there is time to renew them.
func ExampleServer_Expiry() {
	dir, err := os.MkdirTemp("", "tlsutil")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	now := time.Now()
	ca, err := tlsutil.NewCA("example", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	pair, err := ca.IssueServer(tlsutil.Leaf{CommonName: "store", NotAfter: now.Add(48 * time.Hour)})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := pair.WriteFiles(cert, key); err != nil {
		fmt.Println(err)
		return
	}
	srv, err := tlsutil.NewServer(cert, key, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range srv.Expiry() {
		if left := e.Left(now); left < 7*24*time.Hour {
			fmt.Printf("%s in %s ends in %s\n", e.Subject, filepath.Base(e.File), left.Round(time.Hour))
		}
	}
	// Output: CN=store in tls.crt ends in 48h0m0s
}

// A client that speaks TLS on a port with plain text is told so.
func ExampleDoctor() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(l)
	defer srv.Close()

	d, err := tlsutil.Doctor(context.Background(), l.Addr().String(), &tlsutil.ClientOptions{ServerName: "store.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range d.Findings {
		fmt.Printf("%s: %s\n%s\n", f.Problem, f.Detail, f.Advice)
	}
	// Output:
	// plain text on the server's port: the client speaks TLS, and the server answers HTTP/2 in plain text
	// Dial the port that has TLS, or speak plain text to this one
}
