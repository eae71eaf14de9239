// Command querier answers PromQL over StoreAPIs, as thanos query does, and is a
// StoreAPI itself, so that queriers stack.
//
//	querier --endpoint=localhost:10901 --endpoint=localhost:10911 --query.replica-label=replica
//
// Replicas are merged by dedup.Follow. --deduplication.func=penalty is what
// thanos query does unless it is told otherwise: pass it where both are to give the
// same answers.
//
// Endpoints are also looked up in DNS (dns+host:port, dnssrv+name), read from
// files of Prometheus' file SD (--store.sd-files) and from Thanos' endpoint
// configuration (--endpoint.sd-config-file), and spoken with over TLS:
//
//	querier --endpoint=observee.example:443 --grpc-client-tls-secure --grpc-client-tls-ca=ca.crt
//		--grpc-client-tls-cert=tls.crt --grpc-client-tls-key=tls.key
package main
