package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// unit is what would be a process of its own. It may be killed, and begin again
// where it was.
type unit struct {
	topology *topology
	name     string
	dir      string // of its state; empty if it has none
	start    func(*unit) error
	link     *link // what it serves on; nil until it does

	// What follows is of one life of the unit.
	ctx    context.Context
	cancel context.CancelFunc
	killed *atomic.Bool
	run    *errgroup.Group
	close  []func() error
}

// launch begins the life of a unit, which ends with that of the topology if not
// before.
func (t *topology) launch(name, dir string, start func(*unit) error) (*unit, error) {
	u := &unit{topology: t, name: name, dir: dir, start: start}
	t.mu.Lock()
	t.units = append(t.units, u)
	t.mu.Unlock()
	return u, u.begin()
}

// begin starts the unit, for the first time or again.
func (u *unit) begin() error {
	u.ctx, u.cancel = context.WithCancel(u.topology.ctx)
	u.killed, u.run, u.close = new(atomic.Bool), new(errgroup.Group), nil
	if err := u.start(u); err != nil {
		return fmt.Errorf("start %s: %w", u.name, err)
	}
	return nil
}

// Go runs something as long as the unit lives. If it fails before, all ends.
func (u *unit) Go(run func(context.Context) error) {
	ctx, killed := u.ctx, u.killed
	u.run.Go(func() error {
		err := run(ctx)
		if err != nil && ctx.Err() == nil && !killed.Load() {
			u.topology.cancel()
		}
		return err
	})
}

// onEnd has f called when nothing of the unit runs any more.
func (u *unit) onEnd(f func() error) { u.close = append(u.close, f) }

// end ends the unit and waits for it.
func (u *unit) end() error {
	u.cancel()
	errs := []error{u.run.Wait()}
	if u.link != nil {
		errs = append(errs, u.link.Close())
	}
	for _, f := range slices.Backward(u.close) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// listen returns what the unit serves on: the same in each life, and in the first
// one some port of the topology's host if addr is empty.
func (u *unit) listen(addr string) (*link, error) {
	addr = cmp.Or(addr, u.topology.host+":0")
	if u.link != nil {
		addr = u.addr()
	}
	l, err := newLink(addr)
	if err != nil {
		return nil, err
	}
	u.link = l
	return l, nil
}

// addr is where the unit serves.
func (u *unit) addr() string { return u.link.Addr().String() }

// serve serves a Store over gRPC, as within a cluster.
func (u *unit) serve(s store.Store, component string) error {
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{Component: component, GracePeriod: time.Second})
	if err != nil {
		return err
	}
	l, err := u.listen("")
	if err != nil {
		return err
	}
	u.Go(func(ctx context.Context) error { return srv.Run(ctx, l) })
	return nil
}

// dial makes a member of a fan-out of what serves on an address.
func (u *unit) dial(name, addr string, opts grpcstore.ClientOptions) (fanout.Member, error) {
	opts.Name = name
	c, err := grpcstore.Dial(addr, &opts)
	if err != nil {
		return fanout.Member{}, err
	}
	u.onEnd(c.Close)
	return fanout.Member{Name: name, Store: c}, nil
}

// fanOut makes one Store of many. Who does not answer now is asked again later, and
// until then answers say that they are not whole.
func (u *unit) fanOut(members []fanout.Member) (*fanout.Store, error) {
	t := u.topology
	f, err := fanout.New(fanout.Static(members...), &fanout.Options{InfoInterval: t.interval, InfoTimeout: t.patience, WaitBudget: t.patience})
	if err != nil {
		return nil, err
	}
	_ = f.Sync(u.ctx)
	u.Go(f.Run)
	return f, nil
}
