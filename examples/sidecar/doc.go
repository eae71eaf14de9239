// Command sidecar serves a running Prometheus as a StoreAPI, and uploads its
// blocks to object storage, as thanos sidecar does.
//
//	sidecar --prometheus.url=http://localhost:9090 --grpc-address=0.0.0.0:10901 \
//		--tsdb.path=/prometheus/data --objstore.config-file=bucket.yml
//
// Without --objstore.config-file or --objstore.config it uploads nothing. With
// one of them, it is ready once it has seen that Prometheus does not compact
// blocks before they are sent: either it does not compact at all, which is
// --storage.tsdb.max-block-duration=2h, or it waits for what the sidecar has
// sent, --storage.tsdb.delay-compact-file.path=/prometheus/data/thanos.shipper.json.
//
// With --grpc-server-tls-cert and --grpc-server-tls-key it speaks TLS, and with
// --grpc-server-tls-client-ca to clients with a certificate only. The files may
// change while it runs.
package main
