package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// replicaLabel tells the two Prometheus of a cluster apart.
const replicaLabel = "replica"

// options say what is started.
type options struct {
	broken string // one of breaks, if not empty
	scale  scale
}

// topology is what runs. Everything in it ends when stop is called.
type topology struct {
	options
	dir              string
	start, live, end time.Time // of the history, of what the Prometheus still have, of both
	certs            *certs
	hub              *cluster   // the observer
	observees        []*cluster // eu, us
	top              *fanout.Store
	querier          *query.Querier

	run    *errgroup.Group
	ctx    context.Context // ends when anything fails
	cancel context.CancelFunc
	mu     sync.Mutex
	close  []func() error
}

// startTopology starts everything, from the back. On an error nothing is left
// running.
func startTopology(ctx context.Context, dir string, opts options) (_ *topology, err error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &topology{options: opts, dir: dir, cancel: cancel}
	t.run, t.ctx = errgroup.WithContext(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	t.end = time.Now().Truncate(time.Minute).Add(-2 * time.Minute)
	t.live = t.end.Add(-8 * time.Hour).Truncate(2 * time.Hour)
	t.start = t.live
	if t.scale.age > 0 {
		t.start = t.end.Add(-t.scale.age).Truncate(time.Hour)
	}
	if t.certs, err = issueCerts(filepath.Join(dir, "tls"), "eu", "us"); err != nil {
		return nil, err
	}
	if err := t.startClusters(); err != nil {
		return nil, err
	}
	for _, c := range t.observees {
		if err := t.startBoundary(c); err != nil {
			return nil, fmt.Errorf("start querier of %s: %w", c.name, err)
		}
	}
	if err := t.startGateways(); err != nil {
		return nil, err
	}
	return t, t.startTop()
}

// startClusters starts the clusters, all at once.
func (t *topology) startClusters() error {
	t.hub = t.newCluster("hub")
	t.observees = []*cluster{t.newCluster("eu"), t.newCluster("us")}
	var starting errgroup.Group
	for _, c := range t.clusters() {
		starting.Go(func() error {
			if err := t.startCluster(c); err != nil {
				return fmt.Errorf("start cluster %s: %w", c.name, err)
			}
			return nil
		})
	}
	return starting.Wait()
}

// clusters returns all of them, the observer first.
func (t *topology) clusters() []*cluster {
	return append([]*cluster{t.hub}, t.observees...)
}

// onStop has f called when the topology stops and nothing runs any more.
func (t *topology) onStop(f func() error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.close = append(t.close, f)
}

// stop ends everything and waits for it.
func (t *topology) stop() error {
	t.cancel()
	errs := []error{t.run.Wait()}
	for _, f := range slices.Backward(t.close) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// serve serves a Store over gRPC on a loopback port, as within a cluster.
func (t *topology) serve(s store.Store, component string) (addr string, err error) {
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{Component: component, GracePeriod: time.Second})
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	t.run.Go(func() error { return srv.Run(t.ctx, l) })
	return l.Addr().String(), nil
}

// dial makes a member of a fan-out of what serves on an address.
func (t *topology) dial(name, addr string, opts grpcstore.ClientOptions) (fanout.Member, error) {
	opts.Name = name
	c, err := grpcstore.Dial(addr, &opts)
	if err != nil {
		return fanout.Member{}, err
	}
	t.onStop(c.Close)
	return fanout.Member{Name: name, Store: c}, nil
}

// fanOut makes one Store of many.
func (t *topology) fanOut(members []fanout.Member) (*fanout.Store, error) {
	// Everything shares one machine here, however busy: nobody is in a hurry.
	f, err := fanout.New(fanout.Static(members...), &fanout.Options{InfoTimeout: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	if err := f.Sync(t.ctx); err != nil {
		return nil, err
	}
	t.run.Go(func() error { return f.Run(t.ctx) })
	return f, nil
}
