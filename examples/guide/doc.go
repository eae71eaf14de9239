// Package guide is the Go code of docs/guide.md: each step of the way from one
// Prometheus to observers of many clusters, as a function to copy into a program of
// one's own. What stands in the guide is what stands here; a test compares them.
//
// Each function blocks until its context ends. Logger and Registerer, which every
// Options has, are left out.
package guide
