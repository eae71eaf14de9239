// Package remoteread serves a Store as Prometheus remote read, so that whatever
// reads from a Prometheus reads from any Store.
//
//	h, err := remoteread.New(s, nil)
//	if err != nil {
//		return err
//	}
//	http.Handle("/api/v1/read", h)
//
// A Prometheus then has it in its configuration:
//
//	remote_read:
//	  - url: http://thanoskit:10902/api/v1/read
//	    read_recent: true
//	    filter_external_labels: false
//
// Without the last line Prometheus adds its own external labels to every
// selector and takes them off what comes back, so that a Store whose series have
// others answers nothing.
//
// The answer has the form that the request likes best: STREAMED_XOR_CHUNKS, one
// frame after the other as the Store sends its series, or SAMPLES, one message
// that is made in memory. Chunks are sent as they are, overhanging the range,
// except where those of one series overlap, as when several members of a
// fan-out have it: these are merged sample by sample, equal times once. That is
// no deduplication: replicas that differ in a label stay apart, and those that
// differ in their samples have all of them. Samples are cut to the range. A
// native histogram's custom buckets arrive in both forms; Prometheus' own
// handler loses them in samples.
//
// # Partial answers
//
// Remote read has no room for warnings. Unless Options.Partial accepts it, the
// Store is asked with store.Abort and any warning makes the whole answer an
// error. What goes wrong after the first frames of a stream has no status code
// any more: it is written as text where a frame should be, as Prometheus does,
// which no client takes for a frame.
//
// # Neighbours
//
// Only raw data is asked for. The handler does not authenticate and terminates no
// TLS: that is the http.Server's. package store/promstore is the other end.
package remoteread
