// Package remoteproto is the protobuf messages of Prometheus' remote read, as
// both ends need them: the one that asks, store/promstore, and the one that
// answers, store/remoteread.
//
//	body := remoteproto.AppendRequest(nil, []remoteproto.Query{q}, remoteproto.Streamed, remoteproto.Samples)
//	req, err := remoteproto.ParseRequest(body)
//
// Messages are read where they lie, field by field, with [Fields]. What is
// large, samples and chunks, is read by whoever wants it in the form that it
// wants.
//
// Source: prompb/remote.proto and prompb/types.proto of Prometheus.
package remoteproto
