package faults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// counted counts the calls that reach a Store.
type counted struct {
	remote
	series, values atomic.Int64
}

func (c *counted) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	c.series.Add(1)
	return c.remote.Series(ctx, req, w)
}

func (c *counted) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	c.values.Add(1)
	return c.remote.LabelValues(ctx, req)
}

// process is a server that goes and comes back, as in a rolling restart: it lets its
// calls finish. It has a new port each time, which its clients know: another may have
// taken the old one.
type process struct {
	counted
	addr atomic.Pointer[string]
	stop func()
}

func (p *process) start(t testing.TB) {
	t.Helper()
	l := listen(t)
	srv, err := grpcstore.NewServer(&p.counted, nil)
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

// TestRollingRestartUnderLoad: the replicas of a group go and come back, one after
// the other, while eight ask without pause. Every answer is whole, and each was
// asked of one replica.
func TestRollingRestartUnderLoad(t *testing.T) {
	t.Parallel()
	replicas := []*process{{}, {}}
	var members []fanout.Member
	for i, p := range replicas {
		p.remote = hold(t, 8, "replicated")
		p.start(t)
		t.Cleanup(func() { p.stop() })
		members = append(members, fanout.Member{Name: string(rune('0' + i)), Group: "g", Store: dial(t, "passthrough:///process", grpc.WithContextDialer(p.dial))})
	}
	want := dataOf(t, replicas[0].remote)
	for _, cluster := range []string{"x", "y"} {
		s := hold(t, 4, cluster)
		want = all(want, dataOf(t, s))
		members = append(members, fanout.Member{Name: cluster, Store: overLoopback(t, s)})
	}
	r := fanWith(t, fanout.Options{InfoInterval: 20 * time.Millisecond, InfoTimeout: patient.InfoTimeout}, members...)
	testutil.Ok(t, r.Sync(t.Context()))
	stop := running(t, r.Store)

	var series, values atomic.Int64
	var wrong failures
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for ctx.Err() == nil {
				wrong.add(r.askWhole(want))
				series.Add(1)
				vs, err := r.LabelValues(context.Background(), &store.LabelValuesRequest{Label: "cluster", MaxTime: dataEnd, Strategy: store.Abort})
				if err == nil && len(vs) != 3 {
					err = fmt.Errorf("%v are not all label values", vs)
				}
				wrong.add(err)
				values.Add(1)
			}
		})
	}
	more := func(n *atomic.Int64) {
		t.Helper()
		during := n.Load() + 16
		until(t, func() bool { return n.Load() >= during })
	}
	for range 2 {
		for i, p := range replicas {
			more(&series)
			p.stop()
			more(&series)
			p.start(t)
			more(&p.series) // it is asked again
			until(t, func() bool { return r.Health()[i].Err == nil })
		}
	}
	cancel()
	work.Wait()
	stop()
	testutil.Ok(t, errors.Join(wrong.errs...))
	r.leavesNothing(t)
	testutil.Equals(t, series.Load(), replicas[0].series.Load()+replicas[1].series.Load())
	testutil.Equals(t, values.Load(), replicas[0].values.Load()+replicas[1].values.Load())
	t.Logf("%d queries", series.Load())
}

// failures collects errors of several goroutines.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && len(f.errs) < 10 {
		f.errs = append(f.errs, err)
	}
}

// askWhole asks for everything and returns what is wrong with the answer.
func (r *rig) askWhole(want data) error {
	req, got := everything(), &reader{}
	req.Strategy = store.Abort
	err := errors.Join(r.Series(context.Background(), req, got), got.err)
	switch {
	case err != nil:
		return err
	case !maps.EqualFunc(want, got.data, slices.Equal[[]sample]):
		return errors.New("answer is not whole")
	case !req.Outcome.Complete():
		return errors.New(statuses(req.Outcome))
	}
	return nil
}

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, condition func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain")
		}
	}
}
