// Package buckets runs thanoskit's programs that write and read blocks beside the
// real Thanos, Prometheus and an S3 server, each in each other's place, and
// compares what they answer.
package buckets
