package topology

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary returns the path of a real component's program.
func binary(t testing.TB, name string) string {
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
	sum, err := os.ReadFile("../go.sum")
	if err != nil {
		return "", err
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, ".cache")
	}
	hash := sha256.Sum256(sum)
	return filepath.Join(cache, "thanoskit-interop", hex.EncodeToString(hash[:])), nil
}

// ourBinary builds one of thanoskit's example programs, once per test run.
func ourBinary(t testing.TB, name string) string {
	t.Helper()
	ours.Lock()
	defer ours.Unlock()
	if path := ours.built[name]; path != "" {
		return path
	}
	path := filepath.Join(ours.dir, name)
	cmd := exec.Command("go", "build", "-o", path, "github.com/thanoskit/thanoskit/examples/"+name)
	cmd.Dir = "../.." // the root module's own versions, not this one's
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build examples/%s: %v\n%s", name, err, out)
	}
	ours.built[name] = path
	return path
}

var ours = struct {
	sync.Mutex
	dir   string
	built map[string]string
}{built: map[string]string{}}

// process is a running program.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// start runs a program until the test ends. Its log is shown if the test fails.
func start(t testing.TB, name, path string, args ...string) *process {
	t.Helper()
	p := &process{name: name, log: filepath.Join(t.TempDir(), name+".log"), done: make(chan struct{})}
	f, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = f.Close()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("last lines of %s:\n%s", name, tail(p.log, 30))
		}
	})
	return p
}

// stop ends the program, kindly first.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func tail(path string, lines int) string {
	b, _ := os.ReadFile(path)
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// await polls until cond holds, the program behind it ends, or the time is up.
func await(t testing.TB, what string, p *process, most time.Duration, cond func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = cond(ctx); last == nil {
			return
		}
		var gone <-chan struct{}
		if p != nil {
			gone = p.done
		}
		select {
		case <-tick.C:
		case <-gone:
			t.Fatalf("await %s: %s ended: %v\n%s", what, p.name, p.err, tail(p.log, 30))
		case <-ctx.Done():
			t.Fatalf("await %s: %v", what, last)
		}
	}
}

// awaitHTTP waits for a page to answer 200.
func awaitHTTP(t testing.TB, p *process, url string) {
	t.Helper()
	await(t, url, p, time.Minute, func(ctx context.Context) error {
		_, err := get(ctx, url)
		return err
	})
}

// get returns the body of a page that answers 200.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", url, resp.Status, body)
	}
	return body, err
}

// freeAddr returns a loopback address that nobody listens on. The kernel does
// not hand the same port out again soon.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
