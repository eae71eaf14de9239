package fanout_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// running runs the fan-out until the test ends.
func running(t *testing.T, f *fanout.Store) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- f.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		testutil.Ok(t, <-ran)
	}
}

func TestRemoval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		reg := prometheus.NewRegistry()
		a, b, never, strict := newPatient(infoOf("eu")), newPatient(infoOf("us")), newPatient(store.Info{}), newPatient(infoOf("asia"), series("1"))
		never.fail(errDown)
		members := named(a, b, never, strict)
		members[3].Strict = true
		f := newFanout(t, &fanout.Options{
			InfoInterval: time.Second, RemoveAfter: time.Minute, Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}, members...)
		defer running(t, f)()
		testutil.Equals(t, "a answered, b answered, c failed, d answered", ask(t, f))
		<-time.After(500 * time.Millisecond)
		a.fail(errDown)
		strict.fail(errDown)
		<-time.After(time.Second)
		down := time.Now()
		testutil.Equals(t, "a failed, b answered, c failed, d answered", ask(t, f))

		<-time.After(59 * time.Second)
		testutil.Equals(t, "a failed, b answered, d answered", ask(t, f), "c was never there")
		<-time.After(time.Second)
		testutil.Equals(t, "b answered, d answered", ask(t, f))
		testutil.Equals(t, "b pruned: "+store.PrunedByLabels+", d pruned: "+store.PrunedByLabels, ask(t, f, eq("cluster", "eu")))
		names, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{Strategy: store.Abort})
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(names))
		info, err := f.Describe(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 2, len(info.LabelSets))
		h := f.Health()
		testutil.Equals(t, []bool{true, false, true, false}, []bool{h[0].Removed, h[1].Removed, h[2].Removed, h[3].Removed})
		testutil.Equals(t, []bool{false, false, false, true}, []bool{h[0].Strict, h[1].Strict, h[2].Strict, h[3].Strict})
		testutil.Assert(t, errors.Is(h[0].Err, errDown) && errors.Is(h[3].Err, errDown))
		testutil.Equals(t, down.Add(-500*time.Millisecond), h[0].Since)
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanoskit_fanout_members Members of the fan-out by health: healthy, unhealthy, removed or, if never asked for their Info, unknown.
# TYPE thanoskit_fanout_members gauge
thanoskit_fanout_members{health="healthy"} 1
thanoskit_fanout_members{health="removed"} 2
thanoskit_fanout_members{health="unhealthy"} 1
thanoskit_fanout_members{health="unknown"} 0
`), "thanoskit_fanout_members"))
		testutil.Equals(t, 1, strings.Count(log.String(), `msg="member removed until it describes itself" store=a`))

		a.heal()
		<-time.After(time.Second)
		testutil.Equals(t, "a answered, b answered, d answered", ask(t, f))
		testutil.Equals(t, 1, strings.Count(log.String(), `msg="member became healthy" store=a`))
		testutil.Assert(t, f.Health()[0].Since.Equal(f.Health()[0].Checked))
	})
}

// What is left of nothing is not an empty answer.
func TestAllRemoved(t *testing.T) {
	t.Parallel()
	for _, polled := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			a := newPatient(infoOf("eu"))
			a.fail(errDown)
			f := newFanout(t, &fanout.Options{RemoveAfter: time.Minute}, named(a)...)
			if polled {
				defer running(t, f)()
			}
			testutil.Equals(t, "a failed", ask(t, f))
			<-time.After(2 * time.Minute)
			out, r, err := outcomeOf(t, f, store.Warn)
			testutil.Ok(t, err)
			testutil.Equals(t, "", statuses(out))
			testutil.Equals(t, []error{store.ErrNoStores}, r.warnings)
			_, _, err = outcomeOf(t, f, store.Abort)
			testutil.Equals(t, store.ErrNoStores, err)
			out = &store.Outcome{}
			_, err = f.LabelNames(t.Context(), &store.LabelNamesRequest{Outcome: out})
			testutil.Ok(t, err)
			testutil.Equals(t, []error{store.ErrNoStores}, out.Warnings())
			_, err = f.LabelNames(t.Context(), &store.LabelNamesRequest{Strategy: store.Abort})
			testutil.Equals(t, store.ErrNoStores, err)
		})
	}
}

// A strict member that never described itself may hold anything; one that did is
// taken at its labels.
func TestStrict(t *testing.T) {
	t.Parallel()
	never, once := newPatient(store.Info{}, series("1")), newPatient(infoOf("eu"), series("2"))
	never.fail(errDown)
	members := named(never, once)
	members[0].Strict, members[1].Strict = true, true
	f := newFanout(t, nil, members...)
	testutil.NotOk(t, f.Sync(t.Context()))
	once.fail(errDown)
	testutil.NotOk(t, f.Sync(t.Context()))
	testutil.Equals(t, "a answered, b answered", ask(t, f))
	testutil.Equals(t, "a answered, b pruned: "+store.PrunedByLabels, ask(t, f, eq("cluster", "us")))

	group := grouped(never, failing(errDown))
	group[0].Strict = true
	f = newFanout(t, nil, group...)
	testutil.NotOk(t, f.Sync(t.Context()))
	testutil.Equals(t, "g answered, g/b pruned: "+store.PrunedByReplica+", g/a answered", ask(t, f))
	group = grouped(never, never)
	group[0].Strict = true
	f = newFanout(t, nil, group...)
	testutil.NotOk(t, f.Sync(t.Context()))
	testutil.Equals(t, "g answered, g/a answered", ask(t, f))
}

// One that flaps is neither removed nor does it flood the log, and what is logged
// last is how it is.
func TestFlapping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := newPatient(infoOf("eu"))
		f := newFanout(t, &fanout.Options{
			InfoInterval: time.Second, RemoveAfter: 3 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}, named(a)...)
		defer running(t, f)()
		<-time.After(500 * time.Millisecond)
		for range 300 { // 10 min
			a.fail(errDown)
			<-time.After(time.Second)
			testutil.Equals(t, "a failed", ask(t, f))
			a.heal()
			<-time.After(time.Second)
			testutil.Equals(t, "a answered", ask(t, f))
		}
		lines := strings.Count(log.String(), "\n")
		testutil.Assert(t, lines >= 20 && lines <= 44, "%d lines", lines)
		testutil.Equals(t, 0, strings.Count(log.String(), "removed"))
		testutil.Assert(t, strings.Contains(log.String(), "changes="))
		<-time.After(2 * time.Minute)
		all := strings.Split(strings.TrimSpace(log.String()), "\n")
		testutil.Assert(t, strings.Contains(all[len(all)-1], "became healthy"), all[len(all)-1])
		testutil.Assert(t, len(all) <= lines+1)
	})
}

// Who was removed and is now configured to be Strict is asked at once.
func TestRemovedBecomesStrict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPatient(infoOf("eu"), series("1"))
		a.fail(errDown)
		source := &shifting{}
		set := func(strict bool) { source.set(fanout.Member{Name: "a", Store: a, Strict: strict}) }
		set(false)
		f, err := fanout.New(source, &fanout.Options{InfoInterval: time.Second, RemoveAfter: time.Second})
		testutil.Ok(t, err)
		defer running(t, f)()
		<-time.After(2500 * time.Millisecond)
		testutil.Assert(t, f.Health()[0].Removed)
		set(true)
		testutil.Equals(t, "a answered", ask(t, f))
		testutil.Assert(t, !f.Health()[0].Removed)
	})
}
