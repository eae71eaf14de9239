package main

import (
	"path/filepath"
	"time"

	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
)

const day = 24 * time.Hour

// How long blocks are kept. Those of 1h are kept for good.
const (
	keepRaw = 30 * day
	keep5m  = 90 * day
)

// startCompactor compacts the bucket of a cluster: replicas become one series, raw
// data becomes 5m and that 1h, and what has had its time is deleted.
func (t *topology) startCompactor(c *cluster) error {
	opts := compact.Options{
		ReplicaLabels: []string{replicaLabel},
		Algorithm:     dedup.Follow{},
		Retention:     compact.Retention{Raw: keepRaw, FiveMinutes: keep5m},
	}
	switch t.broken {
	case breakDownsample:
		opts.Downsampling = compact.DownsampleNone
	case breakRetention:
		opts.Retention = compact.Retention{}
	}
	dir := filepath.Join(c.dir, "compactor")
	if err := t.catchUp(c, dir, opts); err != nil {
		return err
	}
	var err error
	c.compactor, err = t.launch("compactor "+c.name, dir, func(u *unit) error {
		comp, err := compact.New(u.bucket(c), dir, &opts)
		if err != nil {
			return err
		}
		u.onEnd(comp.Close)
		u.Go(comp.Run)
		return nil
	})
	return err
}

// catchUp does at once what a compactor would have done over four months: nobody
// reads the bucket yet, so nothing needs to wait.
func (t *topology) catchUp(c *cluster, dir string, opts compact.Options) error {
	opts.ConsistencyDelay, opts.DeleteDelay = -1, -1
	comp, err := compact.New(c.bucket, dir, &opts)
	if err != nil {
		return err
	}
	defer comp.Close()
	if c.report, err = comp.RunOnce(t.ctx); err != nil {
		return err
	}
	deleted, err := comp.Clean(t.ctx)
	c.deleted = len(c.report.Deleted) + len(deleted)
	return err
}
