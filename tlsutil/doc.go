// Package tlsutil makes TLS configurations whose certificate, key and CA follow
// their files while a program runs, with the standard library only.
//
// A server that demands certificates of the CA in ca.crt:
//
//	srv, err := tlsutil.NewServer("tls.crt", "tls.key", &tlsutil.ServerOptions{ClientCAFile: "ca.crt"})
//	...
//	creds := credentials.NewTLS(srv.Config())
//
// and a client that has one:
//
//	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: "ca.crt", CertFile: "tls.crt", KeyFile: "tls.key"})
//	...
//	creds := credentials.NewTLS(cli.Config("store.example"))
//
// # Rotation
//
// Each handshake looks at the files first. What has changed is read, checked and
// used from that handshake on; connections that exist are not touched. What is
// not good (half written, a key that is another certificate's, expired, no CA, a
// file that is gone) is not used: the last good content stays in force, and the
// logger and OnReload are told, once for each new reason. There is no goroutine,
// and nothing to close.
//
// A file counts as unchanged if its identity, size and time of modification are
// what they were, and the latter was not so recent that a further change may have
// left it as it was. Links are followed, so that the volumes of Kubernetes work.
// A handshake on files that rest costs a few calls of stat more than one of
// crypto/tls alone, some microseconds beside its hundreds.
//
// A file put in place by rename is never seen half written. Certificate and key
// are two files even so; a handshake between the two sees a pair that does not
// match, and goes on with the last one.
//
// The CA of clients reloads too, which Thanos' does not: taking a CA out of the
// bundle refuses its clients at their next handshake, and ends the connections
// that they have, a minute later at most, if the server accepts from
// Server.Listener. Client.Track does the same for connections to servers, and
// grpcstore.TLS with it for those of gRPC.
//
// A CA is replaced in three steps, with time between them for each side to have
// read its files and for connections to have been made anew: a bundle of the old
// CA and the new one, on both sides; certificates of the new one; a bundle of the
// new one alone. No call fails if connections have an age, such as gRPC's
// MaxConnectionAge, that is less than the time before the last step.
//
// # Resumed sessions
//
// A resumed session skips the exchange of certificates. Servers made here issue
// no session tickets, so that each connection shows its certificate to the CA of
// now. Clients made here keep no sessions; if a ClientSessionCache is added to
// their configuration, resumed connections are checked against the CA of now as
// well.
//
// # Configurations are cloned
//
// gRPC and net/http work on copies. All that reloads does so from callbacks, and
// survives the copy. Certificates, ClientCAs and RootCAs of a configuration made
// here are empty; setting GetConfigForClient or GetClientCertificate undoes it, and
// setting VerifyConnection of a client's lets anybody in.
//
// For gRPC, credentials.NewTLS adds the protocol h2. For HTTP, ask for protocols:
// srv.Config("h2", "http/1.1") in http.Server.TLSConfig, whose own additions do
// not reach the configuration of a handshake. An http.Transport with
// TLSClientConfig speaks HTTP/2 with ForceAttemptHTTP2 only.
//
// # A CA for development
//
// [NewCA] makes a CA, which issues certificates with names, URIs and dates of
// choice. It is for tests and trials: its key lies in memory, and it revokes
// nothing.
//
// # Who it is, and what is wrong
//
// [PeerIdentity] says who a peer is, by the names in its certificate. What it may
// have and serve is decided elsewhere: by store.WithAllowed and store.WithServed.
// [Expiry] says when certificates end. [Doctor] finds out why a client cannot talk to
// a server, and says it in words; examples/tlsdoctor is a program around it.
package tlsutil
