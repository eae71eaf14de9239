// Package discovery finds the members of a fan-out over gRPC: addresses as they
// stand, names that are looked up in DNS, and files that change.
//
//	endpoints, err := discovery.New(&discovery.Options{Config: discovery.Config{
//		Endpoints: []discovery.Endpoint{{Address: "sidecar:10901"}, {Address: "dnssrv+_grpc._tcp.store.example"}},
//	}})
//	...
//	defer endpoints.Close()
//	err = endpoints.Refresh(ctx) // what is wrong is also in Status
//	go endpoints.Run(ctx)
//	all, err := fanout.New(endpoints, nil)
//
// # Addresses
//
//	host:port              one member; what the name stands for is gRPC's business
//	dns+host:port          one for each A and AAAA record
//	dnsdualstack+host:port the same, but it suffices that A or AAAA are answered
//	dnssrv+name            one for each address of each host in an SRV record
//	dnssrvnoa+name         one for each host in an SRV record
//
// The port of an SRV record gives way to one in the address: dnssrv+name:port.
//
// A member is named by its address as configured, and after "@" what it was
// resolved to, if it was: "dns+store.example:10901@10.0.0.1:10901". As long as it
// is found, and is to be spoken with in the same way, it keeps its connection. One
// that is gone is closed when its last call has ended, and a while after that; if
// it is back by then, its connection still is there.
//
// # Names stay
//
// A member that was resolved is asked for by name, in TLS (SNI, certificate) as in
// HTTP/2 (:authority), never by the address that was found, so that an ingress
// knows whom it is for, and certificates have names. The name is the configured
// one; with SRV records it is the host that they name. Who does not trust DNS to
// say that sets server_name, which is asked for in place of either.
//
// # Groups
//
// The members of an endpoint with Group have the same data and are one for the
// fan-out: each address that its name resolves to is one of them. See
// fanout.Member.
//
// # Who serves what
//
// An endpoint that somebody else runs may be held to the external labels that are
// its own, with serves in its configuration: series of others are left out, with a
// warning. See store.WithServed, and ServerOptions.Allow of package grpcstore for
// the other way round.
//
// # What is wrong
//
// A lookup that fails and a file that cannot be read leave what they last said in
// force. A name that DNS does not know, or that has no addresses, has no members,
// as with Thanos, unless it is Strict. Where it is unknown who the members are (a
// lookup that never succeeded; a strict name without addresses; a certificate
// that cannot be read; a file that never could be) a member that cannot be asked
// stands for them, so that answers say that they are partial. All is tried again
// from time to time, and is reported by Status, metrics and, if Run does it, the
// logger.
//
// # Files
//
// File SD is Prometheus': JSON or YAML, a list of targets with labels, which mean
// nothing here. The endpoint configuration is that of Thanos v0.42.4 (see
// [Config]), where unknown fields are errors. Files are looked at every few
// seconds.
//
// TLS is that of package tlsutil: certificates, keys and CAs reload. Compression
// "snappy" needs an import of store/grpcstore/snappy.
package discovery
