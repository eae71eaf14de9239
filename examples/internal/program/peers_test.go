package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// Clients get what the file says that they may have, by their certificates, and
// nothing while it is not good.
func TestPeersFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	ca, err := tlsutil.NewCA("ca", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(path("ca.crt")))
	pair, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	testutil.Ok(t, err)
	testutil.Ok(t, pair.WriteFiles(path("tls.crt"), path("tls.key")))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	addr := l.Addr().String()
	testutil.Ok(t, l.Close())
	peers := func(text string) { testutil.Ok(t, os.WriteFile(path("peers.yml"), []byte(text), 0o600)) }
	peers("peers: [{name: eu.example, labels: {cluster: eu}}, {name: all.example, everything: true}]")

	var log bytes.Buffer
	p := New("test")
	p.Log = slog.New(slog.NewTextHandler(&log, nil))
	testutil.Ok(t, p.Flags.Parse([]string{
		"--grpc-address=" + addr, "--http-address=127.0.0.1:0", "--grpc-grace-period=0s", "--grpc-server-peers-file=" + path("peers.yml"),
		"--grpc-server-tls-cert=" + path("tls.crt"), "--grpc-server-tls-key=" + path("tls.key"), "--grpc-server-tls-client-ca=" + path("ca.crt"),
	}))
	s := memstore.New(nil)
	for _, c := range []string{"eu", "us"} {
		testutil.Ok(t, s.Append(labels.FromStrings(labels.MetricName, "up", "cluster", c), 1000, 1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		served <- p.Serve(ctx, s, grpcstore.ServerOptions{}, nil, func(context.Context) error { close(ready); return nil })
	}()
	<-ready
	clients := map[string]*grpcstore.Client{}
	for _, name := range []string{"eu", "all", "other"} {
		pair, err := ca.IssueClient(tlsutil.Leaf{Hosts: []string{name + ".example"}})
		testutil.Ok(t, err)
		testutil.Ok(t, pair.WriteFiles(path(name+".crt"), path(name+".key")))
		tls := &ClientTLS{Secure: true, CA: path("ca.crt"), Cert: path(name + ".crt"), Key: path(name + ".key"), minVersion: new("1.3")}
		dial, err := tls.DialOptions(addr, silent)
		testutil.Ok(t, err)
		clients[name], err = grpcstore.Dial(addr, &grpcstore.ClientOptions{DialOptions: dial})
		testutil.Ok(t, err)
	}
	clusters := func(name string) (string, error) {
		values, err := clients[name].LabelValues(ctx, &store.LabelValuesRequest{Label: "cluster", MaxTime: math.MaxInt64})
		return fmt.Sprint(values), err
	}
	check := func(name, want string, wantErr error) {
		t.Helper()
		got, err := clusters(name)
		testutil.Assert(t, errors.Is(err, wantErr), "%s: %v", name, err)
		testutil.Equals(t, want, got, name)
	}
	check("eu", "[eu]", nil)
	check("all", "[eu us]", nil)
	check("other", "[]", store.ErrDenied)
	peers("peers: [{name: other.example, labels: {cluster: [eu, us]}}]")
	check("eu", "[]", store.ErrDenied)
	check("other", "[eu us]", nil)
	for _, bad := range []string{"peers: [{name: other.example}]", "peer: []", "{"} {
		peers(bad)
		check("other", "[]", store.ErrUnavailable)
		_, err := clusters("other")
		testutil.Assert(t, !strings.Contains(err.Error(), dir), "%v", err)
	}
	peers("")
	check("all", "[]", store.ErrDenied)
	peers("peers: [{name: all.example, everything: true}]")
	check("all", "[eu us]", nil)
	for _, c := range clients {
		testutil.Ok(t, c.Close())
	}
	cancel()
	testutil.Ok(t, <-served)
	testutil.Equals(t, 3, strings.Count(log.String(), "nobody is let in"), log.String())
	testutil.Equals(t, 1, strings.Count(log.String(), "peers are good again"), log.String())
}

func TestPeersFileErrors(t *testing.T) {
	t.Parallel()
	cert, key, ca := pair(t)
	file := filepath.Join(t.TempDir(), "peers.yml")
	tls := []string{"--grpc-server-tls-cert=" + cert, "--grpc-server-tls-key=" + key}
	for name, tc := range map[string]struct {
		args       []string
		text, want string
	}{
		"plain text":   {nil, "", "--grpc-server-peers-file needs --grpc-server-tls-client-ca"},
		"no client CA": {tls, "", "--grpc-server-peers-file needs --grpc-server-tls-client-ca"},
		"bad":          {append(tls, "--grpc-server-tls-client-ca="+ca), "peers: [{name: a}]", `check peers: peer 1 "a": there are no labels`},
		"documents":    {append(tls, "--grpc-server-tls-client-ca="+ca), "peers: []\n---\npeers: []", "more than one document"},
	} {
		testutil.Ok(t, os.WriteFile(file, []byte(tc.text), 0o600))
		p := New("test")
		p.Log = silent
		testutil.Ok(t, p.Flags.Parse(append(tc.args, "--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--grpc-server-peers-file="+file)))
		err := p.Serve(t.Context(), memstore.New(nil), grpcstore.ServerOptions{}, nil, isReady)
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.want), "%s: %v", name, err)
	}
	_, err := openPeers("/absent", silent)
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
}
