// Package grpcstore speaks the StoreAPI over gRPC: [Register] serves a Store to
// anything that speaks Thanos, and [Dial] makes any Thanos component a Store.
//
// The smallest complete server:
//
//	srv, err := grpcstore.NewServer(gateway, nil)
//	if err != nil { ... }
//	l, err := net.Listen("tcp", ":10901")
//	if err != nil { ... }
//	err = srv.Run(ctx, l)
//
// and client:
//
//	c, err := grpcstore.Dial("sidecar:10901", nil)
//	if err != nil { ... }
//	defer c.Close()
//	for series, err := range store.All(ctx, c, req, nil) { ... }
//
// # Compatibility
//
// The services are thanos.Store and thanos.info.Info, on the wire as Thanos has
// them; tested both ways against Thanos v0.42.4. Of thanos.info.Info only what
// concerns the StoreAPI is kept. Nothing is generated and nothing is entered
// into protobuf's registry, so that a program may link Thanos as well.
//
// # Servers of your own
//
// A Store can be registered on any grpc.Server, and works there, at the price
// of copying each message once more, and of gRPC's defaults, which are wrong for
// the StoreAPI in two ways: a message may have 4 MiB at most, and a client that
// pings more often than every 5 minutes is sent away. Thanos' clients ping every
// 10 s, so that a call on which nothing arrives for half a minute (a heavy
// query) breaks with "too_many_pings". [GRPCServerOptions] sets both right, and
// installs the codec that hands messages through without copying. Messages of
// every other service on the server go to gRPC's stock codec. [NewServer] does
// all of this, and adds health and reflection, which are also here by
// themselves: [Health], [RegisterReflection], [GracefulStop].
//
// # TLS
//
// [TLS] is the client's side of mutual TLS by package tlsutil; the server's is
// credentials.NewTLS of its configuration, and its listener. A connection has 10 s
// for its handshakes. What each caller may have is ServerOptions.Allow's to say:
// [Peers] by the names in certificates, or [PeerIdentity], who it is, and what
// follows from that.
//
// # Memory
//
// A client hands a message on as one frame of package internal/encoded, a view
// of gRPC's own buffers, to a writer that takes frames, as thanoskit's fan-out
// does. Anybody else gets plain series, which own their memory. Backpressure is
// gRPC's flow control: a writer that does not return stops the peer once its
// window is full. The window of each call is what Dial is told,
// ClientOptions.WindowSize; that of a connection of the user's is gRPC's affair.
//
// # Order
//
// The client checks the order of what a peer sends, and the server that of what
// a Store that anybody may have written sends it: all plain series, and the
// seams between frames, whose insides were checked or sorted by who made them.
//
// # What travels beside the messages
//
// As gRPC metadata: a request's Tenant under Thanos' own key thanos-tenant, its
// Metadata under the keys that it has, and the names of the fan-outs that it
// came through, so that a circle of them ends. A request with an Outcome also
// asks for a receipt, which a server of thanoskit answers with one hints message
// of bounded size, at the end: what became of each member of the fan-out that it
// serves. Other peers ignore the keys, and are never sent a receipt. PromQL's
// annotations among a peer's warnings stay what they are: see
// store.IsAnnotation.
//
// # Compression
//
// Answers are compressed as their request was. Import package
// store/grpcstore/snappy, on both sides, for the compressor that Thanos has.
//
// The package does not discover, balance over or watch peers: it is one
// connection to one target. See store/fanout for many of them.
package grpcstore
