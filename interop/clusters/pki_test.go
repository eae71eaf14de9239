package clusters

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// pki is a directory with the CA of the observer in ca.crt, and certificates with
// their keys beside it: observer and ingress are clients, and so is stranger, whom
// another CA vouches for; observees are servers by name.
type pki struct{ dir string }

func newPKI(t testing.TB, dir string, observees ...string) pki {
	t.Helper()
	testutil.Ok(t, os.Mkdir(dir, 0o700))
	p := pki{dir}
	ca, err := tlsutil.NewCA("CA of the observer", 0) // A leaf of the same name would be self-signed to OpenSSL.
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(p.file("ca.crt")))
	other, err := tlsutil.NewCA("CA of somebody else", 0)
	testutil.Ok(t, err)
	write := func(name string) func(*tlsutil.Pair, error) {
		return func(pair *tlsutil.Pair, err error) {
			testutil.Ok(t, err)
			testutil.Ok(t, pair.WriteFiles(p.file(name+".crt"), p.file(name+".key")))
		}
	}
	write("observer")(ca.IssueClient(tlsutil.Leaf{CommonName: "observer"}))
	write("ingress")(ca.IssueClient(tlsutil.Leaf{CommonName: "ingress"}))
	write("stranger")(other.IssueClient(tlsutil.Leaf{CommonName: "observer"}))
	for _, name := range observees {
		write(name)(ca.IssueServer(tlsutil.Leaf{Hosts: []string{serverName(name)}}))
	}
	return p
}

func (p pki) file(name string) string { return filepath.Join(p.dir, name) }

// client is the profile of one of the clients, or of one without a certificate if
// name is empty.
func (p pki) client(name, observee string) *tlsutil.ClientOptions {
	o := &tlsutil.ClientOptions{CAFile: p.file("ca.crt"), ServerName: serverName(observee)}
	if name != "" {
		o.CertFile, o.KeyFile = p.file(name+".crt"), p.file(name+".key")
	}
	return o
}

// serverName is what the certificate of an observee is for.
func serverName(cluster string) string { return "querier." + cluster + ".example" }
