package main

import (
	"github.com/thanoskit/thanoskit/block/shipper"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// startSidecar serves what a Prometheus has, and uploads its blocks to the bucket
// of its cluster.
func (t *topology) startSidecar(c *cluster, r *replica) (*unit, error) {
	return t.launch("sidecar "+r.external.String(), "", func(u *unit) error {
		s, err := promstore.New(r.url(), nil)
		if err != nil {
			return err
		}
		u.onEnd(s.Close)
		if err := s.Sync(u.ctx); err != nil { // External labels, before anything is uploaded.
			return err
		}
		u.Go(s.Run)
		if t.broken != breakUpload {
			ship, err := shipper.New(u.bucket(c), r.unit.dir, &shipper.Options{ExternalLabels: s.ExternalLabels})
			if err != nil {
				return err
			}
			if _, err := ship.Sync(u.ctx); err != nil { // Run does that, too, some time.
				return err
			}
			u.Go(ship.Run)
		}
		return u.serve(s, "sidecar")
	})
}
