// Package storetest proves a Store right, in process and on the wire: a kit of
// checks by name for those who write one.
//
// A test of a gateway:
//
//	func TestGateway(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			New: func(t testing.TB, f *storetest.Fixture) store.Store {
//				g := gateway.New()
//				for _, s := range f.Series() {
//					g.Load(s.Labels, s.Chunks)
//				}
//				return store.Wrap(g, store.WithExternalLabels(f.ExternalLabels()))
//			},
//			Lacks: map[storetest.Feature]string{
//				storetest.DownsampledData:  "the table has raw data only",
//				storetest.NativeHistograms: "its values are floats",
//			},
//		})
//	}
//
// [Run] gives the gateway a [Fixture] to hold and makes every check, each a
// subtest, on the Store itself and again through a gRPC server and client:
//
//	--- FAIL: TestGateway/direct/order-replica-labels
//	    series {..., x="1"} came after {..., x="2"}: not sorted once replica labels ["r"] are removed
//
// [Check] makes those checks that need no fixture on any Store, whatever it
// holds: a gateway in staging, somebody else's, a real Thanos. [Benchmark]
// measures one.
//
// # A gateway, step by step
//
// The Store has one method. It sends series in the order of labels.Compare, and
// of each series the chunks that overlap the range; req.Matches decides which
// series, and with req.SkipChunks it sends none of their chunks. What a Store of
// its own need not do, middleware does: wrapped in store.WithExternalLabels, it
// has external labels, shards, and removes replica labels, and Info says so; in
// store.WithSorting it may send series in any order. Label names and values come
// from its series unless it is a store.LabelQuerier, and Info says nothing of
// what it holds unless it is a store.Describer. The example of this package is such
// a Store.
//
// Load f.Series() into it, or f.Append samples into the database behind it. Name
// what it cannot hold in Harness.Lacks, and run the test. A check that fails says
// what was asked for, which series and sample is wrong, and what was expected. If
// several fail, begin with the first: what depends on a check that has failed is
// skipped.
//
// # What can be skipped
//
// What a Store cannot hold, with a reason, in Harness.Lacks; the fixture then
// comes without it. What it is known to get wrong, with a reason, in
// Harness.Skip. What it does not announce in its Info, sharding and the removal
// of replica labels, is skipped by itself; what it does announce never is. And in
// Run, a check that finds nothing to look at fails.
//
// # The checks
//
// Each check looks at one thing and takes what else the Store gets wrong as it
// comes, so that a defect is reported once, under its name: what is expected of a
// narrower request follows from what the Store sent for a wider one, whether or
// not that was right. Each has a broken twin in the tests of this package, a
// Store that is wrong in exactly that way, of which it fails and all others pass.
// Those with a star need the fixture.
//
//	info                         Info is answered.
//	series                       All series are sent: the call ends without an error.
//	warnings                     A store that has all of its data does not warn.
//	chunk-encodings              Chunks have encodings that the StoreAPI can carry.
//	chunk-data                   Chunks can be decoded.
//	chunk-times                  Every sample of a chunk lies between its MinTime and MaxTime.
//	large-messages               A series of 5 MiB is sent whole, and so is one of more than 1 MiB of chunks.
//	order                        Series ascend by labels.
//	order-split-series           A series that is sent in parts continues in the next Send, never later.
//	order-label-names            The labels of a series ascend by name, external labels too that sort before all others.
//	order-external-labels        Series ascend by labels as sent, with external labels that sort after others.
//	order-overridden-labels*     Series ascend by labels as sent, with external labels that override others.
//	order-utf8                   Names and values beyond ASCII are ordered by bytes.
//	info-labels                  Every series has all labels of one of the label sets that Info announces.
//	info-time-range              There is no data beyond the time range that Info announces.
//	info-capabilities            What Info announces that the store can do, it does.
//	nothing-else*                No series are sent that the store does not hold.
//	floats*                      Floats are sent bit by bit: NaN and infinities too.
//	negative-zero*               The float -0 is sent as such.
//	stale-markers*               Stale markers are sent, and no other NaN in their place.
//	long-series*                 A series of many chunks is sent whole.
//	short-series*                Series with a single sample are sent.
//	histograms-integer*          Native histograms with integer counts are sent, whatever their buckets.
//	histograms-float*            Native histograms with floating-point counts are sent as such.
//	histograms-gauge*            Gauge histograms are sent as such.
//	histograms-custom-buckets*   Native histograms with custom buckets are sent with their bounds.
//	histograms-mixed*            A series of floats and of histograms of both kinds is sent whole.
//	utf8-metric-names*           Metric names beyond the classic alphabet are sent as they are.
//	utf8-label-names*            Label names and values beyond the classic alphabet are sent as they are.
//	label-values-odd*            Label values of any text are sent as they are, and labels without a value are no labels.
//	external-labels*             Every series has the external labels.
//	external-labels-override*    External labels override labels of the same name.
//	matchers-equal               An equality matcher selects series with exactly that value.
//	matchers-not-equal           An inequality matcher selects series with any other value, and those without the label.
//	matchers-regexp              A regular expression selects series whose whole value matches.
//	matchers-not-regexp          A negated regular expression selects series whose whole value does not match.
//	matchers-alternatives        A regular expression of alternatives selects series with any of them.
//	matchers-empty               A matcher that matches the empty value selects series without the label too.
//	matchers-case                A regular expression may ignore case, and does not otherwise.
//	matchers-unknown-label       A label that no series has counts as empty.
//	matchers-several             A series is selected only if all matchers match.
//	matchers-metric-name         Every type of matcher may be on the metric name.
//	matchers-external            Matchers on external labels only select all series in range, or none.
//	matchers-none                A request without matchers selects all series in range.
//	bounds-inclusive             Both bounds of the range are inclusive.
//	bounds-outside               A series without a chunk that overlaps the range is not sent.
//	bounds-inverted              A range that ends before it begins holds nothing.
//	overhanging-chunks           Chunks that reach out of the range are sent, with all samples in range.
//	skip-chunks                  With SkipChunks, the same series are sent without chunks.
//	skip-chunks-range            With SkipChunks too, only series that have data in the range are sent.
//	limit                        With a limit, a prefix is sent that has at least so many series.
//	strategy-abort               Under the strategy ABORT, a store that has all of its data answers the same.
//	label-names                  Label names are those of all series.
//	label-names-matchers         Label names are those of the series that match.
//	label-values                 The values of a label are those that it has in all series.
//	label-values-matchers        The values of a label are those that it has in the series that match.
//	label-values-no-label        A request for the values of no label is ErrInvalidRequest.
//	label-queries-order          Label names and values ascend, without duplicates.
//	label-queries-range          Label names and values of a range are at least those of the series in it.
//	label-queries-limit          With a limit, so many label names and values are sent.
//	replica-labels               Replica labels are removed from every series, wherever they come from, and what becomes equal is one series.
//	order-replica-labels         Series ascend by the labels that are left when replica labels are removed.
//	skip-chunks-replica-labels   With SkipChunks too, replica labels are removed.
//	limit-replica-labels         A limit counts series as they are sent, when replica labels are removed.
//	label-queries-replica-labels Replica labels that are to be removed are no label names, and have no values.
//	sharding-hash                A series is in the shard that the hash of all of its labels says.
//	sharding-by                  A shard by labels depends on these labels only.
//	sharding-without             A shard without labels depends on all but these labels.
//	sharding-skip-chunks         With SkipChunks too, only the series of the shard are sent.
//	sharding-limit               A limit counts the series of the shard.
//	sharding-replica-labels      A shard depends on the labels that are left when replica labels are removed.
//	resolution-raw               A request for resolution 0 is answered with raw data only.
//	resolution-raw-data*         Raw data is sent whatever resolution and aggregates are asked for, where there is no other.
//	resolution-coarsest*         The coarsest data is sent up to the resolution that is asked for.
//	resolution-finer*            Data that is coarser than the resolution that is asked for is not sent.
//	resolution-gaps*             Finer data is sent where the coarsest has gaps.
//	aggregates                   The aggregates that are asked for are sent.
//	aggregates-others            Aggregates that are not asked for are not sent.
//	hints                        Hints about the query do not change what is sent, as long as they ask for all labels.
//	hints-unknown                Hints of an unknown type are ignored, or refused as ErrInvalidRequest.
//	batches                      The answer is the same in batches of 0, 1, 2 and 64.
//	batch-sizes                  No message has more series than were asked for; a request for 0 or 1 is answered without batches.
//	send-error                   An error of Send ends the call, and is returned as it is.
//	cancellation-prompt          A call returns promptly when its context ends.
//	cancellation                 A call whose context ends returns the context's error, unless it has sent everything.
//	goroutines                   No goroutine outlives the call that started it.
//	one-send-at-a-time           Send is never called while it is running.
//	slow-consumer                A reader that takes its time gets the same answer.
//	concurrent-calls             Calls at the same time are answered as one after the other.
//	request-unchanged            The request is not changed.
//	ownership                    What was sent is the reader's: the store neither changes it, nor minds if the reader does.
//
// # What it does not do
//
// It proves no Store fast and none safe from its own backend's failures. It does
// not read more than Options.MaxSeries series, so that on a large Store it judges
// a part. Goroutines and ownership can only be looked at in process.
//
// The contract that the checks hold a Store to is in package store.
package storetest
