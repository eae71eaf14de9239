package fanout

import (
	"context"
	"time"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// stream is the answer of one logical member on its way to the merge. The
// goroutine that runs the member writes to it, through a streamWriter, and the
// one that runs the merge takes from it. Both hold the lock of asked for that.
type stream struct {
	asked
	call   *call
	ctx    context.Context // the member's; nil if it is not asked
	cancel context.CancelCauseFunc
	cursor *cursor // of the merge that reads it

	// Of the merge: why it expelled the member, if it did, whether it told the
	// reader of a failure, and the warnings that it passed on.
	expelled *expulsion
	reported bool
	passed   []error

	queue    []*held
	head     int       // queue[:head] was taken
	open     *ownFrame // plain series that are not yet a frame in the queue
	warnings []error
	wanted   bool // the merge waits for this stream
	closed   bool // nothing is wanted
}

func newStream(c *call, l *logical) *stream {
	s := &stream{call: c}
	s.init(&c.round, l)
	s.settled, s.claimed = s.announce, s.adopt
	return s
}

// start asks the member.
func (s *stream) start() {
	s.ctx, s.cancel = context.WithCancelCause(s.call.ctx)
	s.call.crew.run(func() { s.ask(s.ctx, s.try) })
}

// try asks one replica.
func (s *stream) try(t *attempt) error {
	req := *s.call.req
	req.Outcome = t.nested
	return t.store.Series(t.ctx, &req, &streamWriter{s, t, make(chan struct{}, 1)})
}

// adopt takes over what the replica warned of whose answer the stream is from now
// on. It is called with the lock held.
func (s *stream) adopt(t *attempt) {
	s.warnings = append(s.warnings, t.pending...)
	t.pending = nil
}

// verdict is what became of the member. Only the merge, or who joined the
// member, may ask, and only once the member has ended or was expelled.
func (s *stream) verdict() result {
	if s.expelled != nil {
		return result{status: s.expelled.status, err: s.expelled.err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result
}

// expel stops a member whose answer ends here for the merge.
func (s *stream) expel(status store.MemberStatus, cause error) {
	s.expelled = &expulsion{status, s.attribute(cause)}
	s.cancel(s.expelled)
	s.close()
}

// attribute names who is to blame for an error or warning: the replica whose
// answer it is, if there is one.
func (s *stream) attribute(err error) error {
	s.mu.Lock()
	t := s.winner
	s.mu.Unlock()
	if t != nil {
		return t.wrap(err)
	}
	return s.wrap(err)
}

// streamWriter is what a replica writes to a stream with. The first replica of a
// group that sends a series is the only one whose answer is taken.
type streamWriter struct {
	s *stream
	t *attempt
	// wake says that a frame that the writer waits with was granted or settled. It
	// is not that of other replicas, whose frames are settled too when they are
	// refused.
	wake chan struct{}
}

// refusal is why the writer takes nothing any more; nil if it does. It is called
// with the lock held.
func (w *streamWriter) refusal() error {
	switch {
	case w.s.closed:
	case w.t.ended:
		if err := w.t.result.err; err != nil {
			return err
		}
	case w.t.ctx.Err() != nil: // the merge may be long in coming to see it
	case w.s.winner == nil || w.s.winner == w.t:
		return nil
	}
	return w.cause()
}

// cause is why the attempt's context has ended, or is about to.
func (w *streamWriter) cause() error {
	if err := context.Cause(w.t.ctx); err != nil {
		return err
	}
	return errSuperseded
}

// SendFrame waits until it is within bounds to make the next frame.
func (w *streamWriter) SendFrame(f *encoded.Frame) error {
	if len(f.Series) == 0 {
		return nil
	}
	c := countOf(f.Series)
	size := f.Size
	if size <= 0 {
		size = int(c.bytes)
	}
	if err := w.seal(); err != nil {
		return err
	}
	f.Retain()
	return w.put(&held{frame: f, size: int64(size), wake: w.wake, account: &w.s.call.account}, c)
}

// Send collects plain series into frames. The merge may take what there is at
// any time.
func (w *streamWriter) Send(series *store.Series) error {
	full, err := w.collect(series)
	if err != nil || !full {
		return err
	}
	return w.seal()
}

// collect reports whether it is time for a frame.
func (w *streamWriter) collect(series *store.Series) (full bool, err error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock() // also if the member sent something to panic about
	if err := w.refusal(); err != nil {
		return false, err
	}
	if s.open == nil {
		s.open = s.call.fanout.frames.get()
	}
	o := s.open
	o.addPlain(series)
	w.t.claim()
	w.count(countOf(o.Series[len(o.Series)-1:]))
	s.announce()
	return len(o.Series) >= maxInputSeries || o.payload >= maxInputBytes, nil
}

// Warn leaves the warning for the merge, which alone may use the reader's
// writer. If nothing may be missing, one that tells of a loss is a failure.
func (w *streamWriter) Warn(err error) error {
	if refused := w.leave(err); refused != nil || !w.isFailure(err) {
		return refused
	}
	res := w.t.failure(err)
	res.status = store.Failed
	w.t.end(res)
	return res.err
}

// isFailure reports whether a warning means that the member has failed.
func (w *streamWriter) isFailure(warning error) bool {
	return w.s.call.strategy == store.Abort && !store.IsAnnotation(warning)
}

// leave leaves a warning that is no failure for the merge: at once, or when it is
// certain that the answer is this replica's.
func (w *streamWriter) leave(warning error) error {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch refused := w.refusal(); {
	case refused != nil:
		return refused
	case w.isFailure(warning):
	case s.winner == nil && s.of.declared:
		w.t.pending = append(w.t.pending, warning)
	default:
		s.warnings = append(s.warnings, warning)
	}
	return nil
}

// seal puts what was collected.
func (w *streamWriter) seal() error {
	s := w.s
	s.mu.Lock()
	var h *held
	if s.winner == w.t {
		h = s.collected()
	}
	s.mu.Unlock()
	if h == nil {
		return nil
	}
	h.wake = w.wake
	return w.put(h, count{})
}

// put hands a frame to the merge and waits until its size is within the budget,
// or the merge is done with it. c counts series that were not counted yet.
func (w *streamWriter) put(h *held, c count) error {
	s := w.s
	granted := h.borrow()
	s.mu.Lock()
	if err := w.refusal(); err != nil {
		s.mu.Unlock()
		h.drop()
		return err
	}
	w.t.claim()
	w.count(c)
	s.queue = append(s.queue, h)
	s.announce()
	s.mu.Unlock()
	if granted {
		return nil
	}
	select {
	case <-w.wake:
		return nil
	case <-w.t.ctx.Done():
		return w.cause()
	}
}

// count counts what arrived. It is called with the lock held.
func (w *streamWriter) count(c count) {
	o := &w.t.outcome
	if o.Series == 0 && c.series > 0 {
		o.FirstSeries, w.s.first = time.Since(w.t.began), time.Since(w.s.began)
	}
	o.Series += c.series
	o.Chunks += c.chunks
	o.Bytes += c.bytes
}

// count is a number of series and what they have.
type count struct{ series, chunks, bytes int64 }

func countOf(series []encoded.Series) count {
	c := count{series: int64(len(series))}
	for i := range series {
		c.chunks += int64(len(series[i].Chunks))
		c.bytes += int64(series[i].Size())
	}
	return c
}

// collected returns the plain series that were collected, if any, as a frame that
// nobody waits with. It is called with the lock held.
func (s *stream) collected() *held {
	o := s.open
	if o == nil || len(o.Series) == 0 {
		return nil
	}
	s.open = nil
	return &held{frame: o.Frame, size: int64(o.Size), account: &s.call.account}
}

// announce tells a merge that waits for the stream. It is called with the lock
// held.
func (s *stream) announce() {
	if s.wanted {
		s.wanted = false
		s.cursor.ring()
	}
}

// attach is that of an input.
func (s *stream) attach(c *cursor) { s.cursor = c }

// waitBudget is that of an input.
func (s *stream) waitBudget() time.Duration { return s.of.budget }

// await is that of an input.
func (s *stream) await(bool) {}

// pass is that of an input.
func (s *stream) pass(warnings []error, to warner) error { return s.call.pass(s, warnings, to) }

// over is that of an input.
func (s *stream) over(to sink) error {
	if s.verdict().status == store.Canceled {
		return s.call.err()
	}
	return s.call.report(s, to.lost)
}

// take is that of an input.
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
		h.drop()
	}
	if open != nil {
		open.Release()
	}
}
