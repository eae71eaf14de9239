// Package interop holds thanoskit to the real thing: it runs Thanos,
// Prometheus and promtool beside thanoskit's own programs and packages, and
// compares answers, bytes and costs.
//
// It is a module of its own, because it links all of Thanos; nothing of it is
// linked by users of thanoskit. Thanos' wire types need a build tag, so:
//
//	go test -tags slicelabels ./...
//
// The binaries are found in the folder named by THANOSKIT_INTEROP_BIN, else in
// the cache that .ci/run fills: thanos, prometheus and promtool, built from
// this module's tool lines, versitygw from those of s3gateway, and Debian's
// Prometheus 2.42 as debian/prometheus. The Prometheus node exporter, memcached
// and nginx come from Debian too. A test whose binary is missing fails and says how to get it.
//
// Ratios beside Thanos are taken in one process, in pairs (A B A B), after a
// check that both sides answer the same. They are printed by
//
//	go test -tags slicelabels -run Ratio -v -ratio 21 .
//
// Without -ratio the same tests check equality and allocations only. The sidecar is
// killed a few times for each kind of bucket, and as often as wanted by
//
//	go test -tags slicelabels ./shipper -run Kills -v -kills 20
//
// In the topology of three clusters all components change places with Thanos', in
// all combinations, and each is killed, for real times, by
//
//	go test -tags slicelabels ./clusters -run Positions -swap=all -v -timeout 30m
//	go test -tags slicelabels ./clusters -run Survives -long -v -timeout 30m
package interop
