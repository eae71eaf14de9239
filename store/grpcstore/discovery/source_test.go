package discovery_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

func newSource(t testing.TB, opts *discovery.Options) *discovery.Source {
	t.Helper()
	s, err := discovery.New(opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, s.Close()) })
	return s
}

func endpoints(addresses ...string) discovery.Config {
	var c discovery.Config
	for _, a := range addresses {
		c.Endpoints = append(c.Endpoints, discovery.Endpoint{Address: a})
	}
	return c
}

func TestOptions(t *testing.T) {
	t.Parallel()
	s := newSource(t, nil)
	testutil.Ok(t, s.Refresh(t.Context()))
	testutil.Equals(t, 0, len(s.Members()))
	testutil.Equals(t, 0, len(s.Status()))
	_, err := discovery.New(&discovery.Options{
		DNSInterval: -1, LookupTimeout: -1, FileInterval: -1, Grace: -1,
		Files: []string{"a.txt", "[.json"}, Config: endpoints("x"),
	})
	for _, want := range []string{"DNSInterval", "LookupTimeout", "FileInterval", "Grace", `"a.txt"`, `"[.json"`, `address "x"`} {
		testutil.Assert(t, strings.Contains(err.Error(), want), "%v", err)
	}
}

// TestMembersStay: what did not change is the same slice, and what stays in a
// changed one is the same Store, on the same connection.
func TestMembersStay(t *testing.T) {
	t.Parallel()
	z := newZone()
	a, b, c := &remote{name: "a"}, &remote{name: "b"}, &remote{name: "c"}
	var n network
	for r, addr := range map[*remote]string{a: "10.0.0.1:1", b: "10.0.0.2:1", c: "10.0.0.3:1"} {
		defer n.add(t, r, nil, addr)()
	}
	z.set("s", "10.0.0.1", "10.0.0.2")
	s := newSource(t, &discovery.Options{Config: endpoints("dns+s:1"), Resolver: z, Client: n.client()})
	testutil.Equals(t, 0, len(s.Members()))
	testutil.Ok(t, s.Refresh(t.Context()))
	all, err := fanout.New(s, nil)
	testutil.Ok(t, err)
	got, err := ask(t, all)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{`{peer="a"}`, `{peer="b"}`}, got)

	before := s.Members()
	testutil.Ok(t, s.Refresh(t.Context()))
	testutil.Assert(t, &before[0] == &s.Members()[0], "unchanged members are another slice")

	z.set("s", "10.0.0.2", "10.0.0.3")
	testutil.Ok(t, s.Refresh(t.Context()))
	testutil.Equals(t, []string{"dns+s:1@10.0.0.2:1", "dns+s:1@10.0.0.3:1"}, memberNames(s))
	testutil.Equals(t, "dns+s:1@10.0.0.1:1", before[0].Name) // the old slice is as it was
	testutil.Assert(t, before[1].Store == s.Members()[0].Store)
	got, err = ask(t, all)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{`{peer="b"}`, `{peer="c"}`}, got)
	testutil.Equals(t, 1, b.connections())

	// Whoever has the old member in hand still gets answers, for a while.
	got, err = ask(t, before[0].Store)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{`{peer="a"}`}, got)
}

// TestGoneMembersAreClosedWhenUnused: not while a call runs, however long, and not
// before the grace after that.
func TestGoneMembersAreClosedWhenUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		a := &remote{name: "a", hold: make(chan struct{})}
		var n network
		stop := n.add(t, a, nil, "10.0.0.1:1")
		z.set("s", "10.0.0.1")
		s, err := discovery.New(&discovery.Options{Config: endpoints("dns+s:1"), Resolver: z, Client: n.client(), Grace: time.Minute})
		testutil.Ok(t, err)
		testutil.Ok(t, s.Refresh(t.Context()))
		gone := s.Members()[0].Store
		type result struct {
			series []string
			err    error
		}
		done := make(chan result, 1)
		go func() {
			var r result
			r.series, r.err = ask(t, gone)
			done <- r
		}()
		synctest.Wait()
		z.set("s")
		ctx, cancel := context.WithCancel(t.Context())
		run := make(chan error, 1)
		go func() { run <- s.Run(ctx) }()
		<-time.After(time.Hour)
		testutil.Equals(t, 0, len(s.Members()))
		close(a.hold)
		r := <-done
		testutil.Ok(t, r.err)
		testutil.Equals(t, []string{`{peer="a"}`, `{peer="a", z="late"}`}, r.series)

		<-time.After(50 * time.Second)
		_, err = store.Describe(t.Context(), gone)
		testutil.Ok(t, err) // and the grace begins again
		<-time.After(50 * time.Second)
		_, err = store.Describe(t.Context(), gone)
		testutil.Ok(t, err)
		<-time.After(70 * time.Second)
		for _, err := range []error{
			second(store.Describe(t.Context(), gone)), second(ask(t, gone)),
			second(store.LabelNames(t.Context(), gone, &store.LabelNamesRequest{MaxTime: 1})),
			second(store.LabelValues(t.Context(), gone, &store.LabelValuesRequest{Label: "peer", MaxTime: 1})),
		} {
			testutil.Assert(t, errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "no longer"), "%v", err)
		}
		cancel()
		testutil.Ok(t, <-run)
		testutil.Ok(t, s.Close())
		stop()
	})
}

func second[T any](_ T, err error) error { return err }

// TestMembersFlapUnderLoad: while an address comes and goes, queries are answered,
// whole for the one that stays, and never fail for the one that is going.
func TestMembersFlapUnderLoad(t *testing.T) {
	t.Parallel()
	z := newZone()
	a, b := &remote{name: "a"}, &remote{name: "b"}
	var n network
	defer n.add(t, a, nil, "10.0.0.1:1")()
	defer n.add(t, b, nil, "10.0.0.2:1")()
	z.set("s", "10.0.0.1", "10.0.0.2")
	s := newSource(t, &discovery.Options{Config: endpoints("dns+s:1"), Resolver: z, Client: n.client(), Grace: time.Hour})
	testutil.Ok(t, s.Refresh(t.Context()))
	all, err := fanout.New(s, &fanout.Options{InfoTimeout: 5 * time.Minute})
	testutil.Ok(t, err)
	done := make(chan struct{})
	var flaps atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := 0; n < 50 || flaps.Load() < 10; n++ {
				var out store.Outcome
				series := map[string]bool{}
				for ss, err := range store.All(t.Context(), all, whole, &out) {
					if err != nil {
						t.Error(err)
						return
					}
					series[ss.Labels.Get("peer")] = true
				}
				if !series["b"] || len(out.Warnings()) > 0 {
					t.Errorf("series %v, warnings %v", series, out.Warnings())
					return
				}
			}
		})
	}
	go func() {
		defer close(done)
		wg.Wait()
	}()
	for running := true; running; flaps.Add(1) {
		ips := []string{"10.0.0.2"}
		if flaps.Load()%2 == 1 {
			ips = append(ips, "10.0.0.1")
		}
		z.set("s", ips...)
		testutil.Ok(t, s.Refresh(t.Context()))
		select {
		case <-done:
			running = false
		default:
		}
	}
	testutil.Equals(t, 1, b.connections())
	testutil.Equals(t, 1, a.connections()) // each time it is back within the grace
}

// TestLookupsThatFailKeepTheLastAnswer, and are tried again.
func TestLookupsThatFailKeepTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.set("s", "10.0.0.1")
		reg := prometheus.NewRegistry()
		var log lockedBuffer
		s, err := discovery.New(&discovery.Options{
			Config: endpoints("dns+s:1", "dns+t:1"), Resolver: z, Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		testutil.Ok(t, err)
		testutil.Ok(t, s.Refresh(t.Context()))
		testutil.Equals(t, []discovery.Status{
			{Origin: "dns+s:1", Endpoints: 1, Checked: time.Now()}, {Origin: "dns+t:1", Checked: time.Now()},
		}, s.Status())
		members := s.Members()

		z.fail("s", errors.New("server misbehaving"))
		ctx, cancel := context.WithCancel(t.Context())
		run := make(chan error, 1)
		go func() { run <- s.Run(ctx) }()
		<-time.After(time.Minute)
		testutil.Assert(t, &members[0] == &s.Members()[0])
		st := s.Status()[0]
		testutil.Equals(t, 1, st.Endpoints)
		testutil.Assert(t, time.Since(st.Checked) < 6*time.Second, "%s", st.Checked)
		e, ok := errors.AsType[*discovery.Error](st.Err)
		testutil.Assert(t, ok && e.Origin == "dns+s:1", "%v", st.Err)
		testutil.Equals(t, 1, strings.Count(log.String(), "look up dns+s:1: server misbehaving"))
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanos_query_endpoints_dns_provider_results The number of resolved endpoints for each configured address.
# TYPE thanos_query_endpoints_dns_provider_results gauge
thanos_query_endpoints_dns_provider_results{addr="dns+s:1"} 1
thanos_query_endpoints_dns_provider_results{addr="dns+t:1"} 0
# HELP thanoskit_discovery_failing_origins Files and addresses of endpoints that cannot be read, looked up or dialed.
# TYPE thanoskit_discovery_failing_origins gauge
thanoskit_discovery_failing_origins 1
`), "thanos_query_endpoints_dns_provider_results", "thanoskit_discovery_failing_origins"))

		z.fail("s", nil)
		z.set("s", "10.0.0.2")
		<-time.After(6 * time.Second)
		testutil.Equals(t, []string{"dns+s:1@10.0.0.2:1"}, memberNames(s))
		testutil.Equals(t, 1, strings.Count(log.String(), "discovered again"))
		asked := z.count("s")
		<-time.After(time.Hour)
		// 120 times, give or take the tick of the files.
		testutil.Assert(t, z.count("s")-asked <= 121 && z.count("s")-asked > 100, "%d lookups", z.count("s")-asked)
		cancel()
		testutil.Ok(t, <-run)
		testutil.Ok(t, s.Close())
		testutil.Equals(t, 0.0, gauge(t, reg, "thanoskit_discovery_failing_origins"))
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func gauge(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestUnknownMembersAreMissed: what nobody knows the members of counts as one
// that fails, not as nothing.
func TestUnknownMembersAreMissed(t *testing.T) {
	t.Parallel()
	z := newZone()
	z.fail("s", errors.New("server misbehaving"))
	cfg := discovery.Config{Endpoints: []discovery.Endpoint{
		{Address: "dns+s:1"},
		{Address: "dns+none:1"},
		{Address: "dns+strict:1", Strict: true},
		{Address: "dns+group:1", Strict: true, Group: true},
		{Address: "tls:1", Client: discovery.ClientConfig{TLS: discovery.TLSConfig{CAFile: new("absent.crt")}}},
	}}
	s := newSource(t, &discovery.Options{Config: cfg, Resolver: z})
	err := s.Refresh(t.Context())
	for _, want := range []string{"look up dns+s:1: server misbehaving", "look up dns+strict:1: name has no address", "look up dns+group:1: name has", "dial tls:1: make TLS client: load absent.crt: no such file"} {
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), want), "%v has no %s", err, want)
	}
	testutil.Equals(t, []string{"dns+s:1@nowhere", "dns+strict:1@nowhere", "dns+group:1@nowhere", "tls:1"}, memberNames(s))
	testutil.Equals(t, "dns+group:1", s.Members()[2].Group)
	testutil.Assert(t, s.Members()[2].Strict && !s.Members()[0].Strict)
	members := s.Members()
	testutil.NotOk(t, s.Refresh(t.Context()))
	testutil.Assert(t, &members[0] == &s.Members()[0], "the same failures are another slice")

	for _, m := range members {
		for _, err := range []error{
			second(store.Describe(t.Context(), m.Store)), second(ask(t, m.Store)),
			second(store.LabelNames(t.Context(), m.Store, &store.LabelNamesRequest{})),
			second(store.LabelValues(t.Context(), m.Store, &store.LabelValuesRequest{Label: "a"})),
		} {
			testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
			e, ok := errors.AsType[*store.Error](err)
			testutil.Assert(t, ok && e.Store == m.Name, "%v", err)
		}
	}
	all, err := fanout.New(s, nil)
	testutil.Ok(t, err)
	var out store.Outcome
	for _, err := range store.All(t.Context(), all, &store.SeriesRequest{MaxTime: 1}, &out) {
		testutil.Ok(t, err)
	}
	testutil.Assert(t, len(out.Warnings()) == 4, "%v", out.Warnings())

	z.fail("s", nil)
	z.set("strict", "10.0.0.9")
	testutil.NotOk(t, s.Refresh(t.Context()))
	testutil.Equals(t, []string{"dns+strict:1@10.0.0.9:1", "dns+group:1@nowhere", "tls:1"}, memberNames(s))
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	reg := prometheus.NewRegistry()
	writeFile(t, path("sd/a.json"), `[{"targets": ["a:1"]}]`)
	writeFile(t, path("sd/b.yml"), "- targets: ['b:1', 'a:1']\n")
	s := newSource(t, &discovery.Options{
		Config: endpoints("static:1"), ConfigFile: path("endpoints.yaml"), Registerer: reg,
		Files: []string{path("sd/*.json"), path("sd/*.yml"), path("one.yaml")},
	})
	refresh := func(wantErr string, want ...string) {
		t.Helper()
		err := s.Refresh(t.Context())
		testutil.Equals(t, want, memberNames(s))
		if wantErr == "" {
			testutil.Ok(t, err)
			return
		}
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), wantErr), "%v", err)
	}
	// Nobody knows who is in files that never could be read.
	refresh("read "+path("one.yaml")+": no such file or directory", "static:1", "a:1", "b:1", path("endpoints.yaml"), path("one.yaml"))
	_, err := ask(t, s.Members()[4].Store)
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable) && errors.Is(err, fs.ErrNotExist), "%v", err)
	testutil.Equals(t, 1.0, gauge(t, reg, "thanos_query_duplicated_endpoint_addresses_total"))
	writeFile(t, path("one.yaml"), "[{targets: ['one:1']}]")
	writeFile(t, path("endpoints.yaml"), "endpoints: [{address: 'cfg:1', group: true}]")
	refresh("", "static:1", "cfg:1@cfg:1", "one:1", "a:1", "b:1")
	testutil.Equals(t, "cfg:1", s.Members()[1].Group)

	// What is wrong changes nothing but the status.
	errs := gauge(t, reg, "prometheus_sd_file_read_errors_total")
	writeFile(t, path("sd/a.json"), `[{"targets": ["a:1"`)
	refresh("read "+path("sd/a.json")+": line 1: unexpected EOF", "static:1", "cfg:1@cfg:1", "one:1", "a:1", "b:1")
	refresh("read "+path("sd/a.json"), "static:1", "cfg:1@cfg:1", "one:1", "a:1", "b:1")
	testutil.Equals(t, errs+1, gauge(t, reg, "prometheus_sd_file_read_errors_total"))
	writeFile(t, path("endpoints.yaml"), "endpoints:\n- addr: 'cfg:2'\n")
	refresh("read "+path("endpoints.yaml")+": parse endpoint configuration: yaml: unmarshal errors:\n  line 2: field addr", "static:1", "cfg:1@cfg:1", "one:1", "a:1", "b:1")
	testutil.Ok(t, os.Remove(path("one.yaml"))) // by its name: a gap
	refresh("read "+path("one.yaml"), "static:1", "cfg:1@cfg:1", "one:1", "a:1", "b:1")

	writeFile(t, path("endpoints.yaml"), "endpoints: [{address: 'cfg:2'}]")
	writeFile(t, path("one.yaml"), "[]")
	testutil.Ok(t, os.Remove(path("sd/a.json"))) // of a pattern: gone
	refresh("", "static:1", "cfg:2", "b:1", "a:1")
	for _, st := range s.Status() {
		testutil.Ok(t, st.Err)
	}
}

// TestRunReadsFiles: nobody has to say that a file changed.
func TestRunReadsFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "sd.json")
		s, err := discovery.New(&discovery.Options{Files: []string{file}})
		testutil.Ok(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		run := make(chan error, 1)
		go func() { run <- s.Run(ctx) }()
		synctest.Wait()
		testutil.NotOk(t, s.Status()[0].Err)
		writeFile(t, file, `[{"targets": ["a:1"]}]`)
		<-time.After(6 * time.Second)
		testutil.Equals(t, []string{"a:1"}, memberNames(s))
		testutil.Ok(t, s.Close())
		testutil.Equals(t, 0, len(s.Members()))
		testutil.Ok(t, s.Close())
		testutil.Assert(t, errors.Is(s.Refresh(t.Context()), discovery.ErrClosed))
		testutil.Assert(t, errors.Is(<-run, discovery.ErrClosed))
		cancel()
	})
}

// TestContextEndsALookup, and a refresh that waits for its turn.
func TestContextEndsALookup(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	s := newSource(t, &discovery.Options{Config: endpoints("dns+s:1"), Resolver: stuck{asked}, LookupTimeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Refresh(ctx) }()
	<-asked
	late, cancelLate := context.WithCancel(t.Context())
	cancelLate()
	testutil.Assert(t, errors.Is(s.Refresh(late), context.Canceled))
	cancel()
	testutil.Assert(t, errors.Is(<-done, context.Canceled))
	testutil.Equals(t, 0, len(s.Members())) // nothing was found out
}

// TestSlowLookupsEnd: a name server that says nothing does not hold up the rest.
func TestSlowLookupsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := discovery.New(&discovery.Options{Config: endpoints("dns+s:1", "a:1"), Resolver: stuck{make(chan struct{}, 1)}})
		testutil.Ok(t, err)
		start := time.Now()
		err = s.Refresh(t.Context())
		testutil.Assert(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
		testutil.Equals(t, 5*time.Second, time.Since(start))
		testutil.Equals(t, []string{"dns+s:1@nowhere", "a:1"}, memberNames(s))
		testutil.Ok(t, s.Close())
	})
}

// stuck is a Resolver that never answers.
type stuck struct{ asked chan struct{} }

func (s stuck) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	s.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s stuck) LookupSRV(ctx context.Context, _, _, _ string) (string, []*net.SRV, error) {
	<-ctx.Done()
	return "", nil, ctx.Err()
}

// TestSourcesShareMetrics: what they count is a sum.
func TestSourcesShareMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	z := newZone()
	z.set("s", "10.0.0.1", "10.0.0.2")
	a := newSource(t, &discovery.Options{Config: endpoints("dns+s:1"), Resolver: z, Registerer: reg})
	b := newSource(t, &discovery.Options{Config: endpoints("dns+s:1"), Resolver: z, Registerer: reg})
	testutil.Ok(t, errors.Join(a.Refresh(t.Context()), b.Refresh(t.Context()), b.Refresh(t.Context())))
	testutil.Equals(t, 4.0, gauge(t, reg, "thanos_query_endpoints_dns_provider_results"))
	testutil.Equals(t, 3.0, gauge(t, reg, "thanos_query_endpoints_dns_lookups_total"))
	testutil.Ok(t, a.Close())
	testutil.Equals(t, 2.0, gauge(t, reg, "thanos_query_endpoints_dns_provider_results"))

	bad := prometheus.NewRegistry()
	bad.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "thanos_query_endpoints_dns_lookups_total", Help: "x"}))
	_, err := discovery.New(&discovery.Options{Registerer: bad})
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "register metrics"), "%v", err)
}
