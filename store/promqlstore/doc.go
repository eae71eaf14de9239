// Package promqlstore makes whatever answers PromQL over HTTP a Store: a Thanos
// querier, VictoriaMetrics, Mimir, a managed Prometheus.
//
//	s, err := promqlstore.New("http://victoria:8428/prometheus", &promqlstore.Options{MaxAge: 90 * 24 * time.Hour})
//	if err != nil {
//		return err
//	}
//	err = grpcstore.Register(server, store.Wrap(s, store.WithExternalLabels(external)), nil)
//
// It needs these endpoints of Prometheus' HTTP API:
//
//	POST api/v1/query              samples, by selector[range]
//	POST api/v1/series             series without samples
//	POST api/v1/labels             label names
//	GET  api/v1/label/NAME/values  label values
//
// Where remote read can be had it is the better way: promstore.NewRemoteRead
// gets chunks, and this package text. External labels are the caller's, by
// store.WithExternalLabels.
//
// # Samples
//
// A selector with a range, evaluated at the end of the range, is answered with
// the raw samples in it. A long range is asked for in windows, so that no answer
// is larger than what a window holds; what has come is held as chunks until the
// last window is there, because series are sent one after the other.
//
// The range of a selector leaves out its beginning since Prometheus 3 and
// includes it before, and in others. It is asked for one millisecond longer, and
// what is too early is dropped, so that both bounds are inclusive with each.
//
// # What does not come through
//
//   - Native histograms: the API shows buckets, of which neither the schema nor
//     the reset hint can be got back. Series that have some are named in a
//     [HistogramError], a warning, or an error under store.Abort; their floats
//     are sent.
//   - Stale markers: PromQL drops them. A series that ended looks like one that
//     is late, for the time that the engine looks back.
//   - Payloads of NaNs, and more of a time than milliseconds.
//   - Series without a metric name, for requests of which no matcher rules out
//     the empty value: PromQL refuses such selectors, so that metric names are
//     demanded of them.
//
// Names that are not plain, in UTF-8, are quoted in selectors, which Prometheus
// 3 understands and others may refuse.
//
// # Neighbours
//
// package query is the other direction: PromQL over a Store.
package promqlstore
