// Package clusters runs the topology of examples/multicluster with real parts, and
// swaps those of thanoskit and of Thanos in it while it runs:
//
//	hub   top querier ── sidecars of hub
//	          │    └─── store gateways, one for each bucket
//	          │ TCP proxy, mTLS
//	eu    nginx ── mTLS again ── querier ── sidecars
//	us    nginx ── plain gRPC ── querier ── sidecars
//
//	each  2 × Prometheus ◄── sidecar ──► bucket of versitygw ◄──► compactor
//
// TestPositions puts sidecars, compactors, store gateways, the observees' queriers
// and the top querier of either kind in their places, at the same addresses and over
// the same directories, and asks the same questions, which have the same answers: all
// of Thanos, all of ours, and every other one. All positions there are (the 32 of the
// five roles, of which one changes at a time, and the mixed ones) are tried by
//
//	go test -tags slicelabels ./clusters -run Positions -swap=all -v -timeout 30m
//
// TestSurvives kills one process after the other, takes the bucket away and cuts an
// observee off, while somebody asks all the time: each answer is right or says that it
// is partial. All processes, and absences as long as they are in earnest, by
//
//	go test -tags slicelabels ./clusters -run Survives -long -v -timeout 30m
package clusters
