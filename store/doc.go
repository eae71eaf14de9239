// Package store is Thanos' StoreAPI in Go: what a source of series must do so
// that queriers, gateways and fan-outs can read from it.
//
// The smallest complete Store has one method (whose row.chunks returns none if
// req.SkipChunks):
//
//	func (g *Gateway) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
//		for _, row := range g.rows { // ascending by labels
//			if req.Matches(row.labels) {
//				if err := w.Send(&store.Series{Labels: row.labels, Chunks: row.chunks(req)}); err != nil {
//					return err
//				}
//			}
//		}
//		return nil
//	}
//
// [Wrap] adds what every Store needs but none should write again: external
// labels with their matcher algebra and re-sorting, replica-label removal and
// sharding ([WithExternalLabels]), order where the source has none ([WithSorting]),
// limits ([WithLimits]), who may see what ([WithAllowed]), who may serve what
// ([WithServed]) and panic recovery ([WithRecovery]). Package store/storetest says
// whether a Store is right; store/grpcstore serves it to any Thanos querier and
// dials any Thanos component as a Store; store/fanout makes many Stores one;
// package query evaluates PromQL over a Store.
//
// # The contract of Series
//
// A Store sends series in ascending order of labels.Compare over the labels as
// sent. A series may continue in the next Send, never later. Its chunks may
// reach out of the requested range and overlap; the reader trims. Both bounds
// of every time range are inclusive milliseconds, whatever the Store keeps
// inside. A series is sent only if it has a chunk that overlaps the range,
// also when chunks are not asked for.
//
// The caller promises a request that does not change during the call, and a
// writer that is used by one goroutine: the one that runs Series. The Store
// gives up what it passes to Send.
//
// When the context ends, Series returns promptly and leaves nothing behind. An
// error of Send ends the call and is returned as it is.
//
// # Optional abilities
//
// A Store may also be a [LabelQuerier], or label names and values are derived
// from its series; and a [Describer], or it counts as a Store that may hold
// anything. Middleware keeps both.
//
// # Neighbours
//
// Package store holds no transport and no storage. Stores of Prometheus are in
// store/promstore and store/tsdbstore, of whatever answers PromQL in
// store/promqlstore, of blocks in object storage in store/bucketstore, and in memory
// in store/memstore. It does not deduplicate: see packages dedup and query.
package store
