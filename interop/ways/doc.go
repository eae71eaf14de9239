// Package ways runs thanoskit's ways in and out beside the real Prometheus and
// Thanos: remote read that they ask for, remote read that they answer, and
// PromQL over HTTP.
package ways
