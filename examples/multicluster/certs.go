package main

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// certs are the files that mTLS takes, as something like cert-manager would mount
// them. Who replaces them is followed by those who use them.
type certs struct {
	ca       string             // of the observer, which issues everybody's
	servers  map[string]keyPair // of observees' queriers, by cluster
	observer keyPair            // of the client
	stranger keyPair            // of a client, of another CA
	bothCAs  string             // what nobody should trust
}

// keyPair is the files of a certificate and of its key.
type keyPair struct{ cert, key string }

// serverName is what the certificate of an observee's querier is for.
func serverName(cluster string) string { return "querier." + cluster + ".example" }

// issueCerts makes a CA that issues a certificate for the observer and for each
// of the observees, and another CA.
func issueCerts(dir string, observees ...string) (*certs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &certs{ca: filepath.Join(dir, "ca.crt"), bothCAs: filepath.Join(dir, "both.crt"), servers: map[string]keyPair{}}
	ca, err := tlsutil.NewCA("observer", 0)
	if err != nil {
		return nil, err
	}
	if err := ca.WriteFile(c.ca); err != nil {
		return nil, err
	}
	for _, name := range observees {
		if c.servers[name], err = write(dir, name)(ca.IssueServer(tlsutil.Leaf{Hosts: []string{serverName(name)}})); err != nil {
			return nil, err
		}
	}
	client := tlsutil.Leaf{URIs: []string{"spiffe://example/observer"}}
	if c.observer, err = write(dir, "observer")(ca.IssueClient(client)); err != nil {
		return nil, err
	}
	other, err := tlsutil.NewCA("somebody else", 0)
	if err != nil {
		return nil, err
	}
	if c.stranger, err = write(dir, "stranger")(other.IssueClient(client)); err != nil {
		return nil, err
	}
	return c, os.WriteFile(c.bothCAs, bytes.Join([][]byte{ca.PEM(), other.PEM()}, nil), 0o600)
}

// write writes a certificate that has been issued to files of a name.
func write(dir, name string) func(*tlsutil.Pair, error) (keyPair, error) {
	return func(p *tlsutil.Pair, err error) (keyPair, error) {
		if err != nil {
			return keyPair{}, err
		}
		files := keyPair{cert: filepath.Join(dir, name+".crt"), key: filepath.Join(dir, name+".key")}
		return files, p.WriteFiles(files.cert, files.key)
	}
}
