package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// replicaLabel tells the two Prometheus of a cluster apart.
const replicaLabel = "replica"

// options say what is started.
type options struct {
	broken string // one of breaks, if not empty
	scale  scale
	http   string // where the top querier serves HTTP; empty is nowhere
	host   string // whose ports all others take; 127.0.0.1 if empty
	// patience is how long a querier waits for a member. Everything shares one
	// machine here, however busy: nobody is in a hurry. 30 s if 0.
	patience time.Duration
	// interval is how often a querier asks its members what they hold; 0 is usual.
	interval time.Duration
	// steady has the Prometheus make no more blocks than there are at first: when they
	// do is a matter of the time of day, and answers from buckets are others then.
	steady bool
	// between is put between a unit and the bucket of a cluster; nothing is if nil.
	between func(*unit, *cluster, objstore.Bucket) objstore.Bucket
}

// topology is what runs. Everything in it ends when stop is called.
type topology struct {
	options
	dir              string
	start, live, end time.Time // of the history, of what the Prometheus still have, of both
	certs            *certs
	hub              *cluster   // the observer
	observees        []*cluster // eu, us
	observer         *unit      // the top querier
	top              atomic.Pointer[fanout.Store]
	querier          atomic.Pointer[query.Querier]

	ctx    context.Context // ends when anything fails
	cancel context.CancelFunc
	mu     sync.Mutex
	units  []*unit
	close  []func() error
}

// startTopology starts everything, from the back. On an error nothing is left
// running.
func startTopology(ctx context.Context, dir string, opts options) (_ *topology, err error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &topology{options: opts, dir: dir, ctx: ctx, cancel: cancel}
	t.host, t.patience = cmp.Or(t.host, "127.0.0.1"), cmp.Or(t.patience, 30*time.Second)
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
	var errs []error
	for _, u := range slices.Backward(t.units) {
		errs = append(errs, u.end())
	}
	for _, f := range slices.Backward(t.close) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// bucket is that of a cluster, for a unit.
func (u *unit) bucket(c *cluster) objstore.Bucket {
	if between := u.topology.between; between != nil {
		return between(u, c, c.bucket)
	}
	return c.bucket
}
