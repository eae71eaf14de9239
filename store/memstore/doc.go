// Package memstore is a Store that holds series in memory: the reference that
// other Stores are compared with, and what examples and tests read from.
//
//	var s memstore.Store
//	err := s.Append(labels.FromStrings("__name__", "up", "job", "node"), 1000, 1)
//
// Samples are appended in order and cut into chunks as Prometheus' head does,
// or whole chunks are added, aggregated ones too. The Store keeps every part of
// the contract of package store by itself, the optional ones included:
// resolution and aggregates, replica-label removal, sharding, limits, label
// names and values, and its Info. There is nothing to wrap it in for that but
// store.WithExternalLabels where series are to get external labels.
//
// It does not persist anything and forgets only what Delete is told to. What it
// sends is copied out of it, chunk by chunk, so that the receiver may own it.
//
// A query looks candidates up in an index by label pair and compares the rest
// of the matchers with each candidate's labels; a hundred thousand series are
// no trouble, many millions are a case for package store/tsdbstore.
package memstore
