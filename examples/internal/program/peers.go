package program

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v2"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// peersFile is the file that says what clients of a server may have, by the names in
// their certificates:
//
//	peers:
//	- name: spiffe://example/grafana
//	  everything: true
//	- name: team-eu.example
//	  labels: {cluster: [eu-1, eu-2]}
//
// It is read at each call or request. While it is not good, nobody is let in: that is safer
// than what it has said before. It is to be replaced by another file, not written to: half
// of it may be good, and say more than the whole.
type peersFile struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	text  []byte // of peers
	peers *grpcstore.Peers
	said  string // what has been logged
}

// The flags for such files, one for each side.
const (
	grpcPeersFlag = "grpc-server-peers-file"
	httpPeersFlag = "http-peers-file"
)

func newPeersFlag(flags *flag.FlagSet, name, server, needs string) *string {
	return flags.String(name, "", "file that says what clients of the "+server+" server may have, by the names in their certificates, which "+needs+" must demand; every client may have everything if empty (not in Thanos)")
}

// newPeersFlags declares both.
func (p *Program) newPeersFlags() {
	p.grpcPeers = newPeersFlag(p.Flags, grpcPeersFlag, "gRPC", "--grpc-server-tls-client-ca")
	p.httpPeers = newPeersFlag(p.Flags, httpPeersFlag, "HTTP", "--http.config")
}

// warnOpen logs which side lets every client have everything while the other one
// does not: who gave one flag may have meant both.
func (p *Program) warnOpen() {
	var server, name, clients string
	switch grpc, http := *p.grpcPeers != "", *p.httpPeers != ""; {
	case grpc == http:
		return
	case grpc:
		server, name, clients = "HTTP", httpPeersFlag, "whoever connects"
		if *p.httpConfig != "" {
			clients = "whoever --http.config lets in"
		}
	default:
		server, name, clients = "gRPC", grpcPeersFlag, "whoever connects"
		if p.grpcTLS.clientCA != "" {
			clients = "whoever has a certificate of --grpc-server-tls-client-ca"
		}
	}
	p.Log.Warn("clients of this server may have everything, unlike those of the other one", "server", server, "clients", clients, "flag", "--"+name)
}

// HTTPAllow returns what says for store.WithAllowed what the HTTP client may have
// that a context is of, by --http-peers-file; nil, which is everything, without the
// flag. It comes before Serve. The handler of a program that does not ask for it is
// for those only who may have everything.
func (p *Program) HTTPAllow() (func(context.Context) ([]*labels.Matcher, error), error) {
	p.httpAsked = true
	if err := p.openHTTPPeers(); err != nil || p.httpAllow == nil {
		return nil, err
	}
	return p.httpAllow.Allow, nil
}

// openHTTPPeers reads the file for the first time, if there is one.
func (p *Program) openHTTPPeers() (err error) {
	if p.httpPeers != nil && *p.httpPeers != "" && p.httpAllow == nil {
		p.httpAllow, err = openPeers(*p.httpPeers, p.Log)
	}
	return err
}

// ForAll is a handler that tells of everything: it is for HTTP clients only that
// may have that.
func (p *Program) ForAll(next http.Handler) http.Handler {
	return p.httpAllow.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.httpAllow != nil {
			if ms, err := p.httpAllow.Allow(r.Context()); err != nil || len(ms) > 0 {
				http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	}))
}

// handler has the context of a request say who the client is, as that of a gRPC call
// does, and lets in who is known. A nil file lets in everybody.
func (f *peersFile) handler(next http.Handler) http.Handler {
	if f == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if r.TLS != nil {
			ctx = peer.NewContext(ctx, &peer.Peer{AuthInfo: credentials.TLSInfo{State: *r.TLS}})
		}
		switch _, err := f.Allow(ctx); {
		case errors.Is(err, store.ErrDenied):
			http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		case err != nil:
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		default:
			next.ServeHTTP(w, r.WithContext(ctx))
		}
	})
}

// openPeers reads the file, for the first time.
func openPeers(path string, log *slog.Logger) (*peersFile, error) {
	f := &peersFile{path: path, log: log}
	if _, err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Allow is for grpcstore.ServerOptions.
func (f *peersFile) Allow(ctx context.Context) ([]*labels.Matcher, error) {
	peers, err := f.current()
	if err != nil {
		return nil, fmt.Errorf("%w: who may have what is not known", store.ErrUnavailable)
	}
	return peers.Allow(ctx)
}

// current returns what the file says, and logs what is wrong with it, once.
func (f *peersFile) current() (*grpcstore.Peers, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	peers, err := f.read()
	switch {
	case err != nil && err.Error() != f.said:
		f.said = err.Error()
		f.log.Error("nobody is let in", "err", err)
	case err == nil && f.said != "":
		f.said = ""
		f.log.Info("peers are good again", "file", f.path)
	}
	return peers, err
}

func (f *peersFile) read() (*grpcstore.Peers, error) {
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("load peers: %w", err)
	}
	if f.peers != nil && bytes.Equal(text, f.text) {
		return f.peers, nil
	}
	peers, err := parsePeers(text)
	if err != nil {
		return nil, fmt.Errorf("load peers %s: %w", f.path, err)
	}
	f.text, f.peers = text, peers
	return peers, nil
}

// peersYAML is what is in the file; errors name the types.
type (
	peersYAML struct {
		Peers []peerYAML `yaml:"peers"`
	}
	peerYAML struct {
		Name       string                      `yaml:"name"`
		Labels     map[string]discovery.Values `yaml:"labels"`
		Everything bool                        `yaml:"everything"`
	}
)

func parsePeers(text []byte) (*grpcstore.Peers, error) {
	var file peersYAML
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.SetStrict(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	peers := make([]grpcstore.Peer, 0, len(file.Peers))
	for _, p := range file.Peers {
		values := make(map[string][]string, len(p.Labels))
		for name, v := range p.Labels {
			values[name] = v
		}
		peers = append(peers, grpcstore.Peer{Name: p.Name, Labels: values, Everything: p.Everything})
	}
	return grpcstore.NewPeers(peers...)
}
