// Command multicluster runs a topology of two clusters in one process, queries
// it, and proves what it answers.
//
// Each cluster has two replicas of a Prometheus: a TSDB with back-filled
// history that each replica has holes in, at other times, and with scrapes of
// its own /metrics. A sidecar reads each over HTTP and serves it as a StoreAPI;
// a querier for each cluster fans out to its sidecars, and the top querier to
// the queriers, all over gRPC on loopback.
//
//	go run ./examples/multicluster
//
// For each query it prints what the single replicas say, the deduplicated
// answer, and who answered. It exits with 0 only if everything that it sets out
// to prove holds; -break=NAME (replica-label, member, history, scrape) breaks the
// topology so that a proof fails. -serve=127.0.0.1:9090 keeps it up, with
// Prometheus' HTTP API on that address.
package main
