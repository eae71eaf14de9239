package proc

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Binary returns the path of a real component's program: thanos, prometheus,
// promtool, debian/prometheus, or versitygw. The directory of the test is one or
// two below that of the module.
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := binaryDir()
	if err != nil {
		t.Fatalf("find binaries: %v", err)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("find %s: %v; .ci/run builds it, or set THANOSKIT_INTEROP_BIN", name, err)
	}
	return path
}

// binaryDir is the folder that .ci/run fills: keyed by what the binaries are
// built from.
func binaryDir() (string, error) {
	if dir := os.Getenv("THANOSKIT_INTEROP_BIN"); dir != "" {
		return dir, nil
	}
	module := ".."
	if _, err := os.Stat(filepath.Join(module, "s3gateway")); errors.Is(err, fs.ErrNotExist) {
		module = "../.."
	}
	hash := sha256.New()
	for _, name := range []string{"go.sum", "s3gateway/go.sum"} {
		sum, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		hash.Write(sum)
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "thanoskit-interop", hex.EncodeToString(hash.Sum(nil))), nil
}

// Examples builds thanoskit's example programs, each once. The zero value is ready.
// It is safe for concurrent use.
type Examples struct {
	mu    sync.Mutex
	dir   string // of what is built, once there is something
	built map[string]string
}

// Main runs a package's tests, removes what was built for them, and ends the
// process: all that a TestMain has to do.
func (e *Examples) Main(m *testing.M) {
	code := m.Run()
	if e.dir != "" {
		_ = os.RemoveAll(e.dir)
	}
	os.Exit(code)
}

// Binary returns the path of an example's program. The test's directory is two
// below the root module's.
func (e *Examples) Binary(t testing.TB, name string) string {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if path := e.built[name]; path != "" {
		return path
	}
	if e.dir == "" {
		dir, err := os.MkdirTemp("", "thanoskit-interop")
		if err != nil {
			t.Fatalf("build examples/%s: %v", name, err)
		}
		e.dir, e.built = dir, map[string]string{}
	}
	path := filepath.Join(e.dir, name)
	cmd := exec.Command("go", "build", "-o", path, "github.com/thanoskit/thanoskit/examples/"+name)
	cmd.Dir = "../.." // the root module's own versions, not this one's
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build examples/%s: %v\n%s", name, err, out)
	}
	e.built[name] = path
	return path
}
