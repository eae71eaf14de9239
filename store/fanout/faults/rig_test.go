package faults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// tracked counts the frames that a Store sent and nobody has released.
type tracked struct {
	remote
	alive *atomic.Int64
	came  chan<- struct{} // nil if nobody wants to know
}

func (s tracked) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	return s.remote.Series(ctx, req, &trackedWriter{w, s.alive, s.came})
}

type trackedWriter struct {
	store.SeriesWriter
	alive *atomic.Int64
	came  chan<- struct{}
}

func (w *trackedWriter) SendFrame(f *encoded.Frame) error {
	f.Retain()
	w.alive.Add(1)
	own := encoded.NewFrame(func(*encoded.Frame) {
		w.alive.Add(-1)
		f.Release()
	})
	defer own.Release()
	own.Series, own.Departs, own.Size = f.Series, f.Departs, f.Size
	err := w.SeriesWriter.(encoded.Writer).SendFrame(own)
	select {
	case w.came <- struct{}{}:
	default:
	}
	return err
}

// rig is a fan-out over the members "bad", which is at fault, and "eu", "us" and
// "ap", which are well and hold a cluster each. What bad holds of the cluster eu
// is the same as eu has, as of a replica.
type rig struct {
	*fanout.Store
	reg   *prometheus.Registry
	alive atomic.Int64
	came  chan struct{} // a token for each frame of bad

	members []fanout.Member
	bad     *memstore.Store
	others  []*memstore.Store
}

const (
	seriesOfBad = 16 // of each of its two clusters
	seriesEach  = 18 // more, so that some of eu are nobody else's
)

// healthy are the names of the members that are well.
var healthy = []string{"eu", "us", "ap"}

// badData is what the bad member would hold if it were well.
func badData(t testing.TB) faulty { return faulty{Store: hold(t, seriesOfBad, "bad", "eu")} }

// newRig makes one. bad is the member as it is asked, to is how the others are.
func newRig(t testing.TB, opts fanout.Options, bad fanout.Member, to func(testing.TB, remote) remote) *rig {
	t.Helper()
	r := &rig{reg: prometheus.NewRegistry(), came: make(chan struct{}, 1000), bad: badData(t).Store}
	opts.Registerer = r.reg
	if p, ok := bad.Store.(remote); ok {
		bad.Store = tracked{p, &r.alive, r.came}
	}
	bad.Name = "bad"
	r.members = append([]fanout.Member{bad}, r.well(t, to)...)
	var err error
	r.Store, err = fanout.New(fanout.Static(r.members...), &opts)
	testutil.Ok(t, err)
	return r
}

// well makes the members that are.
func (r *rig) well(t testing.TB, to func(testing.TB, remote) remote) []fanout.Member {
	t.Helper()
	var out []fanout.Member
	for _, name := range healthy {
		s := hold(t, seriesEach, name)
		r.others = append(r.others, s)
		out = append(out, fanout.Member{Name: name, Store: tracked{to(t, s), &r.alive, nil}})
	}
	return out
}

// whole is what all members that are well hold of a request, and beside that what
// the bad one would.
func (r *rig) whole(t testing.TB, change ...func(*store.SeriesRequest)) (others, bad data) {
	t.Helper()
	others = data{}
	for _, s := range r.others {
		maps.Copy(others, dataOf(t, s, change...))
	}
	return others, dataOf(t, r.bad, change...)
}

// answer is what came of one query.
type answer struct {
	*reader
	outcome *store.Outcome
	err     error
	took    time.Duration
}

// ask asks for everything, or what the request is changed to, and checks that
// what arrives makes sense, and that nothing of it is left behind.
func (r *rig) ask(t testing.TB, strategy store.PartialResponseStrategy, change ...func(*store.SeriesRequest)) answer {
	t.Helper()
	out := r.query(t, strategy, change...)
	testutil.Ok(t, out.reader.err)
	r.leavesNothing(t)
	return out
}

// query is ask while others do too.
func (r *rig) query(t testing.TB, strategy store.PartialResponseStrategy, change ...func(*store.SeriesRequest)) answer {
	t.Helper()
	req := everything()
	req.Strategy = strategy
	for _, c := range change {
		c(req)
	}
	out := answer{reader: &reader{}, outcome: req.Outcome}
	start := time.Now()
	out.err = r.Series(t.Context(), req, out.reader)
	out.took = time.Since(start)
	return out
}

// await waits for a number of frames of the bad member, and reports whether they came
// before ctx ended.
func (r *rig) await(ctx context.Context, n int) bool {
	for range n {
		select {
		case <-r.came:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// leavesNothing checks that no frame is alive and no byte borrowed.
func (r *rig) leavesNothing(t testing.TB) {
	t.Helper()
	testutil.Equals(t, int64(0), r.alive.Load(), "frames alive")
	testutil.Equals(t, 0.0, gauge(t, r.reg, "thanoskit_fanout_buffered_bytes"), "bytes of the budget")
	testutil.Equals(t, 0.0, gauge(t, r.reg, "thanoskit_fanout_abandoned_calls"), "calls left running")
}

func gauge(t testing.TB, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// statuses says in one line what became of members.
func statuses(o *store.Outcome) string {
	var out []string
	for _, m := range o.Members() {
		s := fmt.Sprintf("%s %s", m.Member, m.Status)
		if m.Reason != "" {
			s += ": " + m.Reason
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// fate is what has to become of the bad member.
type fate struct {
	status store.MemberStatus
	reason string
	// is is the condition of its error, text what that says beside the name.
	is   error
	text []string
	// arrived are the series that it sent before, of its own cluster; -1 if it
	// does not matter.
	arrived int
	// took is how long each query takes; anyTime says that it takes real time.
	took    time.Duration
	anyTime bool
	// lies says that it sends what it should not, which is not for a fan-out to
	// find out.
	lies bool
}

func (f *fate) failed() bool { return f.status == store.Failed || f.status == store.TimedOut }

// check asks with both strategies.
func (r *rig) check(t testing.TB, want fate, change ...func(*store.SeriesRequest)) {
	t.Helper()
	r.checkWarn(t, want, change...)
	r.checkAbort(t, want, change...)
}

func (r *rig) checkWarn(t testing.TB, want fate, change ...func(*store.SeriesRequest)) {
	t.Helper()
	a := r.ask(t, store.Warn, change...)
	testutil.Ok(t, a.err)
	reason := ""
	if want.reason != "" {
		reason = ": " + want.reason
	}
	testutil.Equals(t, fmt.Sprintf("bad %s%s, eu answered, us answered, ap answered", want.status, reason), statuses(a.outcome))
	r.holds(t, &a, &want, change)
	if want.arrived >= 0 {
		testutil.Equals(t, want.arrived, a.data.of("bad"), "series that came before the fault")
	}
	if !want.anyTime {
		testutil.Equals(t, want.took, a.took)
	}
	testutil.Equals(t, !want.failed(), a.outcome.Complete())
	if !want.failed() {
		testutil.Equals(t, 0, len(a.warnings), "%v", a.warnings)
		return
	}
	m := a.outcome.Members()[0]
	want.blames(t, m.Err)
	testutil.Equals(t, 1, len(a.warnings), "%v", a.warnings)
	testutil.Equals(t, m.Err, a.warnings[0])
}

func (r *rig) checkAbort(t testing.TB, want fate, change ...func(*store.SeriesRequest)) {
	t.Helper()
	a := r.ask(t, store.Abort, change...)
	if !want.anyTime {
		testutil.Equals(t, want.took, a.took)
	}
	if !want.failed() {
		testutil.Ok(t, a.err)
		r.holds(t, &a, &want, change)
		return
	}
	want.blames(t, a.err)
	for i, m := range a.outcome.Members() {
		switch {
		case i == 0:
			testutil.Equals(t, want.status, m.Status)
		default:
			testutil.Assert(t, m.Status == store.Answered || m.Status == store.Canceled, "%s", statuses(a.outcome))
		}
	}
}

// holds checks that the others' data is whole, and that the bad member's is its
// own, if it is to be.
func (r *rig) holds(t testing.TB, a *answer, want *fate, change []func(*store.SeriesRequest)) {
	t.Helper()
	others, bad := r.whole(t, change...)
	if want.lies {
		bad = nil
	}
	a.data.holds(t, others, bad)
}

// blames checks an error that is to name the bad member.
func (f *fate) blames(t testing.TB, err error) {
	t.Helper()
	testutil.NotOk(t, err)
	var e *store.Error
	testutil.Assert(t, errors.As(err, &e) && e.Store == "bad", "does not name the member: %v", err)
	testutil.Assert(t, strings.HasPrefix(err.Error(), "store bad: "), "%v", err)
	if f.is != nil {
		testutil.Assert(t, errors.Is(err, f.is), "not %q: %v", f.is, err)
	}
	for _, text := range f.text {
		testutil.Assert(t, strings.Contains(err.Error(), text), "no %q in: %v", text, err)
	}
}
