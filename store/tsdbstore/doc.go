// Package tsdbstore makes a Store of a local TSDB, or of anything else that is
// a storage.ChunkQueryable or, by [NewQueryable], only a storage.Queryable.
//
//	db, err := tsdb.Open(dir, logger, nil, tsdb.DefaultOptions(), nil)
//	...
//	s := store.Wrap(tsdbstore.New(db, nil), store.WithExternalLabels(external))
//
// Prometheus' tsdb package is not linked: a *tsdb.DB fits the small interfaces
// that are asked for.
//
// The Store keeps the contract of package store for raw data. External labels,
// the removal of replica labels and sharding are left to
// store.WithExternalLabels, which every Store that is served should be wrapped
// in. There is no downsampled data in a TSDB, so resolution and aggregates of a
// request make no difference.
//
// # Chunks
//
// Chunks are sent as they are stored, overhanging the range, where the TSDB
// allows it. It encodes anew what overlaps or came out of order, so that the
// chunks of a series neither overlap nor repeat samples. A chunk in an encoding
// that the StoreAPI cannot carry, such as those with start timestamps, is
// encoded anew here, which loses the start timestamps. Everything sent is
// copied: nothing refers to the memory-mapped files behind a block.
//
// # Labels
//
// Requests that skip chunks are answered from the index, unless
// Options.ExactLabels asks for more.
//
// Without a look at every series a TSDB knows which label names and values are
// in a block or its head, not when. As in Prometheus, label queries answer for
// the blocks that overlap the time range, so that they may name more than
// Series would send.
package tsdbstore
