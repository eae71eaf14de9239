// Package proc runs programs for tests: the real Thanos and Prometheus, and
// thanoskit's examples. See package interop for where the binaries come from.
package proc
