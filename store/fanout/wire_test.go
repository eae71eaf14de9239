package fanout_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// nobody is an address at which nobody listens, and nobody will, as somebody may at a
// port that was free a moment ago.
const nobody = "127.0.0.1:1"

// patientOptions are those of a fan-out over real connections, on a machine that has
// much to do.
func patientOptions() *fanout.Options { return &fanout.Options{InfoTimeout: 5 * time.Minute} }

// process is a Store served over gRPC that can be restarted. It has a new port each
// time, which its clients know: another may have taken the old one.
type process struct {
	store store.Store
	stop  func()
	addr  atomic.Pointer[string]
}

func startProcess(t *testing.T, s store.Store) *process {
	p := &process{store: s}
	p.start(t)
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	srv, err := grpcstore.NewServer(p.store, nil)
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- srv.Run(ctx, l) }()
	p.addr.Store(new(l.Addr().String()))
	p.stop = sync.OnceFunc(func() {
		p.addr.Store(new(nobody))
		cancel()
		testutil.Ok(t, <-ran)
	})
}

func (p *process) dial(ctx context.Context, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", *p.addr.Load())
}

// client dials the process.
func (p *process) client(t *testing.T) *grpcstore.Client {
	t.Helper()
	return client(t, "passthrough:///process", grpc.WithContextDialer(p.dial))
}

func client(t *testing.T, addr string, opts ...grpc.DialOption) *grpcstore.Client {
	t.Helper()
	c, err := grpcstore.Dial(addr, &grpcstore.ClientOptions{DialOptions: append(opts, grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 10 * time.Millisecond}, MinConnectTimeout: time.Minute,
	}))})
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return c
}

// until waits for a condition that other goroutines bring about.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A rolling restart of the replicas of a group, under load, costs no query, and
// each query is asked of one replica.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	ss := bigAnswer(300, 1000)
	var replicas []*counted
	var processes []*process
	var members []fanout.Member
	for i := range 2 {
		s := &counted{Store: withInfo(sends(ss...), infoOf("eu"))}
		replicas = append(replicas, s)
		p := startProcess(t, struct {
			store.Store
			store.Describer
		}{s, s.Store.(store.Describer)})
		processes = append(processes, p)
		members = append(members, fanout.Member{Name: name(i), Group: "g", Store: p.client(t)})
	}
	f := newFanout(t, &fanout.Options{InfoInterval: 20 * time.Millisecond, InfoTimeout: 5 * time.Minute}, members...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	testutil.Ok(t, f.Sync(ctx))
	var work sync.WaitGroup
	work.Go(func() { _ = f.Run(ctx) })

	var queries atomic.Int64
	for range 4 {
		work.Go(func() {
			for ctx.Err() == nil {
				req, r := all(), &frameReader{}
				req.Strategy = store.Abort
				err := f.Series(context.Background(), req, r)
				testutil.Ok(t, err)
				testutil.Equals(t, len(ss), len(r.series))
				testutil.Assert(t, req.Outcome.Complete())
				queries.Add(1)
			}
		})
	}
	for range 2 {
		for i, p := range processes {
			during := queries.Load() + 10
			until(t, "queries while all is well", func() bool { return queries.Load() >= during })
			p.stop()
			during = queries.Load() + 10
			until(t, "queries while one is down", func() bool { return queries.Load() >= during })
			p.start(t)
			asked := replicas[i].asked.Load()
			until(t, "the restarted replica to be asked", func() bool { return replicas[i].asked.Load() > asked })
			until(t, "both to be healthy", func() bool { return f.Health()[0].Err == nil && f.Health()[1].Err == nil })
		}
	}
	cancel()
	work.Wait()
	testutil.Equals(t, queries.Load(), replicas[0].asked.Load()+replicas[1].asked.Load())
}

// A dead address in a group costs a retry, and that only now and then.
func TestDeadAddressInGroup(t *testing.T) {
	t.Parallel()
	p := startProcess(t, withInfo(sends(series("1")), infoOf("eu")))
	f := newFanout(t, patientOptions(),
		fanout.Member{Name: "dead", Group: "g", Store: client(t, nobody)},
		fanout.Member{Name: "alive", Group: "g", Store: p.client(t)},
	)
	for range 20 {
		out, r, err := outcomeOf(t, f, store.Abort)
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(r.series))
		testutil.Assert(t, out.Complete())
		names, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 10, Strategy: store.Abort})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"__name__"}, names)
	}
	info, err := f.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(info.LabelSets))
}

// The path of a request crosses the wire, and so does what became of it.
func TestLoopOverGRPC(t *testing.T) {
	t.Parallel()
	a, b := &later{}, &later{}
	pa, pb := startProcess(t, a), startProcess(t, b)
	fanOver := func(name string, next *process) *fanout.Store {
		opts := patientOptions()
		opts.Name = name
		return newFanout(t, opts, fanout.Member{Name: "next", Store: next.client(t)},
			fanout.Member{Name: "own", Store: newPatient(infoOf(name), series(name))})
	}
	a.Store, b.Store = fanOver("A", pb), fanOver("B", pa)

	start := time.Now()
	for range 2 {
		out, r, err := outcomeOf(t, a.Store, store.Warn)
		testutil.Ok(t, err)
		testutil.Equals(t, "next answered, next/next failed, next/own answered, own answered", statuses(out))
		testutil.Equals(t, 2, len(r.series))
		loop := out.Members()[1].Err
		testutil.Assert(t, errors.Is(loop, store.ErrLoop), "%v", loop)
		testutil.Assert(t, len(loop.Error()) > 0 && loop.Error()[len(loop.Error())-len("A -> B -> A"):] == "A -> B -> A", "%v", loop)
		_, _, err = outcomeOf(t, a.Store, store.Abort)
		testutil.Assert(t, errors.Is(err, store.ErrLoop), "%v", err)
		testutil.Ok(t, a.Sync(t.Context()))
		testutil.Ok(t, b.Sync(t.Context()))
	}
	testutil.Assert(t, time.Since(start) < 4*time.Minute, "it took %v: somebody waited for a timeout", time.Since(start))
}

// Groups, and replicas that were tried, are in the receipt of a peer.
func TestReceiptOfGroup(t *testing.T) {
	t.Parallel()
	inner := newFanout(t, nil, grouped(failing(errDown), sends(series("1")))...)
	p := startProcess(t, inner)
	f := newFanout(t, patientOptions(), fanout.Member{Name: "in", Store: p.client(t)})
	out, _, err := outcomeOf(t, f, store.Abort)
	testutil.Ok(t, err)
	testutil.Equals(t, "in answered, in/g answered, in/g/a pruned: "+store.PrunedByReplica+", in/g/b answered", statuses(out))
	testutil.Assert(t, out.Complete())
	testutil.Equals(t, "store g/a: series: connection refused", out.Members()[2].Err.Error())
}

// Who was stopped below because a limit was reached is not missed above, in this
// process or not.
func TestRequireOverGRPCWithLimit(t *testing.T) {
	t.Parallel()
	inner := newFanout(t, nil, named(in("eu", sends(series("1"), series("2"), series("3"))), in("us", hangs(&tracker{}, series("9"))))...)
	p := startProcess(t, inner)
	f := newFanout(t, patientOptions(), named(p.client(t))...)
	for _, cluster := range []string{"eu", "us"} {
		req, r := all(), &frameReader{}
		req.Limit, req.Require = 2, requires(cluster)
		testutil.Ok(t, f.Series(t.Context(), req, r))
		testutil.Equals(t, 2, len(r.series))
	}
}
