// Command tlsdoctor finds out why a gRPC client cannot talk to a server, and says
// it in words.
//
//	tlsdoctor [--grpc-client-tls-secure] [flags] HOST:PORT ...
//
// It takes the flags for TLS that clients in the other examples and in Thanos
// take, so that what is tried is what they do:
//
//	tlsdoctor --grpc-client-tls-secure --grpc-client-tls-ca=ca.crt \
//	  --grpc-client-tls-cert=tls.crt --grpc-client-tls-key=tls.key observee.example:443
//
// Each address of the host is looked at by itself. Lines of what was seen come
// first, then "FAIL" with what is wrong and what to look at, or "ok". The exit
// status is 0 if all is well, 1 if something is wrong, 2 for wrong arguments.
package main
