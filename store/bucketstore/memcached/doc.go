// Package memcached is a bucketstore.Cache in memcached servers, which several
// store gateways may share.
//
//	cache, err := memcached.New(&memcached.Options{Servers: []string{"cache-0:11211", "cache-1:11211"}})
//	...
//	defer cache.Close()
//	s, err := bucketstore.Open(ctx, bkt, dir, &bucketstore.Options{Cache: cache})
//
// A query never waits longer than Options.Timeout for it: what has not come by
// then is read from the bucket. While servers fail, they are left alone but for
// one try each second. Values are set in the background, from a queue of limited
// size; what does not fit is dropped.
//
// Keys are our own, and Thanos' store gateways do not find each other's values
// under them: the two may share servers, but nothing else. A value that is not the
// one that was set costs time and never makes an answer wrong: bucketstore checks
// what it gets. The check is no signature, so whoever may write to the servers on
// purpose must be trusted.
package memcached
