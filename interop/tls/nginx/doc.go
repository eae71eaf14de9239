// Package nginx asks tlsutil.Doctor about real nginx as a gRPC ingress: what it
// says of each way in which an ingress does not let a client through, and that it
// says nothing where a call gets through.
//
// It needs nginx, of Debian's nginx-light or any other package, in PATH or in
// /usr/sbin.
package nginx
