// Command sidecar serves a running Prometheus as a StoreAPI, as thanos sidecar
// does.
//
//	sidecar --prometheus.url=http://localhost:9090 --grpc-address=0.0.0.0:10901
package main
