// Package program is what the example programs have in common: flags named as
// Thanos names them (--log.level and --log.format among them), metrics, signals, TLS, and a gRPC and an HTTP
// server with probes. The examples are short because of it; what is worth copying into
// a program of one's own is what they do with thanoskit.
package program
