package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// probe asks one Store on behalf of the checks. It is not safe for concurrent
// use.
type probe struct {
	store   store.Store
	opts    Options
	fixture *Fixture      // nil if the Store holds something else
	slow    time.Duration // how long a slow reader takes for a Send
	values  int           // of a label that matchers are tried with, if there is no fixture
	lacks   map[Feature]string
	// large returns a Store with the fixture of large series; nil if fixture is.
	large func() (store.Store, *Fixture, error)

	info   *store.Info // nil until the Store has described itself
	ranged bool        // the time range has been found
	whole  *answer     // all series with raw data
	empty  error       // why there is nothing to look at
	known  chunkCache  // of whole
	failed map[string]bool
}

// someValues are enough to find a matcher that is wrong, and not too many for a
// Store that has other things to do.
const someValues = 5

// slowSend is how long a slow reader takes.
const slowSend = 200 * time.Millisecond

func newProbe(s store.Store, o Options, f *Fixture) *probe {
	return &probe{store: s, opts: o, fixture: f, slow: slowSend, values: someValues, failed: map[string]bool{}}
}

// run makes a check.
func (p *probe) run(ctx context.Context, c *check) Result {
	r := Result{Check: c.name}
	err := p.able(ctx, c)
	if err == nil {
		err = c.run(ctx, p)
	}
	nothing, isNothing := errors.AsType[skip](err)
	why, isUnable := errors.AsType[unable](err)
	switch {
	case err == nil:
	case isUnable:
		r.Status, r.Reason = Skipped, string(why)
	case isNothing && p.fixture == nil:
		r.Status, r.Reason = Skipped, string(nothing)
	default:
		r.Status, r.Reason = Failed, shorten(err.Error())
		p.failed[c.name] = true
	}
	return r
}

// shorten leaves out the middle of a text that nobody would read.
func shorten(text string) string {
	const head, tail = 2 << 10, 512
	if len(text) <= head+tail {
		return text
	}
	return strings.ToValidUTF8(text[:head], "") + " ... " + strings.ToValidUTF8(text[len(text)-tail:], "")
}

// able returns an unable if the check cannot be made.
func (p *probe) able(ctx context.Context, c *check) error {
	if reason, ok := p.lacks[c.feature]; ok && c.feature != "" {
		return unablef("no %s: %s", c.feature, reason)
	}
	if c.conn && p.opts.Conn == nil {
		return unable("there is no connection to look at")
	}
	if c.announced == 0 {
		return nil
	}
	info, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if !c.announced.announced(info) {
		return unablef("the store does not announce %s", c.announced)
	}
	return nil
}

// after returns an unable if another check has failed.
func (p *probe) after(name string) error {
	if p.failed[name] {
		return unablef("needs %s, which failed", name)
	}
	return nil
}

// describe returns the Store's Info.
func (p *probe) describe(ctx context.Context) (*store.Info, error) {
	if p.info == nil {
		if err := p.after(checkInfo); err != nil {
			return nil, err
		}
		info, err := store.Describe(ctx, p.store)
		if err != nil {
			return nil, fmt.Errorf("ask for Info: %w", err)
		}
		p.info = &info
	}
	return p.info, nil
}

// setRange finds the range to look at if the options leave it open.
func (p *probe) setRange(ctx context.Context) error {
	if p.ranged {
		return nil
	}
	if p.opts.MinTime == 0 && p.opts.MaxTime == 0 {
		info, err := p.describe(ctx)
		if err != nil {
			return err
		}
		p.opts.MinTime, p.opts.MaxTime = info.TimeRange()
		p.opts.MaxTime = min(p.opts.MaxTime, time.Now().Add(-settled).UnixMilli())
		if p.opts.MinTime > p.opts.MaxTime {
			p.empty = skip("the store announces no data that is a minute old")
			return p.empty
		}
	}
	p.ranged = true
	return nil
}

// request asks for the series that the options choose and the matchers match.
// Only after all has been called.
func (p *probe) request(ms ...*labels.Matcher) *store.SeriesRequest {
	return &store.SeriesRequest{MinTime: p.opts.MinTime, MaxTime: p.opts.MaxTime, Matchers: append(slices.Clone(p.opts.Matchers), ms...)}
}

// metric asks for the series of a metric.
func (p *probe) metric(name string) *store.SeriesRequest {
	r := p.request()
	r.Matchers = []*labels.Matcher{equal(labels.MetricName, name)}
	return r
}

func equal(name, value string) *labels.Matcher {
	return &labels.Matcher{Type: labels.MatchEqual, Name: name, Value: value}
}

// ask makes a call that is to succeed; warnings are for one check to judge.
func (p *probe) ask(ctx context.Context, req *store.SeriesRequest) (*answer, error) {
	a, err := ask(ctx, p.store, req, &receiver{max: p.opts.MaxSeries, known: p.known})
	if err != nil {
		return nil, fmt.Errorf("asked for %s: %w", describeRequest(req), err)
	}
	return a, nil
}

// all returns the series that the options choose, with their raw data. The
// answers to other requests follow from it.
func (p *probe) all(ctx context.Context) (*answer, error) {
	if p.whole != nil || p.empty != nil {
		return p.whole, p.empty
	}
	if err := p.after(checkSeries); err != nil {
		return nil, err
	}
	if err := p.setRange(ctx); err != nil {
		return nil, err
	}
	a, err := p.ask(ctx, p.request())
	if err != nil {
		return nil, err
	}
	if len(a.series) == 0 {
		p.empty = skipf("the store has no series for %s", p.request())
		return nil, p.empty
	}
	p.known = chunkCache{}
	for _, s := range a.series {
		s.samples() // for good: calls at the same time are compared with them
		p.known.fill(s)
	}
	p.whole = a
	return a, nil
}
