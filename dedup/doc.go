// Package dedup merges the replicas of a series, such as those that the
// Prometheus servers of a highly available pair scraped, into one.
//
// The smallest complete use turns a series set in which replicas follow one
// another, because the label that told them apart has been removed, into one in
// which each series comes once:
//
//	set = dedup.NewSeriesSet(set, dedup.Follow{}, dedup.Untyped)
//
// # Algorithms
//
// Two Prometheus servers, a and b, scrape one target every 15 s, b 3 s after a.
// Each was down for a while. Below them is which samples come out:
//
//	         0    15   30   45   60   75   90   105  120  135  150 s
//	a        .    .    .                             .    .    .
//	b         .    .    .    .    .    .    .    .
//
//	Follow   a    a    a     b    b    b    b    b   a    a    a
//	Penalty  a    a    a          b    b    b    b             a
//	Chain    ab   ab   ab    b    b    b    b    b   a    a    a
//
// Follow keeps to the first replica and has the others stand in for what it
// misses, from the first scrape on and as long as it is away. What it promises is
// written at its type: samples as they were, no holes that a replica could fill,
// no resets that no replica saw, and the same answer wherever a query begins.
//
// Chain returns every sample of every replica once. That is right for copies
// with identical times, such as replicated receivers hold. Replicas that scrape
// on their own come out interleaved: twice as many samples as were scraped, and
// a counter that falls wherever one replica saw less than the other.
//
// Penalty stays with one replica. Samples of the other are skipped for twice the
// distance of the last two samples returned, which keeps the scrape interval and
// bridges small differences, at the price of a hole at each change. It is what
// Thanos' querier does, sample for sample, and is here to give the same answers.
//
// # Counters
//
// When Penalty changes to a replica that has seen less of a counter, the counter
// seems to fall, and PromQL takes that for a reset. With Counters the new replica
// is raised to the last value returned. Nothing in a series tells whether it is
// a counter, so the caller says so, and says Untyped if it does not know.
//
// # Replicas
//
// A replica is anything that can be iterated: a storage.Series, a chunk, a list
// of chunks. Where the labels are gone and only one list of overlapping chunks is
// left, Tracks splits it into tracks that can be iterated, as Thanos does. A
// track is not a replica: at every gap it may go on with another one's chunks.
//
// Replicas says which labels tell replicas apart and which of them come first; its
// Compare sorts series or blocks.
//
// # Chunks
//
// ChunkMerger merges replicas that are lists of encoded chunks, as compaction does,
// to what an algorithm makes of their samples:
//
//	a        [ 1 ][ 2 ]          [ 6 ]
//	b        [ 1 ][ 3  ][ 5 ]    [ 6 ]
//
//	merged   [ 1 ][ new     ]    [ 6 ]
//
// Identical chunks and those that overlap no other are passed on undecoded, as far
// as that is certain not to change the result. Chain leaves all of them alone. Follow
// does once it has forgotten what was before: four windows after replicas came or
// went, or at once if there was nothing for one. Penalty does if all replicas are
// identical. Of an algorithm of the caller's nothing is known, so that only what is
// of one replica is passed on.
//
// Chunks of one replica that overlap are all of its samples, each time once. Those of
// downsampled data are split into tracks instead, each of which counts as a replica,
// next to the other ones of its own: the aggregates of a window are never put together
// of two chunks, since nothing tells whether one has counted what the other has.
//
// Chunks of downsampled data are merged window by window. An algorithm chooses
// whose window it is by when there are windows, aligned ones being a minute apart
// to it; all aggregates of a window come from the replica chosen, as they are. Chain
// takes the first replica that has one. A counter, whose values start anew with each
// chunk, rises from one window to the next by as much as it did in the replica that
// has the later one. Counters of histograms are raw values, which a reader compares
// at a change of replicas as it does samples.
//
// NewChunkSeries, NewChunkSeriesSet and MergeChunkSeries are ChunkMerger for the
// interfaces of Prometheus' storage.
//
// # What it does not do
//
// The package does not remove labels, sort series, fetch anything, choose the
// algorithm or guess which series are counters.
//
// # Own algorithms
//
// Algorithm is one method, and its comment is the contract. Package deduptest
// has timelines as text and random replicas to try one on.
//
// # Neighbours
//
// Package query decides what is a replica of what and hands it over here; this
// package knows neither it nor stores.
package dedup
