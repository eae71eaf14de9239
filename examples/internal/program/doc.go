// Package program is what the example programs have in common: flags named as
// Thanos names them, a logger (--log.level, --log.format), metrics, signals, TLS,
// and a gRPC and an HTTP server with probes. The examples are short because of it;
// what is worth copying into a program of one's own is what they do with thanoskit.
package program
