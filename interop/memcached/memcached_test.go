package memcached_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/store/bucketstore/memcached"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// binary returns where memcached is.
func binary(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("THANOSKIT_INTEROP_BIN"); dir != "" {
		path := filepath.Join(dir, "memcached")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath("memcached")
	testutil.Ok(t, err)
	return path
}

// start starts a server at that address, or at a free one, and returns the
// address and how to kill it.
func start(t testing.TB, addr string, args ...string) (string, func()) {
	t.Helper()
	if addr == "" {
		addr = freeAddr(t)
	}
	host, port, err := net.SplitHostPort(addr)
	testutil.Ok(t, err)
	var out bytes.Buffer
	cmd := exec.Command(binary(t), append([]string{"-l", host, "-p", port, "-U", "0", "-u", "nobody"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	testutil.Ok(t, cmd.Start())
	var once sync.Once
	kill := func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // It was killed.
		})
	}
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			t.Logf("memcached at %s says:\n%s", addr, &out)
		}
	})
	eventually(t, "memcached listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return addr, kill
}

// freeAddr returns a loopback address that nobody listens on, with a port that the
// kernel gives to nobody who does not ask for it: those of clients begin, on Linux, at
// 32768. Nobody else gets it while a server is away, nor does a client that dials it
// then connect to itself.
func freeAddr(t testing.TB) string {
	t.Helper()
	const first, end = 16384, 32768
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(end-first))
		if ln, err := net.Listen("tcp", addr); err == nil {
			testutil.Ok(t, ln.Close())
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// patience is many times what anything takes, so that only what never comes fails.
const patience = 3 * time.Minute

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func open(t testing.TB, opts memcached.Options) *memcached.Cache {
	t.Helper()
	opts.Timeout = patience // of one request, which has to be answered
	c, err := memcached.New(&opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return c
}

func get(c *memcached.Cache, keys ...string) []string {
	values := make([][]byte, len(keys))
	c.Get(context.Background(), keys, values)
	out := make([]string, len(keys))
	for i, v := range values {
		if out[i] = string(v); v == nil {
			out[i] = "-"
		}
	}
	return out
}

// TestManyKeys sets and gets more than fits into one request, over two servers.
func TestManyKeys(t *testing.T) {
	a, _ := start(t, "")
	b, _ := start(t, "")
	c := open(t, memcached.Options{Servers: []string{a, b}})
	var keys []string
	for i := range 3000 {
		keys = append(keys, fmt.Sprintf("tk1/s/01HZZZZZZZZZZZZZZZZZZZZZZZ/%d", i))
		c.Set(keys[i], []byte(keys[i]))
	}
	eventually(t, "all are set", func() bool {
		for i, v := range get(c, keys...) {
			if v != "-" && v != keys[i] {
				t.Fatalf("%q for %q", v, keys[i])
			}
			if v == "-" {
				return false
			}
		}
		return true
	})
	testutil.Equals(t, []string{"-", "-"}, get(c, "absent", strings.Repeat("k", 251)))
}

// TestSizes sets empty, binary and large values. What the server takes for too
// large harms nothing else.
func TestSizes(t *testing.T) {
	addr, _ := start(t, "")
	c := open(t, memcached.Options{Servers: []string{addr}})
	large := strings.Repeat("\r\nEND\r\n\x00", (1<<20-5<<10)/8)
	c.Set("empty", nil)
	c.Set("large", []byte(large))
	c.Set("larger", make([]byte, 1<<20))
	eventually(t, "values are set", func() bool { return get(c, "large")[0] != "-" && get(c, "empty")[0] != "-" })
	testutil.Assert(t, get(c, "large")[0] == large, "differs")
	testutil.Equals(t, []string{"", "-"}, get(c, "empty", "larger"))

	refused := open(t, memcached.Options{Servers: []string{addr}, MaxItemBytes: 8 << 20, Writers: 1})
	refused.Set("larger", make([]byte, 4<<20))
	refused.Set("after", []byte("v"))
	eventually(t, "what follows is set", func() bool { return get(c, "after")[0] == "v" })
	testutil.Equals(t, []string{"-"}, get(c, "larger"))
}

// TestRestart loses all values with the server, and goes on when it is back.
func TestRestart(t *testing.T) {
	addr, kill := start(t, "")
	c := open(t, memcached.Options{Servers: []string{addr}})
	c.Set("key", []byte("v"))
	eventually(t, "it is set", func() bool { return get(c, "key")[0] == "v" })
	kill()
	for range 20 {
		testutil.Equals(t, []string{"-"}, get(c, "key"))
	}
	start(t, addr)
	eventually(t, "it is set again", func() bool {
		c.Set("key", []byte("w"))
		return get(c, "key")[0] == "w"
	})
}

// TestEvicts sets more than the server has room for.
func TestEvicts(t *testing.T) {
	addr, _ := start(t, "", "-m", "4")
	c := open(t, memcached.Options{Servers: []string{addr}})
	value := bytes.Repeat([]byte("v"), 10_000)
	for i := range 2000 {
		c.Set(fmt.Sprint(i), value)
	}
	eventually(t, "the last one is set", func() bool {
		c.Set("last", value)
		return get(c, "last")[0] == string(value)
	})
	missing := 0
	for i := range 2000 {
		switch get(c, fmt.Sprint(i))[0] {
		case "-":
			missing++
		case string(value):
		default:
			t.Fatalf("value of %d differs", i)
		}
	}
	testutil.Assert(t, missing > 0)
}
