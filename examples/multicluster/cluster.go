package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// cluster is two replicas of a Prometheus with their sidecars, a bucket, and a
// compactor.
type cluster struct {
	name, dir string
	bucket    objstore.Bucket
	replicas  []*replica
	sidecars  []string // addresses

	report  *compact.Report // what the compactor did of the history
	deleted int             // blocks
	gateway string          // the address of the observer's store gateway for the bucket
	querier string          // the address of an observee's querier
	link    *link           // the way to it
}

func (t *topology) newCluster(name string) *cluster {
	return &cluster{name: name, dir: filepath.Join(t.dir, name)}
}

// startCluster starts all of a cluster but a querier.
func (t *topology) startCluster(c *cluster) (err error) {
	if c.bucket, err = filesystem.NewBucket(filepath.Join(c.dir, "bucket")); err != nil {
		return err
	}
	t.onStop(c.bucket.Close)
	for i, id := range []string{"a", "b"} {
		external := labels.FromStrings("cluster", c.name, replicaLabel, id)
		if err := t.uploadHistory(c, i, external); err != nil {
			return fmt.Errorf("make history of %s: %w", external, err)
		}
		r, err := t.startPrometheus(filepath.Join(c.dir, id), i, external)
		if err != nil {
			return err
		}
		addr, err := t.startSidecar(c, r)
		if err != nil {
			return err
		}
		c.replicas, c.sidecars = append(c.replicas, r), append(c.sidecars, addr)
	}
	return t.startCompactor(c)
}

// startPrometheus starts a replica that has been running for a while.
func (t *topology) startPrometheus(dir string, i int, external labels.Labels) (*replica, error) {
	r, err := startReplica(dir, external)
	if err != nil {
		return nil, err
	}
	t.onStop(r.Close)
	for at := t.live.Add(phases[i]); !at.After(t.end); at = at.Add(time.Minute) {
		if t.down(i, at) {
			continue
		}
		if err := r.append(t.ctx, at, t.scraped(at)); err != nil {
			return nil, fmt.Errorf("back-fill: %w", err)
		}
	}
	if err := r.db.Compact(t.ctx); err != nil { // What is older than some hours becomes blocks.
		return nil, fmt.Errorf("back-fill: %w", err)
	}
	if t.broken == breakScrape {
		return r, nil
	}
	if err := r.scrape(t.ctx); err != nil {
		return nil, err
	}
	t.run.Go(func() error { return r.run(t.ctx) })
	return r, nil
}

// dialSidecars returns the sidecars of a cluster, for whatever queries them from
// within.
func (t *topology) dialSidecars(c *cluster) (members []fanout.Member, err error) {
	for i, addr := range c.sidecars {
		m, err := t.dial("sidecar "+c.replicas[i].external.Get(replicaLabel), addr, grpcstore.ClientOptions{})
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}
