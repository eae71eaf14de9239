// Package query evaluates PromQL over any store.Store, with replicas
// deduplicated.
//
//	q, err := query.New(s, &query.Options{ReplicaLabels: []string{"replica"}})
//	if err != nil {
//		return err
//	}
//	res, err := q.Instant(ctx, `sum by (job) (rate(http_requests_total[5m]))`, time.Now(), nil)
//	if err != nil {
//		return err
//	}
//	defer res.Close()
//	fmt.Println(res.Value)
//
// # From an expression to series
//
// The engine, any promql.QueryEngine, parses the expression and asks for the
// series of each of its selectors. A select becomes one request to the Store:
// the selector's time range and matchers; the aggregates of downsampled data
// that stand in for samples under the surrounding function; the coarsest
// resolution that will do; and what else the engine says of the query, as hints.
// Selects of one query run at the same time, up to a bound, and end with the
// query.
//
// The answer is buffered, as the engine wants all series before it computes:
// frames as they were received, whose chunks are decoded when the engine comes
// to them. A Store that does not shard has that done for it here. Each label set
// is one series. Chunks that are the same are kept once; where others overlap,
// several stores have the series, and all samples count.
//
// # Replicas
//
// Where replicas are merged, stores are asked to leave the replica labels, lest
// nobody know who has what. They are removed here, and the series put in order
// again as far as that takes. What one replica has in several stores is one
// replica. A dedup.Algorithm, by default dedup.Follow, merges the replicas of a
// series as they are iterated over: preferred ones first (Options.PreferReplicas),
// then by their labels, so that an answer does not depend on which store answered
// first or how samples are cut into chunks. A replica whose chunks are all those
// of one before it is not read.
//
// A series without any replica label is one more replica. Where chunks of that
// one overlap, several have lost what told them apart: they are split into tracks
// without overlap, which come as close to replicas as can be told (see
// dedup.Tracks), and what dedup.Follow promises is best effort.
//
// Stores are asked to remove replica labels, and tracks are merged, for
// dedup.Penalty, as in Thanos, for dedup.Chain, to which it makes no difference,
// and with a limit, which counts series without them. A Store that does not remove
// them has that done for it here.
//
// The Outcome of a query says which replica was in how many series, how many
// samples are its own, and how many series were merged of tracks.
//
// Raw counters reach the engine as they are, resets included. Only where several
// tracks are merged by dedup.Penalty for rate, irate or increase are they raised
// over their resets first, without NaN, as in Thanos: a replica that lags behind
// can then be told from a counter that was reset. Downsampled counters always are,
// and where another algorithm changes to a replica that was raised less than the
// one before, for want of resets that it has not seen, that one is raised further:
// a counter never falls where no replica does.
//
// # How resolution is chosen
//
// Options.MaxResolution, or that of QueryOptions, is the coarsest data that a
// query may use; AutoResolution is a fifth of its step. Functions that need two
// samples in their range (rate, increase, delta, deriv and the like) get data no
// coarser than half of it. A store sends the coarsest data that it has up to the
// maximum, and finer where that has gaps, so that resolutions may be mixed in
// one series. The lookback grows to 5 minutes and to an hour with maximum
// resolutions that need it.
//
// Of downsampled data, a function gets the aggregate that stands in for samples
// best:
//
//	min, min_over_time                      minimum of each window
//	max, max_over_time                      maximum
//	count, count_over_time                  count
//	sum_over_time                           sum
//	rate, irate, increase, resets           counter, raised over its resets
//	anything else                           average: sum divided by count
//
// So count and count_over_time see a sample per window, whose value counts the
// samples that were there. Raw data is always used as it is. Where both are
// there for one time, in chunks of one replica that overlap, the chunk that begins
// first counts; between replicas, the algorithm decides.
//
// # Partial answers
//
// With store.Warn, the default, a query goes on without what a store fails to
// give, and says so in Result.Warnings; with store.Abort it fails with the
// *store.Error that names the store. What the engine remarks on an expression is
// in Result.Annotations, never among the warnings.
//
// # What is not done
//
// Selects are not streamed, results not cached, and queries neither split nor
// queued. The package knows nothing of HTTP and gRPC, which are package
// query/httpapi and store/grpcstore, nor where series come from: see
// store/fanout for many stores as one.
package query
