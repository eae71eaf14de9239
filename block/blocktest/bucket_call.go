package blocktest

import (
	"context"
	"fmt"
	"time"
)

// uncut is what a call has that is not the one at which the process dies.
const uncut When = -1

// call is a request under way.
type call struct {
	Request
	b      *Bucket
	w      *window
	depth  int
	cut    When // uncut, or how the process dies at it.
	delay  func(Request) time.Duration
	fail   func(Request) error
	hidden func(name string) bool
}

// begin numbers a request and lets it wait and fail as the Bucket is told. After
// an error there is nothing to end.
func (b *Bucket) begin(ctx context.Context, r Request) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Op, r.Name, err)
	}
	c, err := b.number(r)
	if err != nil {
		return nil, err
	}
	if c.delay != nil {
		if err := sleep(ctx, c.delay(c.Request)); err != nil {
			return nil, c.end(fmt.Errorf("%s %s: %w", r.Op, r.Name, err))
		}
	}
	// Another call may have died meanwhile: what had not been sent by then never is.
	if b.Dead() {
		return nil, c.end(dead(r))
	}
	if err := c.failure(); err != nil {
		return nil, c.end(err)
	}
	return c, nil
}

// number gives a request its number, unless the process is dead or dies of it.
func (b *Bucket) number(r Request) (*call, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return nil, dead(r)
	}
	b.n++
	r.N = b.n
	b.log = append(b.log, r)
	c := &call{Request: r, b: b, w: b.window, cut: uncut, delay: b.delay, fail: b.fail, hidden: b.hidden}
	if b.n == b.cutAt {
		c.cut = b.cut
		b.dead = c.cut == Before || c.cut == Torn && !halves(r.Op)
	}
	c.depth = c.w.begin(r)
	if b.dead {
		c.w.end(r, c.depth, ErrDead)
		return nil, dead(r)
	}
	return c, nil
}

// failure returns what the Bucket is told to say instead of making the request.
func (c *call) failure() error {
	if c.fail == nil {
		return nil
	}
	if err := c.fail(c.Request); err != nil {
		return fmt.Errorf("%s %s: %w", c.Op, c.Name, err)
	}
	return nil
}

// end marks the answer of a request, which is an error or is not. It returns the
// error that the caller gets.
func (c *call) end(err error) error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	// A request that fails has no half at which to die.
	if c.cut == After || c.cut == Torn && err != nil {
		c.b.dead = true
	}
	if c.b.dead {
		err = dead(c.Request)
	}
	c.w.end(c.Request, c.depth, err)
	return err
}

func (c *call) die() {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.dead = true
}

// isHidden reports whether the object that the request is for is hidden.
func (c *call) isHidden() bool { return c.hidden != nil && c.hidden(c.Name) }

func (c *call) hiddenErr() error { return fmt.Errorf("%s %s: %w", c.Op, c.Name, ErrHidden) }

func dead(r Request) error { return fmt.Errorf("%s %s: %w", r.Op, r.Name, ErrDead) }

// sleep waits unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
