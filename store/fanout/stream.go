package fanout

import (
	"context"
	"sync"
	"time"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// stream is the answer of one member on its way to the merge. The goroutine
// that runs the member writes to it, as a store.SeriesWriter that takes frames,
// and the one that runs the merge takes from it.
type stream struct {
	asked
	call   *call
	ctx    context.Context // the member's
	cancel context.CancelCauseFunc
	cursor *cursor       // of the merge
	wake   chan struct{} // says that a frame that the writer waits with was granted or settled

	// Of the merge: why it expelled the member, if it did, and whether it told
	// the reader of a failure.
	expelled *expulsion
	reported bool

	mu       sync.Mutex
	queue    []*held
	head     int       // queue[:head] was taken
	open     *ownFrame // plain series that are not yet a frame in the queue
	warnings []error
	wanted   bool // the merge waits for this stream
	ended    bool // nothing follows
	closed   bool // nothing is wanted
}

func newStream(c *call, m *member) *stream {
	return &stream{asked: newAsked(m, opSeries), call: c}
}

// start asks the member.
func (s *stream) start() {
	s.ctx, s.cancel = context.WithCancelCause(s.call.ctx)
	s.wake = make(chan struct{}, 1)
	s.call.wg.Go(s.run)
}

// run is the goroutine of the member.
func (s *stream) run() {
	defer s.end()
	defer s.finish()
	s.fail(errExited) // unless what follows comes to its end
	ctx := s.trace(s.ctx, s.call.fanout.tracer)
	member, ok := s.admitted(ctx, s.call.fanout, &s.call.reach)
	if ok {
		req := *s.call.req
		req.Outcome = s.nested
		s.conclude(s.ctx, member.Series(ctx, &req, s))
	}
	if s.failed() && s.call.req.Strategy == store.Abort {
		s.call.cancel(s.outcome.Err)
	}
}

// verdict is what became of the member. Only the merge, or who joined the
// member, may ask, and only once the member has ended or was expelled.
func (s *stream) verdict() (store.MemberStatus, error) {
	if s.expelled != nil {
		return s.expelled.status, s.expelled.err
	}
	return s.outcome.Status, s.outcome.Err
}

// expel stops a member whose answer ends here for the merge.
func (s *stream) expel(status store.MemberStatus, cause error) {
	s.expelled = &expulsion{status, s.wrap(cause)}
	s.cancel(s.expelled)
	s.close()
}

// SendFrame waits until it is within bounds to make the next frame.
func (s *stream) SendFrame(f *encoded.Frame) error {
	if len(f.Series) == 0 {
		return nil
	}
	s.count(f.Series)
	size := f.Size
	if size <= 0 {
		for i := range f.Series {
			size += f.Series[i].Size()
		}
	}
	if err := s.seal(); err != nil {
		return err
	}
	f.Retain()
	return s.put(&held{frame: f, size: int64(size), wake: s.wake})
}

// Send collects plain series into frames. The merge may take what there is at
// any time.
func (s *stream) Send(series *store.Series) error {
	full, err := s.collect(series)
	if err != nil || !full {
		return err
	}
	return s.seal()
}

// collect reports whether it is time for a frame.
func (s *stream) collect(series *store.Series) (full bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock() // also if the member sent something to panic about
	if s.closed {
		return false, s.cause()
	}
	if s.open == nil {
		s.open = s.call.fanout.frames.get()
	}
	o := s.open
	o.addPlain(series)
	s.count(o.Series[len(o.Series)-1:])
	s.announce()
	return len(o.Series) >= maxInputSeries || o.payload >= maxInputBytes, nil
}

// Warn leaves the warning for the merge, which alone may use the reader's
// writer.
func (s *stream) Warn(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.cause()
	}
	s.warnings = append(s.warnings, err)
	return nil
}

// seal puts what was collected.
func (s *stream) seal() error {
	s.mu.Lock()
	h := s.collected()
	s.mu.Unlock()
	if h == nil {
		return nil
	}
	return s.put(h)
}

// collected returns the plain series that were collected, if any. It is called
// with the lock held.
func (s *stream) collected() *held {
	o := s.open
	if o == nil || len(o.Series) == 0 {
		return nil
	}
	s.open = nil
	return &held{frame: o.Frame, size: int64(o.Size), wake: s.wake}
}

// put hands a frame to the merge and waits until its size is within the budget,
// or the merge is done with it.
func (s *stream) put(h *held) error {
	b := &s.call.fanout.budget
	granted := b.borrow(h)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		h.frame.Release()
		b.settle(h)
		return s.cause()
	}
	s.queue = append(s.queue, h)
	s.announce()
	s.mu.Unlock()
	if granted {
		return nil
	}
	select {
	case <-s.wake:
		return nil
	case <-s.ctx.Done():
		return s.cause()
	}
}

// end says that nothing follows.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.announce()
}

// announce tells a merge that waits for the stream. It is called with the lock
// held.
func (s *stream) announce() {
	if s.wanted {
		s.wanted = false
		s.call.announce(s)
	}
}

// cause is why the member's context has ended.
func (s *stream) cause() error { return context.Cause(s.ctx) }

// count is called by the member's goroutine.
func (s *stream) count(series []encoded.Series) {
	if s.outcome.Series == 0 {
		s.outcome.FirstSeries = time.Since(s.began)
	}
	s.outcome.Series += int64(len(series))
	for i := range series {
		s.outcome.Chunks += int64(len(series[i].Chunks))
		s.outcome.Bytes += int64(series[i].Size())
	}
}

// taken is what take found.
type taken struct {
	frame    *held // nil if there is none
	ended    bool  // and there will be none
	warnings []error
}

// take returns the next frame if there is one. If not, and one may come, the
// stream announces itself to the call when it does.
func (s *stream) take() taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := taken{warnings: s.warnings}
	s.warnings = nil
	if s.head < len(s.queue) {
		t.frame, s.queue[s.head] = s.queue[s.head], nil
		if s.head++; s.head == len(s.queue) {
			s.queue, s.head = s.queue[:0], 0
		}
		return t
	}
	if t.frame = s.collected(); t.frame == nil { // else it is not paid for, but small
		t.ended, s.wanted = s.ended, !s.ended
	}
	return t
}

// close drops what is queued and refuses what is put from now on. The member's
// context must have ended.
func (s *stream) close() {
	s.mu.Lock()
	queue, open := s.queue[s.head:], s.open
	s.queue, s.head, s.open, s.closed = nil, 0, nil, true
	s.mu.Unlock()
	for _, h := range queue {
		h.frame.Release()
		s.call.fanout.budget.settle(h)
	}
	if open != nil {
		open.Release()
	}
}
