package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

var survival = flag.Bool("survival", false, "every component in turn is gone for 10 s, every bucket for 30 s and every observee for a minute, with history; if not, a few of them together, until that shows")

// answer is what came, in text: by cluster.
type answer map[string]string

// inquiry is something that is asked for all the time.
type inquiry struct {
	name string
	ask  func(ctx context.Context, s *suite) (answer, *store.Outcome, error)
	want answer // what a whole answer is
}

// suite asks a topology all the time, and judges what it answers.
type suite struct {
	*topology
	gates     *gates
	inquiries []*inquiry
	querier   func() *query.Querier

	mu      sync.Mutex
	wrong   []string
	answers int
	partial int
	named   map[string]bool // members that were named as incomplete, since a round began
	struck  []string        // those that may be named; all if nil
	silent  bool            // no answer is no surprise
	whole   map[string]int  // whole answers to each inquiry since the last that was not, or since asked
	since   time.Time       // when answers have to have been asked for to count
	changed chan struct{}   // closed, and replaced, with each answer
}

// ranged is an inquiry by a range query.
func ranged(t *topology, name, expr string, members string) *inquiry {
	q := question{expr: expr, from: t.live.Add(15 * time.Minute), to: t.end.Add(-time.Minute), step: promStep}
	if t.scale.age > 0 && strings.Contains(members, "gateway") {
		q.from, q.to, q.step = t.start.Add(day).Truncate(historyStep), t.live.Truncate(historyStep), historyStep
		q.opts.MaxResolution = new(query.AutoResolution)
	}
	q.opts.StoreMatch = [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchRegexp, "__address__", members)}}
	return &inquiry{name: name, ask: func(ctx context.Context, s *suite) (answer, *store.Outcome, error) {
		opts, out := q.opts, &store.Outcome{}
		opts.Outcome = out
		res, err := s.querier().Range(ctx, q.expr, q.from, q.to, q.step, &opts)
		if err != nil {
			return nil, out, err
		}
		got := answer{}
		for _, series := range res.Value.(promql.Matrix) {
			got[series.Metric.Get("cluster")] += series.String()
		}
		return got, res.Outcome, nil
	}}
}

// valued is an inquiry for the values of a label.
func valued(t *topology) *inquiry {
	return &inquiry{name: "values", ask: func(ctx context.Context, s *suite) (answer, *store.Outcome, error) {
		out := &store.Outcome{}
		values, _, err := s.querier().LabelValues(ctx, "cluster", t.live.UnixMilli(), t.end.UnixMilli(), nil, &query.QueryOptions{Outcome: out})
		got := answer{}
		for _, v := range values {
			got[v] = v
		}
		return got, out, err
	}}
}

// fetched is an inquiry by HTTP, of which only the warnings tell what is missing.
func fetched(t *topology) *inquiry {
	const expr = `sum by (cluster) (queue_length)`
	params := url.Values{"query": {expr}, "step": {"60"}, "start": {fmt.Sprint(t.live.Add(time.Hour).Unix())}, "end": {fmt.Sprint(t.end.Unix())}, "storeMatch[]": {`{__address__!~"gateway .*"}`}}
	to := "http://" + t.observer.addr() + "/api/v1/query_range?" + params.Encode() // the same in each of its lives
	return &inquiry{name: "HTTP", ask: func(ctx context.Context, _ *suite) (answer, *store.Outcome, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
		if err != nil {
			return nil, nil, err
		}
		tr := &http.Transport{DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		var body struct {
			Status, Error string
			Warnings      []string
			Data          struct {
				Result []struct {
					Metric map[string]string
					Values json.RawMessage
				}
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			return nil, nil, err
		}
		if body.Status != "success" {
			return nil, nil, fmt.Errorf("status is %s: %s", body.Status, body.Error)
		}
		got, out := answer{}, &store.Outcome{}
		for _, r := range body.Data.Result {
			got[r.Metric["cluster"]] += string(r.Values)
		}
		for _, w := range body.Warnings {
			out.AddWarning(errors.New(w))
		}
		return got, out, nil
	}}
}

// newSuite starts a topology, and asks it for what is right while all is well.
func newSuite(t *testing.T, opts options) *suite {
	t.Helper()
	opts.http, opts.host, opts.steady = "127.0.0.1:0", ownHost(), true
	g := newGates()
	opts.between = g.between
	top, err := startTopology(t.Context(), t.TempDir(), opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, top.stop()) })
	s := &suite{topology: top, gates: g, querier: top.querier.Load, named: map[string]bool{}, whole: map[string]int{}, changed: make(chan struct{})}
	s.inquiries = []*inquiry{
		ranged(top, "live", `sum by (cluster) (rate(orders_total[10m]))`, "(sidecar|querier) .*"),
		ranged(top, "all", `sum by (cluster) (orders_total)`, ".*"),
		ranged(top, "stored", `sum by (cluster) (increase(orders_total[6h]))`, "gateway .*"),
		valued(top), fetched(top),
	}
	for _, q := range s.inquiries {
		q.want = s.first(t, q)
		testutil.Equals(t, []string{"eu", "hub", "us"}, slices.Sorted(maps.Keys(q.want)), q.name)
	}
	return s
}

// first returns the first answer that is whole: who is not patient may not have heard
// of everybody yet.
func (s *suite) first(t *testing.T, q *inquiry) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		got, out, err := q.ask(ctx, s)
		testutil.Ok(t, err, q.name)
		if out.Complete() && len(out.Warnings()) == 0 {
			return got
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: no answer is whole: %v", q.name, out.Warnings())
		case <-time.After(s.interval):
		}
	}
}

// ownHost is a host whose ports no connection takes by chance while nobody listens
// on them, where there is one.
func ownHost() string {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		return ""
	}
	_ = l.Close()
	return "127.0.0.2"
}

// asking asks everything, over and over, until stop is called.
func (s *suite) asking(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, q := range s.inquiries {
		wg.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				got, out, err := q.ask(ctx, s)
				if ctx.Err() == nil {
					s.judge(q, began, got, out, err)
				}
				select { // Others want to be served, too.
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// judge takes an answer into account: it is right, or marked.
func (s *suite) judge(q *inquiry, began time.Time, got answer, out *store.Outcome, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.answers++
	say := func(format string, args ...any) {
		if len(s.wrong) < 20 {
			s.wrong = append(s.wrong, q.name+": "+fmt.Sprintf(format, args...))
		}
	}
	if err != nil {
		s.whole[q.name] = 0
		if !s.silent {
			say("no answer: %v", err)
		}
		return
	}
	// Who is incomplete, and what it may have.
	missing := map[string]bool{}
	for _, m := range out.Members() {
		if m.Complete() {
			continue
		}
		s.named[m.Member] = true
		if late := m.Status == store.TimedOut || errors.Is(m.Err, context.DeadlineExceeded); !late && !s.blamed(m.Member) {
			say("member %s is named: %v %v", m.Member, m.Err, m.Warnings)
		}
		for _, lset := range m.LabelSets {
			missing[lset.Get("cluster")] = true
		}
		if len(m.LabelSets) == 0 {
			missing["eu"], missing["hub"], missing["us"] = true, true, true
		}
	}
	if len(out.Members()) == 0 { // All that is known is what the warnings say.
		for _, w := range out.Warnings() {
			if text := w.Error(); !strings.Contains(text, context.DeadlineExceeded.Error()) && !s.blamed(text) {
				say("warning is of nobody: %v", w)
			}
			missing["eu"], missing["hub"], missing["us"] = true, true, true
		}
	}
	for _, c := range []string{"eu", "hub", "us"} {
		if got[c] != q.want[c] && !missing[c] {
			say("cluster %s is wrong, and not marked:\ngot  %.300s\nwant %.300s", c, got[c], q.want[c])
		}
	}
	for c := range got {
		if q.want[c] == "" {
			say("there is no cluster %q", c)
		}
	}
	switch {
	case len(missing) > 0:
		s.partial++
		s.whole[q.name] = 0
	case began.After(s.since):
		s.whole[q.name]++
	}
}

// blamed tells whether a name, or a text, is about a member that a fault has struck,
// or that is on the way to it.
func (s *suite) blamed(text string) bool {
	return s.struck == nil || slices.ContainsFunc(s.struck, func(name string) bool {
		top, _, _ := strings.Cut(name, "/")
		return text == name || text == top || strings.HasPrefix(text, "store "+top+": ")
	})
}

// await waits until what is judged is as wanted.
func (s *suite) await(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		s.mu.Lock()
		done, changed := ok(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("await %s: %w", what, ctx.Err())
		}
	}
}

// allWhole waits until each inquiry has been answered whole some times in a row.
func (s *suite) allWhole(ctx context.Context) error {
	s.mu.Lock()
	s.since = time.Now()
	clear(s.whole)
	s.mu.Unlock()
	return s.await(ctx, "whole answers", func() bool {
		return !slices.ContainsFunc(s.inquiries, func(q *inquiry) bool { return s.whole[q.name] < 3 })
	})
}

// round has faults strike, and mends them once they have shown and have lasted.
func (s *suite) round(ctx context.Context, faults []fault, lasts time.Duration) error {
	s.mu.Lock()
	clear(s.named)
	had := s.answers
	s.struck = []string{}
	for _, f := range faults {
		s.struck = append(s.struck, f.named...)
		s.silent = s.silent || f.silent
	}
	if s.silent { // A querier that is new does not know anybody.
		s.struck = nil
	}
	s.mu.Unlock()
	for _, f := range faults {
		if err := f.strike(); err != nil {
			return fmt.Errorf("strike %s: %w", f.name, err)
		}
	}
	timer := time.NewTimer(lasts)
	defer timer.Stop()
	for _, f := range faults {
		err := s.await(ctx, f.name+" to show", func() bool { return s.shows(f) && s.answers > had+2*len(s.inquiries) })
		if err != nil {
			return err
		}
	}
	<-timer.C
	for _, f := range faults {
		if err := f.mend(); err != nil {
			return fmt.Errorf("mend %s: %w", f.name, err)
		}
	}
	err := s.allWhole(ctx)
	s.mu.Lock()
	s.silent = false
	s.mu.Unlock()
	return err
}

// shows tells whether a fault has been named.
func (s *suite) shows(f fault) bool {
	return len(f.named) == 0 || slices.ContainsFunc(f.named, func(m string) bool { return s.named[m] })
}

// The topology survives. While components are killed and begin again, buckets go
// away, and observees are cut off, each answer is right, or is marked, by whom it
// lacks; and all are whole again afterwards.
func TestSurvival(t *testing.T) {
	// Who stalls is waited for as long as anybody, who on a machine that is busy takes
	// seconds for an answer.
	opts := options{scale: live, patience: 10 * time.Second, interval: 300 * time.Millisecond}
	if *survival {
		opts = options{scale: small, patience: 10 * time.Second}
	}
	s := newSuite(t, opts)
	stop := s.asking(t.Context())
	defer stop()
	rounds := s.storms()
	if *survival {
		rounds = append(s.each(), rounds...)
	}
	for _, faults := range rounds {
		began := time.Now()
		err := s.round(t.Context(), faults, s.lasts(faults))
		s.mu.Lock()
		t.Logf("%s: %s, of %d answers so far %d were partial; named were %q", names(faults), time.Since(began).Round(time.Millisecond), s.answers, s.partial, slices.Sorted(maps.Keys(s.named)))
		testutil.Equals(t, []string(nil), s.wrong, names(faults))
		s.mu.Unlock()
		testutil.Ok(t, err)
	}
}

// lasts is for how long faults last.
func (s *suite) lasts(faults []fault) time.Duration {
	if !*survival {
		return 0
	}
	longest := 10 * time.Second
	for _, f := range faults {
		switch {
		case strings.HasPrefix(f.name, "bucket"):
			longest = max(longest, 30*time.Second)
		case !strings.HasPrefix(f.name, "killed"):
			longest = max(longest, time.Minute)
		}
	}
	return longest
}

func names(faults []fault) string {
	var out []string
	for _, f := range faults {
		out = append(out, f.name)
	}
	return strings.Join(out, ", ")
}

// forgetful is a store that does not tell what is missing.
func forgetful(s store.Store) store.Store {
	return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		r := *req
		r.Outcome = nil
		return s.Series(ctx, &r, unwarned{w})
	})
}

type unwarned struct{ store.SeriesWriter }

func (unwarned) Warn(error) error { return nil }

// liar is a store that loses a sample now and then.
func liar(s store.Store) store.Store {
	n := 0
	var mu sync.Mutex
	return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		mu.Lock()
		n++
		lies := n%3 == 0
		mu.Unlock()
		if !lies {
			return s.Series(ctx, req, w)
		}
		r := *req
		r.MaxTime -= time.Hour.Milliseconds()
		return s.Series(ctx, &r, w)
	})
}

// The suite finds out who does not mark what is missing, and who answers wrong.
func TestSurvivalJudges(t *testing.T) {
	s := newSuite(t, options{scale: live, patience: 3 * time.Second, interval: 300 * time.Millisecond})
	for name, bad := range map[string]func(store.Store) store.Store{"forgetful": forgetful, "liar": liar} {
		q, err := query.New(bad(s.top.Load()), &query.Options{ReplicaLabels: []string{replicaLabel}})
		testutil.Ok(t, err)
		s.querier = func() *query.Querier { return q }
		testutil.Ok(t, s.observees[0].querier.link.set(refusing))
		stop := s.asking(t.Context())
		err = s.await(t.Context(), "something wrong", func() bool { return len(s.wrong) > 0 })
		stop()
		testutil.Ok(t, s.observees[0].querier.link.mend())
		testutil.Ok(t, err, name)
		testutil.Assert(t, strings.Contains(s.wrong[0], "is wrong, and not marked"), "%s: %v", name, s.wrong)
		s.wrong = nil
	}
}
