package proc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/efficientgo/core/errcapture"
)

// Ports that the kernel gives to nobody who does not ask for them: below those of
// clients, which on Linux begin at 32768.
const (
	firstPort = 16384
	endPort   = 32768
)

// FreeAddr returns a loopback address that nobody listens on, and that nobody else
// gets from here, in any process of this user, until the test ends.
func FreeAddr(t testing.TB) string {
	t.Helper()
	// It stays: a file that is removed while somebody opens it keeps nobody out.
	dir := filepath.Join(os.TempDir(), fmt.Sprint("thanoskit-ports-", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		port := firstPort + rand.IntN(endPort-firstPort)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		lock, err := lockFile(filepath.Join(dir, fmt.Sprint(port)))
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lock.Close() }) // which nobody writes to
		if free(addr) {
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// lockFile opens a file, and keeps others from doing so until it is closed, or the
// process ends.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		errcapture.Do(&err, f.Close, "close %s", name)
		return nil, err
	}
	return f, nil
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	return err == nil && l.Close() == nil
}
