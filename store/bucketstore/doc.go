// Package bucketstore makes a Store of the blocks in object storage: the store
// gateway.
//
//	s, err := bucketstore.Open(ctx, bkt, "/var/lib/gateway", nil)
//	...
//	defer s.Close()
//	go s.Run(ctx) // keeps up with the bucket
//	err = s.Series(ctx, req, w)
package bucketstore
