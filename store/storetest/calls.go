package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

const checkPrompt = "cancellation-prompt"

func callChecks() []check {
	return []check{
		{name: "send-error", doc: "An error of Send ends the call, and is returned as it is.", run: checkSendError},
		{name: checkPrompt, doc: "A call returns promptly when its context ends.", run: checkCancelPrompt},
		{name: "cancellation", doc: "A call whose context ends returns the context's error, unless it has sent everything.", run: checkCancel},
		{name: "goroutines", doc: "No goroutine outlives the call that started it.", run: checkGoroutines},
		{name: "one-send-at-a-time", doc: "Send is never called while it is running.", run: checkOneSend},
		{name: "slow-consumer", doc: "A reader that takes its time gets the same answer.", run: checkSlow},
		{name: "concurrent-calls", doc: "Calls at the same time are answered as one after the other.", run: checkConcurrent},
		{name: "request-unchanged", doc: "The request is not changed.", run: checkRequestUnchanged},
		{name: "ownership", doc: "What was sent is the reader's: the store neither changes it, nor minds if the reader does.", run: checkOwnership},
	}
}

// errEnough is what a reader returns that wants no more.
var errEnough = errors.New("reader wants no more")

func checkSendError(ctx context.Context, p *probe) error {
	if _, err := p.all(ctx); err != nil {
		return err
	}
	r := &receiver{known: p.known, onSend: func(int) error { return errEnough }}
	_, err := ask(ctx, p.store, p.request(), r)
	if !errors.Is(err, errEnough) {
		return fmt.Errorf("asked for %s: the error of the first Send was not returned, but %w", p.request(), orNil(err))
	}
	if r.sends > 1 {
		return fmt.Errorf("asked for %s: Send was called %d more times after it had returned an error", p.request(), r.sends-1)
	}
	return nil
}

// orNil makes an error that can be printed of one that may be nil.
func orNil(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// ending is how a call ended.
type ending struct {
	a    *answer
	err  error
	late bool // it had not ended when patience had
}

// canceled makes a call whose context ends with the first Send, and returns
// when the call has returned, or is late.
func (p *probe) canceled(ctx context.Context) ending {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended, late := make(chan struct{}), make(chan struct{})
	done := make(chan ending, 1)
	go func() {
		a, err := ask(ctx, p.store, p.request(), &receiver{known: p.known, onSend: func(n int) error {
			if n == 1 {
				cancel()
				close(ended)
			}
			select {
			case <-late: // if nothing else ends it
				return errEnough
			default:
				return nil
			}
		}})
		done <- ending{a: a, err: err}
	}()
	select {
	case e := <-done:
		return e
	case <-ended:
	}
	t := time.NewTimer(p.opts.Patience)
	defer t.Stop()
	select {
	case e := <-done:
		return e
	case <-t.C:
		close(late)
		return ending{late: true}
	}
}

func checkCancelPrompt(ctx context.Context, p *probe) error {
	if _, err := p.all(ctx); err != nil {
		return err
	}
	if p.canceled(ctx).late {
		return fmt.Errorf("asked for %s: the call is still running %s after its context ended", p.request(), p.opts.Patience)
	}
	return nil
}

func checkCancel(ctx context.Context, p *probe) error {
	if err := p.after(checkPrompt); err != nil {
		return err
	}
	whole, err := p.all(ctx)
	if err != nil {
		return err
	}
	e := p.canceled(ctx)
	if e.late {
		return unablef("needs %s, which fails now and then", checkPrompt)
	}
	if err := judgeEnded(whole, e.a, e.err, context.Canceled); err != nil {
		return fmt.Errorf("asked for %s, canceled during the first Send: %w", p.request(), err)
	}
	early, cancel := context.WithCancel(ctx)
	cancel()
	a, err := ask(early, p.store, p.request(), &receiver{})
	if err := judgeEnded(whole, a, err, context.Canceled); err != nil {
		return fmt.Errorf("asked for %s, canceled before the call: %w", p.request(), err)
	}
	past, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	a, err = ask(past, p.store, p.request(), &receiver{})
	if err := judgeEnded(whole, a, err, context.DeadlineExceeded); err != nil {
		return fmt.Errorf("asked for %s, with a deadline that has passed: %w", p.request(), err)
	}
	return nil
}

// judgeEnded says what is wrong with the end of a call whose context has ended.
func judgeEnded(whole, a *answer, err, cause error) error {
	switch {
	case err != nil && !errors.Is(err, cause):
		return fmt.Errorf("the call returned %w, which is not %w", err, cause)
	case err == nil && len(a.series) < len(whole.series):
		return fmt.Errorf("the call returned no error, but sent %d of %d series: an answer that was cut off looks whole", len(a.series), len(whole.series))
	}
	return nil
}

// checkOneSend takes its time in Send, for another one to come.
func checkOneSend(ctx context.Context, p *probe) error {
	if _, err := p.all(ctx); err != nil {
		return err
	}
	const times = 10
	a, err := ask(ctx, p.store, p.request(), &receiver{known: p.known, onSend: func(n int) error {
		if n <= times {
			return pause(ctx, p.slow/40)
		}
		return nil
	}})
	if err != nil {
		return err
	}
	if a.concurrent.Load() {
		return fmt.Errorf("asked for %s: Send was called while another Send was running", p.request())
	}
	return nil
}

// pause waits, as a reader does that has other things to do.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func checkSlow(ctx context.Context, p *probe) error {
	whole, err := p.all(ctx)
	if err != nil {
		return err
	}
	const short = time.Millisecond
	got, err := ask(ctx, p.store, p.request(), &receiver{known: p.known, onSend: func(n int) error {
		if n == 2 {
			return pause(ctx, p.slow)
		}
		if n%16 == 0 {
			return pause(ctx, short)
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("asked for %s by a reader that took %s for a Send: %w", p.request(), p.slow, err)
	}
	if diff := p.diffAnswers(whole, got); diff != "" {
		return fmt.Errorf("asked for %s by a reader that took %s for a Send: %s", p.request(), p.slow, diff)
	}
	return nil
}

// checkConcurrent holds calls up in their first Send until all have come to
// it, or some time has passed: a store may have some wait for others.
func checkConcurrent(ctx context.Context, p *probe) error {
	whole, err := p.all(ctx)
	if err != nil {
		return err
	}
	const calls, wait = 8, 500 * time.Millisecond
	names := distinct(whole, labels.MetricName)
	errs := make([]error, calls)
	var arrived, done sync.WaitGroup
	arrived.Add(calls)
	together := make(chan struct{})
	go func() { arrived.Wait(); close(together) }()
	for i := range calls {
		req := p.request()
		if i%2 == 1 && len(names) > 0 {
			req = p.request(equal(labels.MetricName, names[i*len(names)/calls]))
		}
		want := &answer{series: slices.DeleteFunc(slices.Clone(whole.series), func(s *series) bool { return !req.Matches(s.labels) })}
		done.Go(func() {
			var once sync.Once
			arrive := func() { once.Do(arrived.Done) }
			defer arrive()
			got, err := ask(ctx, p.store, req, &receiver{known: p.known, onSend: func(n int) error {
				if n > 1 {
					return nil
				}
				arrive()
				t := time.NewTimer(wait)
				defer t.Stop()
				select {
				case <-together:
				case <-t.C:
				case <-ctx.Done():
				}
				return ctx.Err()
			}})
			if err != nil {
				errs[i] = fmt.Errorf("asked for %s by one of %d calls at the same time: %w", describeRequest(req), calls, err)
			} else if diff := p.diffAnswers(want, got); diff != "" {
				errs[i] = fmt.Errorf("asked for %s by one of %d calls at the same time: %s", describeRequest(req), calls, diff)
			}
		})
	}
	done.Wait()
	<-together
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkRequestUnchanged(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	build := func() *store.SeriesRequest {
		req := p.request(
			labels.MustNewMatcher(labels.MatchRegexp, "storetest_z", ".*"),
			labels.MustNewMatcher(labels.MatchEqual, "storetest_y", ""),
			labels.MustNewMatcher(labels.MatchNotEqual, "storetest_x", "1"),
			labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, a.series[0].labels.Get(labels.MetricName)))
		req.WithoutReplicaLabels = []string{"storetest_z", "storetest_y", "storetest_x"}
		req.Hints = &store.QueryHints{Func: "rate", Grouping: []string{"b", "a"}, By: true}
		return req
	}
	before, req := build(), build()
	matchers := slices.Clone(req.Matchers)
	if err := p.store.Series(ctx, req, &receiver{a: &answer{}, byHash: map[uint64][]*series{}, max: p.opts.MaxSeries}); err != nil {
		return fmt.Errorf("asked for %s: %w", describeRequest(before), err)
	}
	if want, got := describeRequest(before), describeRequest(req); want != got {
		return fmt.Errorf("asked for %s: after the call, the request is %s", want, got)
	}
	if !slices.Equal(matchers, req.Matchers) {
		return fmt.Errorf("asked for %s: after the call, the request has other matchers", describeRequest(before))
	}
	return nil
}

// checkOwnership is the last check: a store that hands out its own memory has
// none left afterwards.
func checkOwnership(ctx context.Context, p *probe) error {
	whole, err := p.all(ctx)
	if err != nil {
		return err
	}
	var kept []*store.Series
	got, err := ask(ctx, p.store, p.request(), &receiver{known: p.known, max: p.opts.MaxSeries, keep: func(s *store.Series) { kept = append(kept, s) }})
	if err != nil {
		return err
	}
	for _, s := range kept {
		lset, _ := inOrder(s.Labels)
		first := got.find(lset)
		if first == nil || !slices.ContainsFunc(first.chunks, func(c store.Chunk) bool { return len(s.Chunks) == 0 || sameRaw(c, s.Chunks[0]) }) && len(s.Chunks) > 0 {
			return fmt.Errorf("series %s was changed after it had been sent", s.Labels)
		}
	}
	for _, s := range kept {
		poison(s)
	}
	if got, err = p.ask(ctx, p.request()); err != nil {
		return fmt.Errorf("after chunks of an earlier answer were overwritten: %w", err)
	}
	if diff := p.diffAnswers(whole, got); diff != "" {
		return fmt.Errorf("after chunks of an earlier answer were overwritten: %s: Send gives up what it is called with", diff)
	}
	return nil
}

func sameRaw(a, b store.Chunk) bool {
	return a.MinTime == b.MinTime && a.MaxTime == b.MaxTime && a.Raw.Encoding == b.Raw.Encoding && slices.Equal(a.Raw.Bytes, b.Raw.Bytes)
}

// poison overwrites chunks that were sent, which are the reader's.
func poison(s *store.Series) {
	for i := range s.Chunks {
		c := &s.Chunks[i]
		ds := []store.ChunkData{c.Raw}
		if a := c.Aggregated; a != nil {
			ds = append(ds, a.Count, a.Sum, a.Min, a.Max, a.Counter)
		}
		for _, d := range ds {
			for k := range d.Bytes {
				d.Bytes[k] = 0xff
			}
		}
		*c = store.Chunk{}
	}
}
