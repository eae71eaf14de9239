// Package promstore makes a running Prometheus a Store: the reading half of a
// Thanos sidecar.
//
//	s, err := promstore.New("http://localhost:9090", nil)
//	if err != nil {
//		return err
//	}
//	go s.Run(ctx) // external labels, version and lowest timestamp, kept up to date
//	err = grpcstore.Register(server, s, nil)
//
// It needs nothing of Prometheus but HTTP:
//
//	POST api/v1/read               samples, by remote read
//	POST api/v1/series             series without samples
//	POST api/v1/labels             label names
//	GET  api/v1/label/NAME/values  label values
//	GET  api/v1/status/config      external labels
//	GET  api/v1/status/buildinfo   version
//	GET  metrics                   prometheus_tsdb_lowest_timestamp_seconds
//	GET  api/v1/status/flags       what Prometheus was started with, for Flags
//
// Remote read is asked for streamed chunks (STREAMED_XOR_CHUNKS, Prometheus
// 2.13 and newer), which pass through in the bytes in which they arrive, one
// run of frames at a time. A server that answers in samples is understood too;
// such an answer is held in memory as a whole and encoded to chunks of at most
// 120 samples, native histograms included.
//
// Where there is remote read and nothing else, [NewRemoteRead] makes a Store of
// its URL alone; external labels are then given by the caller.
//
// A Store has the external labels of its Prometheus under the rules of
// [store.WithExternalLabels]: they override, they select or reject, and when no
// matcher is left every series answers, which remote read is asked for as
// {__name__=~".*"}. Labels are those of the last Sync: after Prometheus has
// reloaded other external labels, answers carry the old ones until the next.
//
// The package does not scrape, evaluate or upload. Users bring their own
// http.Client for TLS and authentication. Tested with Prometheus 2.42 and 3.9.
package promstore
