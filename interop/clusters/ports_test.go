package clusters

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// ports hands out addresses to listen on, each once: below those that kernels give
// to whoever dials, so that nobody has the address of a part while it is gone. It
// is safe for concurrent use.
type ports struct {
	mu    sync.Mutex
	given map[int]bool
}

// addr returns a loopback address that nobody listens on.
func (p *ports) addr(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	const low, high = 12000, 32000
	for range 1000 {
		port := low + rand.IntN(high-low)
		if p.given[port] {
			continue
		}
		p.given[port] = true
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return addr
		}
	}
	t.Fatal("find a free port: there is none")
	return ""
}
