package s3

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

const (
	bucket = "history"
	key    = "interop"
	secret = "interop-secret-key"
)

// Server is a running S3 server that has one bucket, empty at first.
type Server struct {
	// Dir has the bucket's objects as files. Metadata is elsewhere: a file that is put
	// here is an object as well.
	Dir string

	addr string
}

// Start runs a server until the test ends, on a free port.
func Start(t testing.TB) *Server {
	t.Helper()
	root, meta := t.TempDir(), t.TempDir()
	s := &Server{Dir: filepath.Join(root, bucket), addr: proc.FreeAddr(t)}
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := proc.Start(t, "versitygw", proc.Binary(t, "versitygw"),
		"--port="+s.addr, "--access="+key, "--secret="+secret, "--keep-alive", "posix", "--sidecar="+meta, root)
	proc.AwaitTCP(t, p, s.addr)
	return s
}

// Config returns the bucket in Thanos' YAML. Objects have the prefix in front of
// their names, so that several tests can share a server; empty is none.
func (s *Server) Config(prefix string) string { return s.config(prefix, secret) }

// WrongConfig is Config with a secret that is not the server's.
func (s *Server) WrongConfig() string { return s.config("", "not-"+secret) }

func (s *Server) config(prefix, secret string) string {
	return fmt.Sprintf(`type: S3
config:
  bucket: %s
  endpoint: %s
  region: us-east-1
  insecure: true
  access_key: %s
  secret_key: %s
prefix: %q
`, bucket, s.addr, key, secret, prefix)
}
