package tls_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// ours are thanoskit's example programs, built once per run.
var ours = struct {
	sync.Mutex
	dir   string
	built map[string]string
}{built: map[string]string{}}

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

// server is a running component.
type server struct {
	grpc, http string // addresses
	cmd        *exec.Cmd
	log        string
	done       chan struct{}
	err        error
}

// start runs a component, ours or Thanos', until the test ends, and waits until it
// is ready. Its log is shown if the test fails.
func start(t testing.TB, name, path string, args ...string) *server {
	t.Helper()
	s := &server{grpc: proc.FreeAddr(t), http: proc.FreeAddr(t), log: filepath.Join(t.TempDir(), name+".log"), done: make(chan struct{})}
	f, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(path, append(args, "--grpc-address="+s.grpc, "--http-address="+s.http)...)
	s.cmd.Stdout, s.cmd.Stderr = f, f
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		s.err = errors.Join(s.cmd.Wait(), f.Close())
		close(s.done)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(20 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
		if t.Failed() {
			b, _ := os.ReadFile(s.log)
			all := strings.Split(strings.TrimSpace(string(b)), "\n")
			t.Logf("last lines of %s:\n%s", name, strings.Join(all[max(0, len(all)-20):], "\n"))
		}
	})
	await(t, name+" to be ready", s, func(ctx context.Context) error {
		_, err := get(ctx, "http://"+s.http+"/-/ready", nil)
		return err
	})
	return s
}

// await polls until cond holds, the component ends, or the time is up.
func await(t testing.TB, what string, s *server, cond func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proc.Patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.done:
			t.Fatalf("await %s: it ended: %v", what, s.err)
		case <-ctx.Done():
			t.Fatalf("await %s: %v", what, err)
		}
	}
}

func get(ctx context.Context, address string, out any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if out != nil {
		return resp.StatusCode, json.NewDecoder(resp.Body).Decode(out)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, fmt.Errorf("%s: %s", address, resp.Status)
	}
	return resp.StatusCode, nil
}

// answer is what a querier says to an instant query: series and values, sorted,
// and warnings.
func answer(ctx context.Context, s *server, query string) (series, warnings []string, err error) {
	var a struct {
		Status, Error string
		Warnings      []string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	q := url.Values{"query": {query}, "time": {"2026-01-01T00:02:00Z"}}
	if _, err := get(ctx, "http://"+s.http+"/api/v1/query?"+q.Encode(), &a); err != nil {
		return nil, nil, err
	}
	if a.Status != "success" {
		return nil, nil, errors.New(a.Error)
	}
	for _, r := range a.Data.Result {
		m, err := json.Marshal(r.Metric) // keys sorted
		if err != nil {
			return nil, nil, err
		}
		series = append(series, fmt.Sprint(string(m), " ", r.Value[1]))
	}
	slices.Sort(series)
	return series, a.Warnings, nil
}
