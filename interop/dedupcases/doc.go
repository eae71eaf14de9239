// Package dedupcases replays what people reported against deduplication in
// Thanos: through Thanos' own iterator and querier, and through package dedup and
// query. What both say is the table of docs/dedup.md, which
//
//	go test -tags slicelabels ./dedupcases
//
// compares with the page, and -update writes. Ours is held to what the replicas
// say one by one, besides.
package dedupcases
