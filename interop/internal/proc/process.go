package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience is how long to wait for what has to come: many times what it takes, so
// that only what never comes fails, on a machine that others keep busy too. Sidecars
// look at their Prometheus again, and ship, every 30 s.
const Patience = 3 * time.Minute

// Process is a running program.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// Start runs a program until the test ends. Its log is shown if the test fails.
func Start(t testing.TB, name, path string, args ...string) *Process {
	t.Helper()
	p := Run(t, name, filepath.Join(t.TempDir(), name+".log"), path, args...)
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("last lines of %s:\n%s", name, p.Tail(30))
		}
	})
	return p
}

// Run starts a program for the caller to stop, with a log in a file of the caller's,
// which is added to.
func Run(t testing.TB, name, log, path string, args ...string) *Process {
	t.Helper()
	p := &Process{name: name, log: log, done: make(chan struct{})}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, errors.Join(err, f.Close()))
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = f.Close()
		close(p.done)
	}()
	return p
}

// Stop ends the program, kindly first.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Kill ends the program as a crash does, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Tail returns the last lines of the program's log.
func (p *Process) Tail(lines int) string {
	b, _ := os.ReadFile(p.log)
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Await polls until cond holds, the program behind it (which may be nil) ends, or
// the time is up.
func Await(t testing.TB, what string, p *Process, most time.Duration, cond func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error // but for that of the deadline
	for {
		err := cond(ctx)
		if err == nil {
			return
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		var gone <-chan struct{}
		if p != nil {
			gone = p.done
		}
		select {
		case <-tick.C:
		case <-gone:
			t.Fatalf("await %s: %s ended: %v\n%s", what, p.name, p.err, p.Tail(30))
		case <-ctx.Done():
			t.Fatalf("await %s: %v", what, last)
		}
	}
}

// AwaitHTTP waits for a page to answer 200.
func AwaitHTTP(t testing.TB, p *Process, url string) {
	t.Helper()
	Await(t, url, p, Patience, func(ctx context.Context) error {
		_, err := Get(ctx, url)
		return err
	})
}

// AwaitTCP waits for somebody to take connections at an address. Thanos' components
// say that they are ready just before they listen for gRPC.
func AwaitTCP(t testing.TB, p *Process, addr string) {
	t.Helper()
	Await(t, addr, p, Patience, func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// Get returns the body of a page that answers 200.
func Get(ctx context.Context, url string) ([]byte, error) {
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

// Endpoints returns an error unless the querier at an HTTP address, ours or Thanos',
// knows what so many endpoints hold.
func Endpoints(ctx context.Context, addr string, want int) error {
	body, err := Get(ctx, "http://"+addr+"/api/v1/stores")
	if err != nil {
		return err
	}
	var stores struct {
		Data map[string][]struct {
			LastError any `json:"lastError"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &stores); err != nil {
		return err
	}
	known := 0
	for _, kind := range stores.Data {
		for _, e := range kind {
			if e.LastError == nil {
				known++
			}
		}
	}
	if known != want {
		return fmt.Errorf("%s knows %d of %d endpoints: %s", addr, known, want, body)
	}
	return nil
}
