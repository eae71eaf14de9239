package main

import (
	"path/filepath"

	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// startGateway serves the bucket of a cluster, on the observer.
func (t *topology) startGateway(c *cluster) (addr string, err error) {
	cache, err := bucketstore.NewMemoryCache(16<<20, nil)
	if err != nil {
		return "", err
	}
	s, err := bucketstore.Open(t.ctx, c.bucket, filepath.Join(t.hub.dir, "gateway-"+c.name), &bucketstore.Options{Cache: cache})
	if err != nil {
		return "", err
	}
	t.onStop(s.Close)
	t.run.Go(func() error { return s.Run(t.ctx) })
	return t.serve(s, "store")
}
