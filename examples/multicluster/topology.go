package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// Ways to break the topology.
const (
	breakReplicaLabel = "replica-label" // the top querier does not know the replica label
	breakMember       = "member"        // a cluster's querier is gone
	breakHistory      = "history"       // both replicas have their holes at the same time
	breakScrape       = "scrape"        // nothing is scraped
)

var breaks = []string{breakReplicaLabel, breakMember, breakHistory, breakScrape}

const replicaLabel = "replica"

// topology is what runs. Everything in it ends when stop is called.
type topology struct {
	start, end time.Time // of the history
	clusters   []*cluster
	top        *fanout.Store
	querier    *query.Querier

	run    *errgroup.Group
	ctx    context.Context // ends when anything fails
	cancel context.CancelFunc
	close  []func() error
}

// cluster is two replicas of a Prometheus with their sidecars, and a querier.
type cluster struct {
	name     string
	replicas []*replica
	sidecars []string // addresses
	querier  string   // address
	cut      context.CancelFunc
}

// startTopology starts everything, from the back. On an error nothing is left
// running.
func startTopology(ctx context.Context, dir, broken string) (_ *topology, err error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &topology{cancel: cancel}
	t.run, t.ctx = errgroup.WithContext(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	t.end = time.Now().Truncate(time.Minute).Add(-2 * time.Minute)
	t.start = t.end.Add(-time.Hour)
	var members []fanout.Member
	for _, name := range []string{"eu", "us"} {
		c, err := t.startCluster(filepath.Join(dir, name), name, broken)
		if err != nil {
			return nil, fmt.Errorf("start cluster %s: %w", name, err)
		}
		t.clusters = append(t.clusters, c)
		m, err := t.dial(name, c.querier)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	if t.top, err = t.fanOut(members); err != nil {
		return nil, err
	}
	opts := query.Options{ReplicaLabels: []string{replicaLabel}}
	if broken == breakReplicaLabel {
		opts.ReplicaLabels = nil
	}
	if t.querier, err = query.New(t.top, &opts); err != nil {
		return nil, err
	}
	if broken == breakMember {
		t.clusters[1].cut()
	}
	return t, nil
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

func (t *topology) startCluster(dir, name, broken string) (*cluster, error) {
	c := &cluster{name: name}
	var members []fanout.Member
	for i, id := range []string{"a", "b"} {
		r, err := startReplica(filepath.Join(dir, id), labels.FromStrings("cluster", name, replicaLabel, id))
		if err != nil {
			return nil, err
		}
		t.close = append(t.close, r.Close)
		c.replicas = append(c.replicas, r)
		if err := r.backfill(t.ctx, t.start, t.end, time.Duration(i)*7*time.Second, t.hole(i, broken)); err != nil {
			return nil, err
		}
		if broken != breakScrape {
			if err := r.scrape(t.ctx); err != nil {
				return nil, err
			}
			t.run.Go(func() error { return r.run(t.ctx) })
		}
		addr, err := t.startSidecar(r)
		if err != nil {
			return nil, err
		}
		c.sidecars = append(c.sidecars, addr)
		m, err := t.dial("replica "+id, addr)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	f, err := t.fanOut(members)
	if err != nil {
		return nil, err
	}
	ctx, cut := context.WithCancel(t.ctx)
	c.cut = cut
	c.querier, err = t.serve(ctx, f, "query")
	return c, err
}

// hole tells which samples a replica has not: a was down for ten minutes early
// on, b later.
func (t *topology) hole(replica int, broken string) func(time.Time) bool {
	from := t.start.Add(10 * time.Minute)
	if replica == 1 && broken != breakHistory {
		from = t.start.Add(35 * time.Minute)
	}
	to := from.Add(10 * time.Minute)
	return func(at time.Time) bool { return at.After(from) && at.Before(to) }
}

func (t *topology) startSidecar(r *replica) (addr string, err error) {
	s, err := promstore.New(r.url, nil)
	if err != nil {
		return "", err
	}
	t.close = append(t.close, s.Close)
	if err := s.Sync(t.ctx); err != nil {
		return "", err
	}
	t.run.Go(func() error { return s.Run(t.ctx) })
	return t.serve(t.ctx, s, "sidecar")
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

// serve serves a Store over gRPC on a loopback port until ctx ends.
func (t *topology) serve(ctx context.Context, s store.Store, component string) (addr string, err error) {
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{Component: component, GracePeriod: time.Second})
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	t.run.Go(func() error { return srv.Run(ctx, l) })
	return l.Addr().String(), nil
}

func (t *topology) dial(name, addr string) (fanout.Member, error) {
	c, err := grpcstore.Dial(addr, &grpcstore.ClientOptions{Name: name})
	if err != nil {
		return fanout.Member{}, err
	}
	t.close = append(t.close, c.Close)
	return fanout.Member{Name: name, Store: c}, nil
}
