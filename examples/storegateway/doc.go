// Command storegateway serves the blocks in object storage as a StoreAPI, as
// thanos store does.
//
//	storegateway --objstore.config-file=bucket.yml --data-dir=/var/lib/store --grpc-address=0.0.0.0:10901
//
// The bucket is named in Thanos' YAML. Several gateways share a bucket by time,
// --max-time=-2w here and --min-time=-2w there, or by blocks:
//
//	--selector.relabel-config='
//	  - {action: hashmod, source_labels: [__block_id], modulus: 2, target_label: shard}
//	  - {action: keep, source_labels: [shard], regex: 0}'
//
// Postings, series entries and, if asked for, chunks are cached in memory
// (--index-cache-size, --chunk-cache-size) or in memcached, which gateways of the
// same bucket may share:
//
//	--index-cache.config='{type: MEMCACHED, config: {addresses: ["cache:11211"]}}'
//
// It is healthy at once, and ready when the blocks have been loaded that are in
// the bucket at the start. What is in --data-dir makes the next start quick, and may
// be deleted while it does not run.
package main
