package main

import (
	"path/filepath"

	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// startGateway serves the bucket of a cluster, on the observer.
func (t *topology) startGateway(c *cluster) (*unit, error) {
	return t.launch("gateway "+c.name, filepath.Join(t.hub.dir, "gateway-"+c.name), func(u *unit) error {
		cache, err := bucketstore.NewMemoryCache(16<<20, nil)
		if err != nil {
			return err
		}
		s, err := bucketstore.Open(u.ctx, u.bucket(c), u.dir, &bucketstore.Options{Cache: cache})
		if err != nil {
			return err
		}
		u.onEnd(s.Close)
		u.Go(s.Run)
		return u.serve(s, "store")
	})
}
