package program

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v2"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// peersFile is the file that says what clients of the gRPC server may have, by the
// names in their certificates:
//
//	peers:
//	- name: spiffe://example/grafana
//	  everything: true
//	- name: team-eu.example
//	  labels: {cluster: [eu-1, eu-2]}
//
// It is read at each call. While it is not good, nobody is let in: that is safer
// than what it has said before.
type peersFile struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	text  []byte // of peers
	peers *grpcstore.Peers
	said  string // what has been logged
}

func newPeersFlag(flags *flag.FlagSet) *string {
	return flags.String("grpc-server-peers-file", "", "file that says what clients may have, by the names in their certificates; everybody may have everything if empty (not in Thanos)")
}

// openPeers reads the file, for the first time.
func openPeers(path string, log *slog.Logger) (*peersFile, error) {
	f := &peersFile{path: path, log: log}
	_, err := f.read()
	return f, err
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

func parsePeers(text []byte) (*grpcstore.Peers, error) {
	var file struct {
		Peers []struct {
			Name       string                      `yaml:"name"`
			Labels     map[string]discovery.Values `yaml:"labels"`
			Everything bool                        `yaml:"everything"`
		} `yaml:"peers"`
	}
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
