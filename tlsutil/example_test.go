package tlsutil_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

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
	l, err := tls.Listen("tcp", "127.0.0.1:0", srv.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
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
	fmt.Fprintf(c, "hello %s", c.ConnectionState().PeerCertificates[0].Subject.CommonName)
}
