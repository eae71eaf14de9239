package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// Why members are stopped before they are done.
var (
	errEnough     = errors.New("limit of series reached")
	errWaitBudget = fmt.Errorf("wait budget used up: %w", context.DeadlineExceeded)
	errReturned   = errors.New("call has returned")
)

// Series asks every member that may hold series of the request, all at once,
// and sends their series to w in order. Equal series of several members are one,
// with all their chunks in order and without duplicates; see the package
// documentation.
//
// A limit is passed on to members, and ends the call when that many merged
// series were sent.
//
// Errors: that of w, or of the context. With the strategy Abort also the first
// member's failure that is noticed, as a *store.Error that names it, and
// ErrNoStores if there are no members. With Warn those are warnings.
func (f *Store) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	members := f.members()
	if len(members) == 0 {
		if req.Strategy == store.Abort {
			return store.ErrNoStores
		}
		return w.Warn(store.ErrNoStores)
	}
	c := &call{fanout: f, req: req, parent: ctx, notify: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	for _, m := range members {
		c.streams = append(c.streams, newStream(c, m))
	}
	defer c.record()
	return c.run(w)
}

// call is one call of Series.
type call struct {
	fanout  *Store
	req     *store.SeriesRequest
	parent  context.Context
	ctx     context.Context // ends with the parent, or when the call does
	cancel  context.CancelCauseFunc
	reach   reach
	streams []*stream // of all members
	wg      sync.WaitGroup

	// The streams that the merge waits for announce themselves here.
	mu     sync.Mutex
	ready  []*stream
	notify chan struct{}
}

// run runs the call to its end.
func (c *call) run(w store.SeriesWriter) error {
	running, err := c.plan(w)
	if err != nil {
		c.cancel(err)
		for _, s := range running {
			s.outcome.Status, s.outcome.Err = store.Canceled, err
		}
		return err
	}
	err = c.merge(running, w)
	if err == nil || errors.Is(err, errEnough) {
		return c.late(w)
	}
	return err
}

// merge asks members and merges their answers. When it returns all members are
// joined and all frames released.
func (c *call) merge(running []*stream, w store.SeriesWriter) (err error) {
	m := newMerge(c, w, running)
	defer func() {
		c.stop(running, err)
		m.release()
	}()
	for _, s := range running {
		s.start()
	}
	return m.run()
}

// plan returns the streams of the members that are to be asked, as far as that
// is known without asking them for their Info.
func (c *call) plan(w store.SeriesWriter) ([]*stream, error) {
	c.reach = reach{
		mint: c.req.MinTime, maxt: c.req.MaxTime, matchers: c.req.Matchers,
		withoutReplicaLabels: c.req.WithoutReplicaLabels, shard: c.req.Shard,
	}
	running := make([]*stream, 0, len(c.streams))
	notBefore := time.Now().Add(-c.fanout.maxAge())
	for _, s := range c.streams {
		if !s.ruledOut(notBefore, &c.reach) {
			running = append(running, s)
		}
	}
	for _, s := range c.streams {
		if err := c.report(s, w); err != nil {
			return running, err
		}
	}
	return running, nil
}

// report warns of a member that failed, or is the error of the call if the
// answer must be whole.
func (c *call) report(s *stream, w store.SeriesWriter) error {
	status, err := s.verdict()
	switch {
	case s.reported || (status != store.Failed && status != store.TimedOut):
		return nil
	case c.req.Strategy == store.Abort:
		return err
	}
	s.reported = true
	return w.Warn(err)
}

// pass passes on what a member warned of.
func (c *call) pass(s *stream, warnings []error, w store.SeriesWriter) error {
	for _, err := range warnings {
		s.outcome.Warnings = append(s.outcome.Warnings, err)
		if err := w.Warn(s.wrap(err)); err != nil {
			return err
		}
	}
	return nil
}

// announce is called by a stream that the merge waits for.
func (c *call) announce(s *stream) {
	c.mu.Lock()
	c.ready = append(c.ready, s)
	c.mu.Unlock()
	select {
	case c.notify <- struct{}{}:
	default:
	}
}

// announced appends the streams that announced themselves since the last call
// to buf.
func (c *call) announced(buf []*stream) []*stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	buf = append(buf, c.ready...)
	clear(c.ready)
	c.ready = c.ready[:0]
	return buf
}

// err is what ends the call once its context has ended.
func (c *call) err() error {
	if err := c.parent.Err(); err != nil {
		return err
	}
	return context.Cause(c.ctx)
}

// stop stops and joins all members that run and drops what they sent.
func (c *call) stop(running []*stream, cause error) {
	if cause == nil {
		cause = errReturned
	}
	c.cancel(cause)
	for _, s := range running {
		s.close()
	}
	c.wg.Wait()
}

// late passes on warnings that the merge did not get to because it had enough.
// A failure that it did not get to is none of what was sent.
func (c *call) late(w store.SeriesWriter) error {
	for _, s := range c.streams {
		if err := c.pass(s, s.take().warnings, w); err != nil {
			return err
		}
	}
	return nil
}

// record puts what became of each member into the request's Outcome and the
// metrics. All members have been joined.
func (c *call) record() {
	for _, s := range c.streams {
		s.outcome.Status, s.outcome.Err = s.verdict()
		s.record(c.req.Outcome)
		c.fanout.metrics.observe(&s.outcome)
		if s.ctx != nil && s.outcome.Status != store.Pruned && s.outcome.Series == 0 {
			c.fanout.metrics.empty.Inc()
		}
	}
}
