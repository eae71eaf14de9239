package memcached_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// server is a memcached of a few lines, that can be told to misbehave.
type server struct {
	addr string
	ln   net.Listener

	hang  atomic.Bool // Answers nothing.
	drop  atomic.Bool // Closes connections.
	gets  atomic.Int64
	sets  atomic.Int64
	asked atomic.Int64 // Keys.

	mu     sync.Mutex
	values map[string][]byte
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

func newServer(t testing.TB) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	s := &server{addr: ln.Addr().String(), ln: ln, values: map[string][]byte{}, conns: map[net.Conn]struct{}{}}
	s.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = struct{}{}
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(s.stop)
	return s
}

// stop closes everything, and waits for it.
func (s *server) stop() {
	_ = s.ln.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *server) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil || s.drop.Load() {
			return
		}
		fields := strings.Fields(line)
		var answer string
		switch fields[0] {
		case "gets":
			s.gets.Add(1)
			s.asked.Add(int64(len(fields) - 1))
			answer = s.get(fields[1:])
		case "set":
			n, err := strconv.Atoi(fields[4])
			if err != nil {
				return
			}
			data := make([]byte, n+2)
			if _, err := io.ReadFull(r, data); err != nil {
				return
			}
			s.put(fields[1], data[:n])
			s.sets.Add(1)
			answer = "STORED\r\n"
		}
		if s.hang.Load() {
			continue
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func (s *server) get(keys []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, key := range keys {
		if v, ok := s.values[key]; ok {
			fmt.Fprintf(&b, "VALUE %s 0 %d 1\r\n%s\r\n", key, len(v), v)
		}
	}
	return b.String() + "END\r\n"
}

func (s *server) put(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
}
