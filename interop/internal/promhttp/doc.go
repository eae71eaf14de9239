// Package promhttp asks Prometheus' HTTP API, whoever serves it, and makes its
// answers comparable to the bit.
package promhttp
