// Package memcached holds store/bucketstore/memcached to a real memcached. It is
// a module of its own because Thanos' go.mod, which that of interop follows,
// puts another client in the place of the one that everybody else gets.
//
//	cd interop/memcached && go test .
//
// memcached must be in PATH, or in $THANOSKIT_INTEROP_BIN.
package memcached
