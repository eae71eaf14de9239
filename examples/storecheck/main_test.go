package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/tlsutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcome is what a run of the program said.
type outcome struct {
	status   int
	out, log string
}

func storecheck(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, log bytes.Buffer
	status := run(t.Context(), args, &out, &log)
	return outcome{status, out.String(), log.String()}
}

// failed returns the names of the checks that failed.
func (o outcome) failed() []string {
	var out []string
	for line := range strings.Lines(o.out) {
		if rest, ok := strings.CutPrefix(line, "FAIL "); ok {
			name, _, _ := strings.Cut(rest, ":")
			out = append(out, name)
		}
	}
	return out
}

// requireLines checks that each line was printed as a whole, or begins one if it
// ends with a colon.
func (o outcome) requireLines(t *testing.T, lines ...string) {
	t.Helper()
	for _, l := range lines {
		want := "\n" + l
		if !strings.HasSuffix(l, ":") {
			want += "\n"
		}
		testutil.Assert(t, strings.Contains("\n"+o.out, want), "no line %q in:\n%s%s", l, o.out, o.log)
	}
}

// serve serves a Store until the test ends, and returns its address.
func serve(t *testing.T, s store.Store, opts ...grpc.ServerOption) string {
	t.Helper()
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{GRPC: opts, GracePeriod: -1})
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		testutil.Ok(t, <-done)
	})
	return l.Addr().String()
}

// fixtureStore is a Store that holds the fixture as it should be.
func fixtureStore(t *testing.T, opts *storetest.FixtureOptions) store.Store {
	t.Helper()
	f, err := storetest.NewFixture(opts)
	testutil.Ok(t, err)
	s := memstore.New(&memstore.Options{Component: "debug"})
	for _, x := range f.Series() {
		testutil.Ok(t, s.AddSeries(x))
	}
	return store.Wrap(s, store.WithExternalLabels(f.ExternalLabels()))
}

// spoiled is a Store whose every series is handed to spoil first.
func spoiled(s store.Store, spoil func(req *store.SeriesRequest, x *store.Series) (send bool)) store.Store {
	return override{s, func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		for x, err := range store.All(ctx, s, req, req.Outcome) {
			if err != nil {
				return err
			}
			if spoil(req, x) {
				if err := w.Send(x); err != nil {
					return err
				}
			}
		}
		return nil
	}}
}

// override is a Store with another Series.
type override struct {
	store.Store

	series store.Func
}

func (o override) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	return o.series(ctx, req, w)
}

func (o override) Describe(ctx context.Context) (store.Info, error) {
	return store.Describe(ctx, o.Store)
}

func TestRightStore(t *testing.T) {
	t.Parallel()
	addr := serve(t, fixtureStore(t, nil))
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	mint, maxt := f.TimeRange()
	from, to := rfc3339(mint), rfc3339(maxt)
	t.Run("any store", func(t *testing.T) {
		t.Parallel()
		got := storecheck(t, addr, "-from="+from, "-to="+to, "-replica-label=x")
		testutil.Equals(t, 0, got.status, got.out)
		got.requireLines(t, "ok series", "ok batches", "ok sharding-hash", "ok matchers-external", "skip large-messages:")
		testutil.Assert(t, strings.HasPrefix(got.log, "checking debug at "+addr+` by series that match {__name__!=""} from `+from+" to "+to+"\n"), got.log)
		testutil.Assert(t, strings.HasSuffix(got.log, "skipped\n") && strings.Contains(got.log, " ok, 0 failed, "), got.log)
	})
	t.Run("the last hour", func(t *testing.T) {
		t.Parallel()
		m := memstore.New(&memstore.Options{Component: "debug"})
		for _, at := range []string{"2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:30:00Z"} {
			ts, err := time.Parse(time.RFC3339, at)
			testutil.Ok(t, err)
			testutil.Ok(t, m.Append(labels.FromStrings(labels.MetricName, "up"), ts.UnixMilli(), 1))
		}
		addr := serve(t, m)
		got := storecheck(t, addr, "-check=series,order")
		testutil.Equals(t, outcome{
			0, "ok series\nok order\n",
			"checking debug at " + addr + ` by series that match {__name__!=""} from 2026-01-01T01:30:00Z to 2026-01-01T02:30:00Z` + "\n2 ok, 0 failed, 0 skipped\n",
		}, got)
	})
	t.Run("the last minute", func(t *testing.T) {
		t.Parallel()
		m := memstore.New(&memstore.Options{OpenEnd: true})
		now := time.Now()
		testutil.Ok(t, m.Append(labels.FromStrings(labels.MetricName, "up"), now.Add(-30*time.Minute).UnixMilli(), 1))
		got := storecheck(t, serve(t, m), "-check=series")
		testutil.Equals(t, 0, got.status)
		_, to, _ := strings.Cut(strings.SplitN(got.log, "\n", 2)[0], " to ")
		end, err := time.Parse(time.RFC3339, to)
		testutil.Ok(t, err)
		// Times are told in whole milliseconds.
		testutil.Assert(t, !end.Before(now.Add(-time.Minute-time.Millisecond)) && !end.After(time.Now().Add(-time.Minute)), to)
	})
	t.Run("fixture", func(t *testing.T) {
		t.Parallel()
		got := storecheck(t, "-fixture-check", "--", addr)
		testutil.Equals(t, 0, got.status, got.out)
		got.requireLines(t, "ok fixture/storetest_floats", "ok fixture/storetest_histogram", "ok fixture/storetest_mixed", "ok fixture/storetest_stale")
	})
	t.Run("some series", func(t *testing.T) {
		t.Parallel()
		got := storecheck(t, `-matcher={v=~"c.+",__name__="storetest_floats"}`, addr, "-max-series=1")
		testutil.Equals(t, 0, got.status, got.out)
		got.requireLines(t, "ok series", "skip matchers-none:")
	})
	t.Run("too many series", func(t *testing.T) {
		t.Parallel()
		got := storecheck(t, addr, "-max-series=10", "-from="+from)
		testutil.Equals(t, outcome{2, "", `storecheck: there are more than 10 series that match {__name__!=""} from ` + from + " to " + to + `: choose some with -matcher, or raise -max-series` + "\n"}, got)
	})
	t.Run("no data", func(t *testing.T) {
		t.Parallel()
		got := storecheck(t, serve(t, memstore.New(nil)), "-check=series")
		testutil.Equals(t, 2, got.status) // else whoever checks nothing would take it for good
		got.requireLines(t, "skip series:")
		testutil.Assert(t, strings.Contains(got.log, "storecheck: not all checks were made: store has no series that are wanted"), got.log)
	})
}

// TestFixtureWithout: a Store may lack what the fixture has, and have other
// external labels.
func TestFixtureWithout(t *testing.T) {
	t.Parallel()
	addr := serve(t, fixtureStore(t, &storetest.FixtureOptions{
		ExternalLabels: labels.FromStrings("cluster", "c 1"),
		Lacks:          []storetest.Feature{storetest.NativeHistograms, storetest.UTF8Names},
	}))
	args := []string{"-fixture-check", addr, `-external-label=cluster="c 1"`, "-check=series", "-fixture-lacks=native histograms"}
	got := storecheck(t, append(args, "-fixture-lacks=UTF-8 names")...)
	testutil.Equals(t, 0, got.status, got.out)
	got = storecheck(t, args...)
	testutil.Equals(t, 1, got.status)
	testutil.Equals(t, []string{"fixture/storetest_größe.°C", "fixture/storetest_utf8"}, got.failed())
}

func TestWrongStore(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil  func(req *store.SeriesRequest, x *store.Series) bool
		checks string
		failed []string
		line   string
	}{
		"no series with a limit of 1": {
			spoil:  func(req *store.SeriesRequest, _ *store.Series) bool { return req.Limit != 1 },
			checks: "series,limit", failed: []string{"limit"}, line: "FAIL limit: asked for {",
		},
		"a series is missing": {
			spoil: func(_ *store.SeriesRequest, x *store.Series) bool {
				return x.Labels.Get(labels.MetricName) != "storetest_stale"
			},
			checks: "series", failed: []string{"fixture/storetest_stale"},
			line: `FAIL fixture/storetest_stale: series {A="first", __name__="storetest_stale", job="external", zone="z1"} is missing`,
		},
		"samples are missing": {
			spoil: func(_ *store.SeriesRequest, x *store.Series) bool {
				if x.Labels.Get(labels.MetricName) == "storetest_long" && len(x.Chunks) > 1 {
					x.Chunks = x.Chunks[1:]
				}
				return true
			},
			checks: "series", failed: []string{"fixture/storetest_long"},
			line: `FAIL fixture/storetest_long: series {A="first", __name__="storetest_long", job="external", zone="z1"}: the sample at `,
		},
		"a series too many": {
			spoil: func(_ *store.SeriesRequest, x *store.Series) bool {
				b := labels.NewBuilder(x.Labels)
				if b.Get(labels.MetricName) == "storetest_stale" {
					b.Set("zone2", "x")
				}
				x.Labels = b.Labels()
				return true
			},
			checks: "series", failed: []string{"fixture/storetest_stale"},
			line: "FAIL fixture/storetest_stale: series",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := storecheck(t, "-fixture-check", serve(t, spoiled(fixtureStore(t, nil), tc.spoil)), "-check="+tc.checks)
			testutil.Equals(t, 1, got.status)
			testutil.Equals(t, tc.failed, got.failed(), got.out)
			testutil.Assert(t, strings.Contains(got.out, tc.line), got.out)
		})
	}
}

// late is a Store of which one kind of call ends as it does when its time is up, so
// that nobody has to wait for that.
type late struct {
	store.Store

	info bool // Info is late; Series if not
	mu   sync.Mutex
	had  []time.Duration // how long the calls might have taken, -1 for ever
}

func (l *late) end(ctx context.Context) error {
	left := time.Duration(-1)
	if at, ok := ctx.Deadline(); ok {
		left = time.Until(at)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.had = append(l.had, left)
	return context.DeadlineExceeded
}

func (l *late) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	if l.info {
		return l.Store.Series(ctx, req, w)
	}
	return l.end(ctx)
}

func (l *late) Describe(ctx context.Context) (store.Info, error) {
	if l.info {
		return store.Info{}, l.end(ctx)
	}
	return store.Describe(ctx, l.Store)
}

// TestLateStore: no call may take longer than the flags say, and one that does is a
// failure.
func TestLateStore(t *testing.T) {
	t.Parallel()
	const each, all = "-call-timeout=1m", "-timeout=1m"
	for name, tc := range map[string]struct {
		info     bool
		args     []string
		out, log string
	}{
		"calls": {
			args: []string{each, "-timeout=1h", "-check=series,order,label-names"},
			out:  "FAIL series: ", log: "0 ok, 1 failed, 2 skipped\n",
		},
		"everything": {
			args: []string{all, "-call-timeout=1h", "-from=2023-11-14T22:00:00Z", "-check=info,series,order"},
			out:  "FAIL series: ", log: "1 ok, 1 failed, 1 skipped\n",
		},
		"Info": {
			info: true, args: []string{each, "-timeout=1h", "-check=info,series"},
			out: "FAIL info: ",
		},
		"Info, but the range is given": {
			info: true, args: []string{each, "-timeout=1h", "-from=2023-11-14T22:00:00Z", "-to=2023-11-15T00:00:00Z", "-check=info,series"},
			out: "ok series\n", log: "1 ok, 1 failed, 0 skipped\n",
		},
		"Info, everything": {info: true, args: []string{all, "-call-timeout=1h"}, out: "FAIL info: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &late{Store: fixtureStore(t, nil), info: tc.info}
			got := storecheck(t, append(tc.args, serve(t, s))...)
			testutil.Equals(t, 1, got.status, got.out+got.log)
			testutil.Assert(t, strings.Contains(got.out, tc.out) && strings.Contains(got.log, tc.log), got.out+got.log)
			s.mu.Lock()
			defer s.mu.Unlock()
			testutil.Assert(t, len(s.had) > 0)
			for _, d := range s.had {
				testutil.Assert(t, d >= 0 && d <= time.Minute, "a call had %s", d)
			}
		})
	}
}

// TestSilentStore: who takes connections and says nothing is not reached.
func TestSilentStore(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, l.Close()) }()
	for _, arg := range []string{"-call-timeout=200ms", "-timeout=200ms"} {
		got := storecheck(t, l.Addr().String(), arg)
		testutil.Equals(t, 2, got.status, got.out+got.log)
		testutil.Assert(t, strings.Contains(got.log, "storecheck: reach the store: "), got.log)
	}
}

// TestEndedEarly: who is told to end while a store is silent says what was not done.
func TestEndedEarly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, override{fixtureStore(t, nil), func(ctx context.Context, _ *store.SeriesRequest, _ store.SeriesWriter) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}})
	var out, log bytes.Buffer
	testutil.Equals(t, 1, run(ctx, []string{addr, "-check=series,order"}, &out, &log), "%s%s", &out, &log)
	testutil.Assert(t, strings.Contains(log.String(), "storecheck: not all checks were made: check series: context canceled\n"), "%s%s", &out, &log)
}

// TestEndlessStore: one that takes no notice of what is asked for, and sends on.
func TestEndlessStore(t *testing.T) {
	t.Parallel()
	addr := serve(t, override{fixtureStore(t, nil), func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for i := 0; ; i++ {
			if err := w.Send(&store.Series{Labels: labels.FromStrings(labels.MetricName, "up", "i", fmt.Sprintf("%09d", i))}); err != nil {
				return err
			}
		}
	}})
	got := storecheck(t, addr)
	testutil.Equals(t, 2, got.status)
	testutil.Assert(t, strings.Contains(got.log, "there are more than 1000 series"), got.log)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	defer l.Close()
	// While this lasts, nobody can listen on its own address.
	conn, err := net.Dial("tcp", l.Addr().String())
	testutil.Ok(t, err)
	defer conn.Close()
	got := storecheck(t, conn.LocalAddr().String())
	testutil.Equals(t, 2, got.status)
	testutil.Assert(t, strings.Contains(got.log, "connection refused"), got.log)
	testutil.Equals(t, "", got.out)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca, err := tlsutil.NewCA("ca", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(file("ca.crt")))
	pair, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"store.example"}})
	testutil.Ok(t, err)
	testutil.Ok(t, pair.WriteFiles(file("tls.crt"), file("tls.key")))
	config, err := tlsutil.NewServer(file("tls.crt"), file("tls.key"), nil)
	testutil.Ok(t, err)
	addr := serve(t, fixtureStore(t, nil), grpc.Creds(credentials.NewTLS(config.Config())))

	got := storecheck(t, addr, "-check=series", "--grpc-client-tls-secure", "--grpc-client-tls-ca="+file("ca.crt"), "--grpc-client-server-name=store.example")
	testutil.Equals(t, 0, got.status, got.log)
	testutil.Equals(t, "ok series\n", got.out)
	testutil.Equals(t, 2, storecheck(t, addr, "-check=series").status)
	got = storecheck(t, addr, "--grpc-client-tls-secure", "--grpc-client-tls-ca="+file("ca.crt"))
	testutil.Equals(t, 2, got.status)
	testutil.Assert(t, strings.Contains(got.log, "x509"), got.log)
}
