package clusters

import (
	"os"
	"os/exec"
	"testing"
)

// nginx returns the path of Debian's, which users who are not root do not have in
// PATH.
func nginx(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("find nginx: %v; it is in Debian's nginx-light", err)
	}
	return path
}
