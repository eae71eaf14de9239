// Package thanoskit is the root of a set of packages that Thanos is made of:
// clients and servers of the StoreAPI, the fan-out between them, deduplication
// of replicas, PromQL over all of it, and blocks in object storage with their
// compaction and downsampling, to import and wire into the topology that one needs.
// They speak Thanos' own protocols and formats, so any part can stand beside, in
// front of or behind a real Thanos component, on the wire and in the bucket.
//
// The packages:
//
//	store               a source of series, and the middleware around one
//	store/grpcstore     StoreAPI over gRPC: serve a Store, dial one; below it, discovery
//	                    of members and the compressor snappy
//	store/fanout        many Stores as one
//	store/promstore     a running Prometheus as a Store: a sidecar's reading half
//	store/promqlstore   whatever answers PromQL over HTTP as a Store
//	store/tsdbstore     a TSDB in this process, or any storage.Queryable, as a Store
//	store/bucketstore   blocks in object storage as a Store: the store gateway; below it, a cache
//	                    for it in memcached
//	store/memstore      series in memory as a Store
//	store/remoteread    a Store served as Prometheus remote read
//	store/thanosstore   Thanos' own Go types as a Store, and a Store as them
//	store/storetest     is a Store right? In process, or at an address
//	block               blocks in a bucket and on disk: meta.json, marks, what there is, upload,
//	                    download, read, write, verify, rewrite
//	block/shipper       finished blocks of a Prometheus to a bucket: a sidecar's writing half
//	block/blocktest     blocks, and a bucket that fails, for tests
//	compact             a compactor: plans, merges, downsamples, keeps for a time, deletes
//	downsample          raw data to 5m, 5m to 1h: chunks, a block, a bucket
//	dedup               one series from many replicas; below it, deduptest: replicas to try it on
//	query               PromQL over a Store
//	query/httpapi       the Prometheus HTTP API over a query.Querier
//	tlsutil             TLS configurations that follow their files
//	examples            a program per component, and multicluster: all of them in one
//
// This package itself holds only what all of them share with the programs of
// the Thanos world: [FromGoKit] and [ToGoKit] connect slog, which every package
// here logs to, with go-kit's log package, which Thanos and objstore log to.
//
// Nothing in this module is global, but for the compressor that importing
// store/grpcstore/snappy registers with gRPC. A component gets its logger, its
// metrics registry and its tracer from the caller; nil means silent, unregistered
// and untraced. It links under every build tag that chooses the layout of
// Prometheus' labels.Labels, and the program that imports it needs no replace
// directive.
package thanoskit
