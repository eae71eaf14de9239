// Package compactplan compares which blocks our compactor would merge, downsample,
// mark and delete with those that Thanos' would.
package compactplan
