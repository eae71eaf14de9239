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
	sidecars  []*unit // of the replicas
	compactor *unit
	gateway   *unit // of the observer, for the bucket
	querier   *unit // of an observee

	report  *compact.Report // what the compactor did of the history
	deleted int             // blocks
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
		sidecar, err := t.startSidecar(c, r)
		if err != nil {
			return err
		}
		c.replicas, c.sidecars = append(c.replicas, r), append(c.sidecars, sidecar)
	}
	return t.startCompactor(c)
}

// startPrometheus starts a replica that has been running for a while.
func (t *topology) startPrometheus(dir string, i int, external labels.Labels) (*replica, error) {
	r := &replica{external: external}
	_, err := t.launch("prometheus "+external.String(), dir, func(u *unit) error { // r has it before it runs
		had := u.link != nil // a life before this one
		if err := r.open(u); err != nil {
			return err
		}
		if !had {
			if err := t.backfill(r, i); err != nil {
				return fmt.Errorf("back-fill: %w", err)
			}
		}
		if t.broken == breakScrape {
			return nil
		}
		if err := r.scrape(u.ctx); err != nil {
			return err
		}
		u.Go(r.run)
		return nil
	})
	return r, err
}

// backfill gives a replica what it would have scraped in the last hours.
func (t *topology) backfill(r *replica, i int) error {
	for at := t.live.Add(phases[i]); !at.After(t.end); at = at.Add(time.Minute) {
		if t.down(i, at) {
			continue
		}
		if err := r.append(t.ctx, at, t.scraped(at)); err != nil {
			return err
		}
	}
	return r.db.Compact(t.ctx) // What is older than some hours becomes blocks.
}

// dialSidecars returns the sidecars of a cluster, for whatever queries them from
// within.
func (u *unit) dialSidecars(c *cluster) (members []fanout.Member, err error) {
	for i, sidecar := range c.sidecars {
		m, err := u.dial("sidecar "+c.replicas[i].external.Get(replicaLabel), sidecar.addr(), grpcstore.ClientOptions{})
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}
