// Package blockdata holds blocks that package block writes, and what it says
// about blocks, to the real Thanos and the real Prometheus: index_stats, health,
// the tools of both, and rewriting.
//
//	go test -tags slicelabels ./blockdata
//
// The binaries thanos and promtool are found as in the rest of interop.
package blockdata
