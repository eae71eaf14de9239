// Package gateway opens store gateways over a bucket so that they can be compared:
// Thanos' as its command opens it, and ours.
package gateway
