// Command sidecar serves a running Prometheus as a StoreAPI, as thanos sidecar
// does.
//
//	sidecar --prometheus.url=http://localhost:9090 --grpc-address=0.0.0.0:10901
//
// With --grpc-server-tls-cert and --grpc-server-tls-key it speaks TLS, and with
// --grpc-server-tls-client-ca to clients with a certificate only. The files may
// change while it runs.
package main
