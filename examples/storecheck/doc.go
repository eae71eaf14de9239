// Command storecheck checks whether what answers at an address is a StoreAPI that
// a querier can rely on: a gateway of one's own, a component of thanoskit, or a
// real sidecar, store gateway, querier or receiver of Thanos.
//
//	storecheck localhost:10901
//	storecheck store.example:443 --grpc-client-tls-secure -matcher='{job="node"}' -from=-2h -to=-1h
//
// It makes the checks of package storetest whose expectation follows from the
// store's own answers and Info, and prints a line for each:
//
//	ok|FAIL|skip NAME: REASON
//
// -list says what each of them looks at. The exit status is 0 if none failed, 1
// if one did or they were not done within -timeout, and 2 if none could be made:
// the command line is wrong, nobody answers, or there are no series, or more than
// -max-series.
//
// # What is read
//
// The checks ask some 350 times for the series that -matcher chooses (by default
// those with a metric name), from -from to -to: by default the last hour of what
// the store announces, without its last minute, which still grows. Nothing may be
// appended to that range or deleted from it meanwhile.
//
// Before the first check, storecheck counts the series, without their samples,
// and ends if there are more than -max-series. No check asks for anything that
// the matchers do not choose; beyond the range, one asks for what the store
// announces that it does not have. So what a check costs the store is what a
// query for these series over that range costs it, and -max-series of them with
// their samples are the most that is held here. An answer of more than 1 GiB is
// not read to its end.
//
// -timeout bounds everything, and -call-timeout each call, so that a store that
// hangs fails the check that it hangs in.
//
// # The fixture
//
// Much of what a store may do wrong does not show unless it holds the right data.
// -fixture writes series that are hard to get right as a TSDB block, which a
// Prometheus loads that nothing else is in; -fixture-check compares what comes
// out of the StoreAPI in front of it:
//
//	storecheck -fixture=data
//	prometheus --storage.tsdb.path=data --storage.tsdb.retention.time=100y ...
//	thanos sidecar --tsdb.path=data ...
//	storecheck -fixture-check localhost:10901
//
// -fixture prints the external labels that Prometheus has to have for that;
// -external-label chooses others. The block is one of Thanos' too, and has these
// labels, so that a directory of it is a bucket of the type FILESYSTEM for a
// store gateway. For that, -fixture-for=gateway adds blocks of downsampled data,
// which Prometheus cannot read.
//
// -fixture-check makes all checks over the range of the fixture, and then
// compares every series and sample of each metric: ok fixture/METRIC. What the
// store is known to be without is left out by -fixture-lacks, in both commands.
package main
