// Package shipper tests the sidecar's writing half beside the real thing: our
// program and Thanos' on the data directory of a real Prometheus, with buckets in
// a directory and behind S3, and what is left when the program is killed.
package shipper
