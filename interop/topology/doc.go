// Package topology runs thanoskit's programs beside the real Thanos and
// Prometheus, each in each other's place, and compares what they answer.
package topology
