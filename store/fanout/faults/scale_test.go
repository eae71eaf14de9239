package faults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// hangs describes itself, and answers nothing else until the call ends.
func hangs(t testing.TB, cluster string) remote {
	t.Helper()
	return faulty{Store: hold(t, 3, cluster), series: func(ctx context.Context, _ []*store.Series, _ store.SeriesWriter) error {
		<-ctx.Done()
		return ctx.Err()
	}}
}

func clusterOf(i int) string { return fmt.Sprintf("c%04d", i) }

// oneHangs is 20 members of which the 14th hangs, and has a wait budget of 100 ms.
func oneHangs(t testing.TB, opts fanout.Options, to func(testing.TB, remote) remote) *rig {
	t.Helper()
	r := &rig{reg: prometheus.NewRegistry()}
	opts.Registerer = r.reg
	var members []fanout.Member
	for i := range 20 {
		s := hold(t, 3, clusterOf(i))
		m := fanout.Member{Name: clusterOf(i)}
		if i == 13 {
			m.Store, m.WaitBudget = tracked{to(t, hangs(t, clusterOf(i))), &r.alive, nil}, 100*time.Millisecond
		} else {
			r.others = append(r.others, s)
			m.Store = tracked{to(t, s), &r.alive, nil}
		}
		members = append(members, m)
	}
	r.bad = hold(t, 0)
	var err error
	r.Store, err = fanout.New(fanout.Static(members...), &opts)
	testutil.Ok(t, err)
	return r
}

// checkOneHangs checks the answer of such members.
func (r *rig) checkOneHangs(t testing.TB, a answer) {
	t.Helper()
	others, _ := r.whole(t)
	testutil.Ok(t, a.err)
	testutil.Ok(t, a.reader.err)
	a.data.holds(t, others, data{})
	testutil.Equals(t, 1, len(a.warnings))
	members := a.outcome.Members()
	testutil.Equals(t, 20, len(members))
	for i, m := range members {
		if i != 13 {
			testutil.Equals(t, store.Answered, m.Status, m.Member)
			continue
		}
		testutil.Equals(t, store.TimedOut, m.Status)
		testutil.Equals(t, "store c0013: series: wait budget used up: context deadline exceeded", m.Err.Error())
		testutil.Assert(t, errors.Is(m.Err, context.DeadlineExceeded))
		testutil.Equals(t, m.Err, a.warnings[0])
	}
}

// TestOneHangsInFakeTime: every query takes exactly the wait budget, which all have,
// one at a time and many at once.
func TestOneHangsInFakeTime(t *testing.T) {
	t.Parallel()
	const budget = 100 * time.Millisecond
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := oneHangs(t, fanout.Options{WaitBudget: budget}, tr.to)
				for range 10 {
					a := r.ask(t, store.Warn)
					testutil.Equals(t, budget, a.took)
					r.checkOneHangs(t, a)
				}
				a := r.ask(t, store.Abort)
				testutil.Equals(t, budget, a.took)
				testutil.NotOk(t, a.err)
				testutil.Equals(t, "store c0013: series: wait budget used up: context deadline exceeded", a.err.Error())

				done := make(chan answer)
				for range 8 {
					go func() {
						for range 3 {
							done <- r.query(t, store.Warn)
						}
					}()
				}
				start := time.Now()
				for range 8 * 3 {
					a := <-done
					testutil.Equals(t, budget, a.took)
					r.checkOneHangs(t, a)
				}
				testutil.Equals(t, 3*budget, time.Since(start))
				r.leavesNothing(t)
			})
		})
	}
}

// TestOneHangsOverLoopback is the same in real time, which is logged. The others have
// no wait budget: a machine that is busy may keep them from answering in time too.
func TestOneHangsOverLoopback(t *testing.T) {
	r := oneHangs(t, patient, overLoopback)
	testutil.Ok(t, r.Sync(t.Context()))
	var took []time.Duration
	for range 10 {
		a := r.ask(t, store.Warn)
		r.checkOneHangs(t, a)
		testutil.Assert(t, a.took >= 100*time.Millisecond, "it took %v", a.took)
		took = append(took, a.took)
	}
	slices.Sort(took)
	t.Logf("20 members over loopback, one hanging, wait budget 100 ms: %d queries took %v to %v, median %v", len(took), took[0], took[len(took)-1], took[len(took)/2])
}

// hub is many Stores behind one listener, by the :authority that they are asked
// as.
type hub map[string]remote

func (h hub) of(ctx context.Context) (remote, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if a := md.Get(":authority"); len(a) == 1 && h[a[0]] != nil {
		return h[a[0]], nil
	}
	return nil, store.ErrUnavailable
}

func (h hub) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	s, err := h.of(ctx)
	if err != nil {
		return err
	}
	return s.Series(ctx, req, w)
}

func (h hub) Describe(ctx context.Context) (store.Info, error) {
	s, err := h.of(ctx)
	if err != nil {
		return store.Info{}, err
	}
	return s.Describe(ctx)
}

// as is a connection on which all calls are for one authority.
type as struct {
	*grpc.ClientConn
	authority string
}

func (c as) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.ClientConn.Invoke(ctx, method, args, reply, append(slices.Clip(opts), grpc.CallAuthority(c.authority))...)
}

func (c as) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.ClientConn.NewStream(ctx, desc, method, append(slices.Clip(opts), grpc.CallAuthority(c.authority))...)
}

// serve serves all Stores in memory, and returns a way to each, with so many on
// one connection.
func (h hub) serve(t testing.TB, perConn int) (client func(name string) remote) {
	t.Helper()
	l := bufconn.Listen(32 << 10)
	serve(t, h, l)
	var cc *grpc.ClientConn
	n := 0
	return func(name string) remote {
		if n%perConn == 0 {
			var err error
			cc, err = grpc.NewClient("passthrough:///hub", memoryDialer(l), grpc.WithTransportCredentials(insecure.NewCredentials()))
			testutil.Ok(t, err)
			conn := cc
			t.Cleanup(func() { testutil.Ok(t, conn.Close()) })
		}
		n++
		c, err := grpcstore.NewClient(as{cc, name}, name, nil)
		testutil.Ok(t, err)
		return c
	}
}

// TestThousandMembers of which 100 hang and 100 fail: 200 outcomes say so, and the
// data of 800 is whole.
func TestThousandMembers(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"in process", "gRPC"} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, want := hub{}, data{}
				for i := range 1000 {
					name := clusterOf(i)
					switch i % 10 {
					case 3:
						h[name] = hangs(t, name)
					case 7:
						h[name] = faulty{Store: hold(t, 3, name), series: func(_ context.Context, ss []*store.Series, w store.SeriesWriter) error {
							return errors.Join(sendAll(ss[:1], w), store.ErrUnavailable)
						}}
					default:
						s := hold(t, 3, name)
						h[name] = s
						maps.Copy(want, dataOf(t, s))
					}
				}
				client := func(name string) remote { return h[name] }
				if over == "gRPC" {
					client = h.serve(t, 50)
				}
				r := &rig{reg: prometheus.NewRegistry()}
				var members []fanout.Member
				for i := range 1000 {
					members = append(members, fanout.Member{Name: clusterOf(i), Store: tracked{client(clusterOf(i)), &r.alive, nil}})
				}
				var err error
				r.Store, err = fanout.New(fanout.Static(members...), &fanout.Options{WaitBudget: time.Second, Registerer: r.reg})
				testutil.Ok(t, err)
				a := r.ask(t, store.Warn)
				testutil.Ok(t, a.err)
				testutil.Equals(t, time.Second, a.took)
				a.data.holds(t, want, nil)
				testutil.Equals(t, len(want)+100, len(a.data)) // and what came before the failures
				testutil.Equals(t, 200, len(a.warnings))
				count := map[store.MemberStatus]int{}
				for i, m := range a.outcome.Members() {
					count[m.Status]++
					testutil.Equals(t, clusterOf(i), m.Member)
					testutil.Equals(t, 1, len(m.LabelSets))
					switch i % 10 {
					case 3:
						testutil.Assert(t, m.Status == store.TimedOut && errors.Is(m.Err, context.DeadlineExceeded), "%s %v: %v", m.Member, m.Status, m.Err)
					case 7:
						testutil.Assert(t, m.Status == store.Failed && errors.Is(m.Err, store.ErrUnavailable), "%s %v: %v", m.Member, m.Status, m.Err)
					default:
						testutil.Equals(t, store.Answered, m.Status, m.Member)
					}
				}
				testutil.Equals(t, map[store.MemberStatus]int{store.Answered: 800, store.Failed: 100, store.TimedOut: 100}, count)
			})
		})
	}
}
