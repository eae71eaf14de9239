package promstore

import (
	"context"
	"net/http"

	"github.com/klauspost/compress/snappy"

	"github.com/thanoskit/thanoskit/store"
)

// Media types of the answers to a remote read request.
const (
	streamedType  = "application/x-streamed-protobuf"
	streamedProto = "prometheus.ChunkedReadResponse"
	sampledType   = "application/x-protobuf"
)

// remoteRead sends the series that remote read answers with.
//
// Source: read handler in Prometheus' storage/remote/read_handler.go. It merges
// its external labels into series that lack them, after sorting, and takes
// matchers that equal them off; those that we know have been taken off before.
func (r *reader) remoteRead(ctx context.Context, req *store.SeriesRequest, out *sender) error {
	var body []byte
	if req.SkipChunks {
		body = appendReadRequest(nil, req, true, acceptSamples)
	} else {
		body = appendReadRequest(nil, req, false, acceptStreamed, acceptSamples)
	}
	resp, err := r.s.http.do(ctx, &call{
		method: http.MethodPost, endpoint: readEndpoint, body: snappy.Encode(nil, body),
		header: http.Header{
			"Content-Encoding":                 {"snappy"},
			"Content-Type":                     {"application/x-protobuf"},
			"X-Prometheus-Remote-Read-Version": {"0.1.0"},
		},
		maxBytes: r.s.opts.MaxResponseBytes, received: r.s.metrics.received.WithLabelValues("read"),
	})
	if err != nil {
		return err
	}
	defer resp.abandon() // of a body read to its end, the connection is used again
	switch t, params := resp.contentType(); {
	case t == streamedType && params["proto"] == streamedProto:
		return r.streamed(resp, req, out)
	case t == sampledType && (params["proto"] == "" || params["proto"] == "prometheus.ReadResponse"):
		return r.sampled(resp, req, out)
	}
	return resp.wrongType()
}
