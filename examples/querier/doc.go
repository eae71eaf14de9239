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
//
// Who may have and who may serve what can be said, which it cannot to Thanos. Of an
// endpoint in the endpoint configuration, the external labels of what it serves:
//
//	endpoints:
//	- address: observee.example:443
//	  serves: {cluster: [eu-1, eu-2]}
//
// And of clients of the gRPC server, by the names in their certificates, those of
// what they may have, with --grpc-server-tls-client-ca and
// --grpc-server-peers-file=peers.yml, which is read again when it changes:
//
//	peers:
//	- name: spiffe://example/grafana
//	  everything: true
//	- name: team-eu.example
//	  labels: {cluster: [eu-1, eu-2]}
//
// --http-peers-file is the same for HTTP, where --http.config has client_auth_type
// RequireAndVerifyClientCert. Who may not have everything gets neither /metrics nor
// /api/v1/stores. One of the two says nothing of the other side, which a warning in
// the log points out.
package main
