// Command multicluster runs a topology of three clusters in one process, queries
// it, and proves what it answers.
//
//	go run ./examples/multicluster
//
// The observer, hub, asks the observees, eu and us, by way of their queriers, which
// let in only whom the observer's CA vouches for:
//
//	hub   top querier ── sidecars of hub
//	          │    └─── store gateways, one for each bucket
//	          │ mTLS
//	eu, us  querier ──── sidecars
//
//	each    2 × Prometheus ◄── sidecar ──► bucket ◄──► compactor
//
// A Prometheus is a TSDB that scrapes its own /metrics, and whose last hours are
// back-filled; its sidecar reads it over HTTP and uploads its blocks. Four months of
// history are in the buckets, at 60 s, with holes in each replica at other times.
// The compactors merge the replicas, downsample, and keep raw data for 30 days, 5m
// for 90 and 1h for good, so that a query over all of it meets all three.
//
// For each proof it prints what was asked, what came and from whom. It exits with 0
// only if everything that it sets out to prove holds; -break=NAME breaks the topology
// so that a proof fails. -serve keeps it up, with Prometheus' HTTP API for a
// browser or Grafana on 127.0.0.1:9090, or where -serve=ADDRESS says.
//
// To read how something is wired: replica.go and sidecar.go, cluster.go,
// compactor.go, boundary.go and certs.go for an observee; gateway.go and observer.go
// for the observer.
package main
