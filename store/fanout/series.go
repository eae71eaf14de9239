package fanout

import (
	"context"
	"errors"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// Series asks every member that may hold series of the request, all at once,
// and sends their series to w in order. Equal series of several members are one,
// with all their chunks in order and without duplicates; see the package
// documentation.
//
// A limit is passed on to members, and ends the call when that many merged
// series were sent.
//
// Errors: that of w, or of the context; a *store.LoopError if the call came
// through this fan-out before; a *store.IncompleteError if who is required did
// not answer whole. With the strategy Abort also the first failure or loss of a
// member that is noticed, as a *store.Error that names it, and ErrNoStores if
// there are no members. With Warn those are warnings.
func (f *Store) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	if err := f.looped(ctx); err != nil {
		return err
	}
	c := &call{
		round: round{fanout: f, op: opSeries, strategy: req.Strategy, require: req.Require, reach: reach{
			mint: req.MinTime, maxt: req.MaxTime, withoutReplicaLabels: req.WithoutReplicaLabels,
			shard: req.Shard, skipChunks: req.SkipChunks, storeMatch: req.StoreMatch,
		}},
		account: account{budget: &f.budget},
	}
	ok := c.reach.match(f, req.Matchers)
	r := *req
	r.Matchers, r.StoreMatch, r.Require = c.reach.matchers, nil, nil
	c.req = &r
	c.begin(ctx)
	for _, l := range f.members().logical {
		c.streams = append(c.streams, newStream(c, l))
	}
	err := c.run(w, ok)
	return c.close(req.Outcome, err, c.record)
}

// call is one call of Series.
type call struct {
	round
	req     *store.SeriesRequest // as members get it
	streams []*stream            // of all members
	account account              // of the budget

	branches []*branch // nil if the call is one merge
}

// run runs the call to its end.
func (c *call) run(w store.SeriesWriter, selected bool) error {
	running, err := c.plan(w, selected)
	if err != nil {
		c.leave(err, c.asked())
		return err
	}
	err = c.merge(running, w)
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if err := c.late(w); err != nil {
		return err
	}
	if c.absent(c.asked()) {
		return c.noStores(w.Warn)
	}
	return nil
}

func (c *call) asked() []*asked {
	out := make([]*asked, len(c.streams))
	for i, s := range c.streams {
		out[i] = &s.asked
	}
	return out
}

// merge asks members and merges their answers. When it returns all members are
// joined and all frames released.
func (c *call) merge(running []*stream, w store.SeriesWriter) (err error) {
	in := inputs(running)
	if c.branches = c.branch(running); c.branches != nil {
		in = inputs(c.branches)
	}
	m := newMerge(c, reader{w, time.Now()}, in)
	defer func() {
		c.stop(running, err)
		m.release()
		for _, b := range c.branches {
			b.merge.release()
		}
		for _, b := range c.branches {
			b.rethrow()
		}
	}()
	for _, s := range running {
		s.start()
	}
	for _, b := range c.branches {
		go b.run()
	}
	return m.run()
}

// plan returns the streams of the members that are to be asked, as far as that
// is known without asking them for their Info.
func (c *call) plan(w store.SeriesWriter, selected bool) ([]*stream, error) {
	running := make([]*stream, 0, len(c.streams))
	for _, s := range c.streams {
		if !s.ruledOut(selected) {
			running = append(running, s)
		}
	}
	for _, s := range c.streams {
		if err := c.report(s, w.Warn); err != nil {
			return running, err
		}
	}
	return running, nil
}

// report warns of a member that failed, or is the error of the call if the call
// must not go on without it.
func (c *call) report(s *stream, warn func(error) error) error {
	res := s.verdict()
	if s.reported || !res.failed() {
		return nil
	}
	if err := c.fatal(&s.asked, res); err != nil {
		return err
	}
	s.reported = true
	return warn(res.err)
}

// pass passes on what a member warned of.
func (c *call) pass(s *stream, warnings []error, w warner) error {
	for _, err := range warnings {
		s.passed = append(s.passed, err)
		if err := w.Warn(s.attribute(err)); err != nil {
			return err
		}
	}
	return nil
}

// stop stops and joins all members that run and drops what they sent.
func (c *call) stop(running []*stream, cause error) {
	if cause == nil {
		cause = errReturned
	}
	c.cancel(cause)
	for _, b := range c.branches {
		b.close()
	}
	for _, s := range running {
		s.close()
	}
	c.leave(cause, c.asked())
}

// late passes on warnings that the merge did not get to because it had enough.
// A failure that it did not get to is none of what was sent.
func (c *call) late(w store.SeriesWriter) error {
	for _, b := range c.branches {
		if err := b.pass(b.take().warnings, w); err != nil {
			return err
		}
	}
	for _, s := range c.streams {
		if err := c.pass(s, s.take().warnings, w); err != nil {
			return err
		}
	}
	return nil
}

// record puts what became of each member into out and the metrics. All members
// have been joined.
func (c *call) record(out *store.Outcome) {
	for _, s := range c.streams {
		if s.removed {
			continue
		}
		o := s.record(out, s.verdict(), s.passed)
		c.fanout.metrics.observe(&o)
		if s.ctx != nil && o.Status != store.Pruned && o.Series == 0 {
			c.fanout.metrics.empty.Inc()
		}
	}
}
