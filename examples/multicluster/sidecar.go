package main

import (
	"github.com/thanoskit/thanoskit/block/shipper"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// startSidecar serves what a Prometheus has, and uploads its blocks to the bucket
// of its cluster.
func (t *topology) startSidecar(c *cluster, r *replica) (addr string, err error) {
	s, err := promstore.New(r.url, nil)
	if err != nil {
		return "", err
	}
	t.onStop(s.Close)
	if err := s.Sync(t.ctx); err != nil { // External labels, before anything is uploaded.
		return "", err
	}
	t.run.Go(func() error { return s.Run(t.ctx) })
	if t.broken != breakUpload {
		ship, err := shipper.New(c.bucket, r.dir, &shipper.Options{ExternalLabels: s.ExternalLabels})
		if err != nil {
			return "", err
		}
		if _, err := ship.Sync(t.ctx); err != nil { // Run does that, too, some time.
			return "", err
		}
		t.run.Go(func() error { return ship.Run(t.ctx) })
	}
	return t.serve(s, "sidecar")
}
