// Package selecting compares what a select over deduplicated replicas gives, and
// costs, with Thanos' querier: in process, over gRPC, over stores of Thanos' and of
// ours; and it measures the two places where a replica's identity may be kept.
package selecting
