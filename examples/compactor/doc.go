// Command compactor compacts, downsamples and deletes the blocks in object storage,
// as thanos compact does.
//
//	compactor --objstore.config-file=bucket.yml --data-dir=/var/lib/compactor --wait \
//	  --retention.resolution-raw=30d --retention.resolution-5m=180d --retention.resolution-1h=5y
//
// Without --wait it does all there is to do and ends. --dry-run prints what that
// would be, and why, and does none of it:
//
//	compactor --objstore.config-file=bucket.yml --dry-run
//
// Replicas become one without their labels, for ever:
//
//	--deduplication.replica-label=replica
//
// They are merged by dedup.Follow. Thanos' default is what --deduplication.func=chain
// is here: all samples of all replicas. That is right for copies, and wrong for
// Prometheus servers that scrape on their own (kube-thanos#290).
//
// Several compactors share a bucket, each with --shards=3 and its own --shard from
// 0, or by --selector.relabel-config as with Thanos.
//
// How long blocks are kept may depend on their external labels:
//
//	--retention.rule='{tenant="trial"} raw=7d 5m=30d 1h=30d'
//
// Nothing halts it. A block that is bad is marked no-compact or no-downsample, which
// Thanos heeds as well, with what is wrong as the reason, and all else goes on; what
// fails for other reasons is tried again. What is in --data-dir is gone on with
// after a restart, and may be deleted while the program does not run. At a terminal
// it says how far it is.
package main
