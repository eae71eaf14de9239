package bucketstore

import (
	"context"
	"sync"
	"time"
)

// hedgeOptions say when a second request is sent beside a slow one.
type hedgeOptions struct {
	// delay is how long a request may take before a second one is sent: at least
	// this, and at least as long as 19 of 20 requests take. 0 sends none.
	delay time.Duration
	// share is how many requests in one thousand may be second ones. 0 is 50.
	share int
}

// hedger decides on second requests of all calls together. They cost the bucket
// what they are there to avoid, so there are few.
//
// Concurrency: safe.
type hedger struct {
	opts hedgeOptions

	mu     sync.Mutex
	tokens float64
	slow   time.Duration // Estimate of what 19 of 20 requests take less than.
}

const maxHedgeTokens = 8

func newHedger(opts hedgeOptions) *hedger {
	if opts.share == 0 {
		opts.share = 50
	}
	return &hedger{opts: opts, tokens: 1}
}

// begin counts a request and returns when to send a second one.
func (h *hedger) begin(size int) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens = min(h.tokens+float64(h.opts.share)/1000, maxHedgeTokens)
	return max(h.opts.delay, time.Duration(float64(h.slow)*sizeFactor(size)))
}

// sizeFactor is how many times as long a request takes for its size: one and one
// more for each MiB.
func sizeFactor(size int) float64 { return 1 + float64(size>>20) }

// end moves the estimate after a request that took that long: up by 19 steps or
// down by one, so that it comes to rest where one in 20 takes longer.
func (h *hedger) end(size int, took time.Duration) {
	took = time.Duration(float64(took) / sizeFactor(size))
	h.mu.Lock()
	defer h.mu.Unlock()
	switch step := max(h.slow/200, 10*time.Microsecond); {
	case h.slow == 0:
		h.slow = took
	case took > h.slow:
		h.slow += 19 * step
	default:
		h.slow = max(h.slow-step, 0)
	}
}

// allow reports whether a second request may be sent, and counts it.
func (h *hedger) allow() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tokens < 1 {
		return false
	}
	h.tokens--
	return true
}

// answer is how one of two requests ended.
type answer struct {
	buf *[]byte
	n   int64
	err error
}

// hedged reads a range by one request, whose slot the caller has taken, and by a
// second one beside it if that is slow, and need not wait for others to end. The
// first that succeeds wins, the other one is cancelled.
func (t *trip) hedged(ctx context.Context, off int64, buf []byte) (int64, error) {
	if t.hedges.opts.delay == 0 {
		return t.once(ctx, off, buf)
	}
	delay := t.hedges.begin(len(buf))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, 2) // So that the loser never waits.
	send := func() {
		t.losers.Go(func() {
			b := t.bufs.get(int64(len(buf)))
			start := time.Now()
			n, err := t.once(ctx, off, *b)
			if err == nil {
				t.hedges.end(len(buf), time.Since(start))
			}
			answers <- answer{b, n, err}
		})
	}
	send()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for running := 1; ; {
		select {
		case <-timer.C:
			if t.mayHedge() {
				t.st.addHedge()
				send()
				running++
			}
		case a := <-answers:
			running--
			if a.err == nil {
				copy(buf, (*a.buf)[:a.n])
			}
			t.bufs.put(a.buf)
			if a.err == nil || running == 0 {
				return a.n, a.err
			}
		}
	}
}

// mayHedge reports whether a second request may be sent at once, and takes a slot
// for it.
func (t *trip) mayHedge() bool {
	select {
	case t.slots <- struct{}{}:
	default:
		return false
	}
	if t.hedges.allow() {
		return true
	}
	<-t.slots
	return false
}
