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
// A Prometheus behind TLS or a password is spoken with as
// --prometheus.http-client, or a file, --prometheus.http-client-file, says:
//
//	basic_auth: {username: thanos, password_file: /etc/prometheus/password}
//	tls_config: {ca_file: /etc/prometheus/ca.crt}
//
// With --grpc-server-tls-cert and --grpc-server-tls-key it speaks TLS, and with
// --grpc-server-tls-client-ca to clients with a certificate only. The files may
// change while it runs. What each client may have, by the names in its certificate,
// is in --grpc-server-peers-file (not in Thanos); for HTTP, which has metrics, that
// is --http-peers-file.
package main
