package blocktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/thanos-io/objstore"
)

// body is the body of an answer: bytes counted, faults put in, and nothing more of
// it once the process is dead or the context has ended.
type body struct {
	ctx   context.Context
	c     *call
	inner io.ReadCloser
	r     io.Reader

	closing sync.Once
	closed  error
}

func newBody(ctx context.Context, c *call, inner io.ReadCloser) *body {
	b := &body{ctx: ctx, c: c, inner: inner, r: inner}
	if n, err := objstore.TryToGetSize(inner); err == nil {
		c.count(OpStats{Wanted: n})
	} else if c.Length > 0 {
		c.count(OpStats{Wanted: c.Length})
	}
	c.b.mu.Lock()
	c.b.bodies++
	fault := c.b.body
	c.b.mu.Unlock()
	if fault != nil {
		b.r = fault(c.Request, inner)
	}
	if c.cut == Torn {
		b.r = &torn{c: c, r: b.r}
	}
	return b
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fmt.Errorf("read %s: %w", b.c.Name, err)
	}
	if b.c.b.Dead() {
		return 0, dead(b.c.Request)
	}
	n, err := b.r.Read(p)
	b.c.count(OpStats{Read: int64(n)})
	return n, err
}

func (b *body) Close() error {
	b.closing.Do(func() {
		if b.c.cut == Torn {
			b.c.die()
		}
		b.closed = b.inner.Close()
		b.c.b.mu.Lock()
		defer b.c.b.mu.Unlock()
		b.c.b.bodies--
	})
	return b.closed
}

// ObjectSize is what the store says of the size, whatever becomes of the body.
func (b *body) ObjectSize() (int64, error) { return objstore.TryToGetSize(b.inner) }

// torn is the first half of a body, at whose end the process dies, if nobody has
// closed it earlier.
type torn struct {
	c    *call
	r    io.Reader
	half *bytes.Reader
}

func (t *torn) Read(p []byte) (int, error) {
	if t.half == nil {
		data, err := io.ReadAll(t.r)
		if err != nil {
			return 0, err
		}
		t.half = bytes.NewReader(data[:len(data)/2])
	}
	n, err := t.half.Read(p)
	if errors.Is(err, io.EOF) {
		t.c.die()
		return n, dead(t.c.Request)
	}
	return n, err
}
