package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// Peer is what a caller may have.
type Peer struct {
	// Name is one of the alternative names in the caller's certificate, as it
	// stands there: an IP address, a URI such as a SPIFFE ID if it has a colon, or
	// else a DNS name. A name of another kind that reads the same is not it: who
	// may have DNS names issued cannot make a URI of one. A common name is
	// nobody's.
	Name string
	// Labels are the external labels that all it gets must have: each name with
	// one of the values; see store.Having.
	Labels map[string][]string
	// Everything says that it may have all there is. It goes with no Labels.
	Everything bool
}

// Peers say what callers may have, by their certificates. The first that has a
// caller's name counts; who is not there is refused.
type Peers struct{ peers []knownPeer }

type knownPeer struct {
	name    string
	allowed []*labels.Matcher
}

// NewPeers checks and makes Peers. None refuse everybody.
//
// Errors: all peers that are wrong, joined: without a name, with a name that is
// taken, or neither with labels nor with everything; and see store.Having.
func NewPeers(peers ...Peer) (*Peers, error) {
	out := &Peers{}
	var errs []error
	for i, p := range peers {
		ms, err := p.check()
		switch {
		case p.Name == "":
			err = errors.New("there is no name")
		case slices.ContainsFunc(out.peers, func(o knownPeer) bool { return o.name == p.Name }):
			err = errors.New("name is there twice")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("peer %d %q: %w", i+1, p.Name, err))
		}
		out.peers = append(out.peers, knownPeer{p.Name, ms})
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("check peers: %w", errors.Join(errs...))
	}
	return out, nil
}

func (p *Peer) check() ([]*labels.Matcher, error) {
	switch {
	case p.Everything && len(p.Labels) > 0:
		return nil, errors.New("labels and everything exclude each other")
	case !p.Everything && len(p.Labels) == 0:
		return nil, errors.New("there are no labels; say so if it may have everything")
	}
	return store.Having(p.Labels)
}

// Allow returns what the caller may have whose call a server's context is of; for
// ServerOptions.Allow and store.WithAllowed. It is safe for concurrent use.
//
// Errors: store.ErrDenied for who has shown no certificate that was checked, and
// for who is not among the Peers, by what the certificate says.
func (p *Peers) Allow(ctx context.Context) ([]*labels.Matcher, error) {
	id, ok := PeerIdentity(ctx)
	if !ok {
		return nil, fmt.Errorf("%w: no client certificate", store.ErrDenied)
	}
	for i := range p.peers {
		if known := &p.peers[i]; hasName(&id, known.name) {
			return known.allowed, nil
		}
	}
	return nil, fmt.Errorf("%w: nothing is said of client %q with URIs %q and DNS names %q", store.ErrDenied, id.CommonName, id.URIs, id.DNSNames)
}

// hasName reports whether a name is among those of its kind.
func hasName(id *tlsutil.Identity, name string) bool {
	names := id.DNSNames
	if _, err := netip.ParseAddr(name); err == nil {
		names = id.IPAddresses
	} else if strings.Contains(name, ":") {
		names = id.URIs
	}
	return slices.Contains(names, name)
}
