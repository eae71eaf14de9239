package promstore

import (
	"context"
	"net/http"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

// remoteReader reads series by remote read. It is safe for concurrent use.
type remoteReader struct {
	http     *promapi.Client
	endpoint string
	maxBytes int64
	// samplesOnly asks for no streamed answer.
	samplesOnly bool
	// tenantHeader tells the tenant, unless it is empty.
	tenantHeader string

	arenas   *arenaPool
	bodies   sync.Pool // of *bytes.Buffer
	received prometheus.Counter
	frames   prometheus.Observer
}

func newRemoteReader(http *promapi.Client, endpoint string, maxBytes int64, m *readMetrics) *remoteReader {
	return &remoteReader{
		http: http, endpoint: endpoint, maxBytes: maxBytes, arenas: newArenaPool(),
		received: m.received.WithLabelValues("read"), frames: m.frames,
	}
}

// read sends the series that remote read answers with; ordered demands that they
// ascend by their labels, which those of a streamed answer may not.
//
// Source: read handler in Prometheus' storage/remote/read_handler.go. It merges
// its external labels into series that lack them, after sorting, and takes
// matchers that equal them off; those that we know have been taken off before.
func (r *remoteReader) read(ctx context.Context, req *store.SeriesRequest, ordered bool, out *sender) error {
	q := remoteproto.Query{MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers}
	if len(q.Matchers) == 0 { // which Prometheus takes as no series
		q.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".*")}
	}
	accept := []remoteproto.ResponseType{remoteproto.Streamed, remoteproto.Samples}
	if r.samplesOnly {
		accept = accept[1:]
	}
	if req.SkipChunks { // Prometheus then answers a request for samples with series that have none
		q.Hints = &remoteproto.Hints{Func: remoteproto.NamesOnly}
		accept = []remoteproto.ResponseType{remoteproto.Samples}
	}
	body := remoteproto.AppendRequest(nil, []remoteproto.Query{q}, accept...)
	header := http.Header{
		"Content-Encoding":                 {"snappy"},
		"Content-Type":                     {remoteproto.MessageType},
		"X-Prometheus-Remote-Read-Version": {"0.1.0"},
	}
	if r.tenantHeader != "" && req.Tenant != "" {
		header.Set(r.tenantHeader, req.Tenant)
	}
	resp, err := r.http.Do(ctx, &promapi.Call{
		Method: http.MethodPost, Endpoint: r.endpoint, Body: snappy.Encode(nil, body), Header: header,
		MaxBytes: r.maxBytes, Received: r.received,
	})
	if err != nil {
		return err
	}
	defer resp.Abandon() // of a body read to its end, the connection is used again
	switch t, params := resp.ContentType(); {
	case t == remoteproto.StreamedType && params["proto"] == remoteproto.StreamedProto:
		return r.streamed(resp, req, ordered, out)
	case t == remoteproto.MessageType && (params["proto"] == "" || params["proto"] == remoteproto.SampledProto):
		return r.sampled(resp, req, out)
	}
	return resp.WrongType()
}
