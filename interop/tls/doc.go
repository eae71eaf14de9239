// Package tls runs thanoskit's programs and the real Thanos over mutual TLS, each
// as the client and as the server of the other, with the same flags and the same
// endpoint configuration.
package tls
