package promstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// serve returns a Store over a server that syncs, and answers everything else
// with h.
func serve(t *testing.T, opts promstore.Options, h http.HandlerFunc) *promstore.Store {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/status/") || strings.HasSuffix(r.URL.Path, "/metrics") {
			resp, err := answers{external: "cluster: c1"}.RoundTrip(r)
			testutil.Ok(t, err)
			w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
			_, _ = io.Copy(w, resp.Body)
			return
		}
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	opts.Timeout = time.Minute // the machine may have much to do
	s, err := promstore.New(srv.URL, &opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, s.Close()) })
	testutil.Ok(t, s.Sync(t.Context()))
	return s
}

// answer is a handler that always answers the same.
func answer(code int, contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = w.Write(body)
	}
}

// streamedSeries is a frame with one series.
func streamedSeries(chunks []prompb.Chunk, lset ...string) []byte {
	return appendFrame(nil, &prompb.ChunkedReadResponse{ChunkedSeries: []*prompb.ChunkedSeries{{
		Labels: prompb.FromLabels(labels.FromStrings(lset...), nil), Chunks: chunks,
	}}})
}

func xorChunk() []prompb.Chunk {
	return []prompb.Chunk{{MinTimeMs: 1000, MaxTimeMs: 16000, Type: prompb.Chunk_XOR, Data: xorBytes(2)}}
}

// rawSeries is a streamed series with the given Label messages.
func rawSeries(labelMessages ...string) []byte {
	var series []byte
	for _, l := range labelMessages {
		series = append(append(series, 0x0a, byte(len(l))), l...)
	}
	chunk, err := (&xorChunk()[0]).Marshal()
	if err != nil {
		panic(err)
	}
	series = append(append(series, 0x12, byte(len(chunk))), chunk...)
	return appendRawFrame(nil, append([]byte{0x0a, byte(len(series))}, series...))
}

func sampledSeries(ts ...*prompb.TimeSeries) []byte {
	b, err := (&prompb.ReadResponse{Results: []*prompb.QueryResult{{Timeseries: ts}}}).Marshal()
	if err != nil {
		panic(err)
	}
	return snappy.Encode(nil, b)
}

func sampledHistogram(h prompb.Histogram) []byte {
	return sampledSeries(&prompb.TimeSeries{Labels: seriesLabels(1), Histograms: []prompb.Histogram{h}})
}

func TestSeriesRubbish(t *testing.T) {
	t.Parallel()
	good := streamedSeries(xorChunk(), "__name__", "up", "job", "a")
	corrupt := bytes.Clone(good)
	corrupt[len(corrupt)-1] ^= 1
	for _, tc := range []struct {
		name        string
		contentType string
		body        []byte
		sent        int // series before the error
		says        string
	}{
		{name: "HTML", contentType: "text/html; charset=utf-8", body: []byte("<html>\n\n<body>Sign in, please</body>"), says: `content type "text/html; charset=utf-8": <html> <body>Sign in, please</body>`},
		{name: "no content type", contentType: "", body: nil, says: `content type ""`},
		{name: "other streamed message", contentType: "application/x-streamed-protobuf; proto=prometheus.Other", says: "prometheus.Other"},
		{name: "remote read 2", contentType: "application/x-protobuf;proto=io.prometheus.read.v9", says: "io.prometheus.read.v9"},
		{name: "truncated frame", contentType: streamedType, body: append(slices.Clip(good), good[:len(good)/2]...), sent: 1, says: "stream ends within a frame"},
		{name: "truncated length", contentType: streamedType, body: append(slices.Clip(good), 0xff), sent: 1, says: "stream ends within a frame"},
		{name: "checksum", contentType: streamedType, body: corrupt, says: "frame does not match its checksum"},
		{name: "length overflows", contentType: streamedType, body: bytes.Repeat([]byte{0xff}, 20), says: "frame length overflows"},
		{name: "length too large", contentType: streamedType, body: binary.AppendUvarint(nil, 1<<31), says: "frame of 2147483648 bytes"},
		{name: "error text in the stream", contentType: streamedType, body: append(slices.Clip(good), "expanding series: query timed out\n"...), sent: 1, says: `"expanding series: query timed out"`},
		{name: "not a message", contentType: streamedType, body: appendRawFrame(nil, []byte{0x0a, 0x50}), says: "unexpected EOF"},
		{name: "not a series", contentType: streamedType, body: appendRawFrame(nil, []byte{0x0a, 0x01, 0x0a}), says: "malformed"},
		{name: "chunk without header", contentType: streamedType, body: streamedSeries([]prompb.Chunk{{Type: prompb.Chunk_XOR, Data: []byte{1}}}, "a", "b"), says: `series {a="b"}: malformed message: chunk without header`},
		{name: "histogram chunk without header", contentType: streamedType, body: streamedSeries([]prompb.Chunk{{Type: prompb.Chunk_HISTOGRAM, Data: []byte{0, 1}}}, "a", "b"), says: "chunk without header"},
		{name: "encoding out of range", contentType: streamedType, body: streamedSeries([]prompb.Chunk{{Type: 256 + 1, Data: xorBytes(1)}}, "a", "b"), says: "chunk encoding 257"},
		{name: "duplicate label", contentType: streamedType, body: rawSeries("\x0a\x01a\x12\x011", "\x0a\x01a\x12\x012"), says: `label occurs twice: "a"`},
		{name: "unnamed label", contentType: streamedType, body: rawSeries("\x12\x011"), says: "label without a name"},
		{name: "not snappy", contentType: sampledType, body: []byte("nope"), says: "sampled answer"},
		{name: "empty sampled answer", contentType: sampledType, says: "sampled answer"},
		{name: "snappy bomb", contentType: sampledType, body: binary.AppendUvarint(nil, 1<<31), says: "claims to hold 2147483648"},
		{name: "sampled not a message", contentType: sampledType, body: snappy.Encode(nil, []byte{0xff}), says: "unexpected EOF"},
		{name: "two results", contentType: sampledType, body: snappy.Encode(nil, []byte{0x0a, 0, 0x0a, 0}), says: "2 results for one query"},
		{name: "no result", contentType: sampledType, body: snappy.Encode(nil, nil), says: "0 results for one query"},
		{name: "samples out of order", contentType: sampledType, body: sampledSeries(&prompb.TimeSeries{Labels: seriesLabels(1), Samples: []prompb.Sample{{Timestamp: 2}, {Timestamp: 2}}}), says: "sample at 2 follows 2"},
		{name: "sampled duplicate label", contentType: sampledType, body: sampledSeries(&prompb.TimeSeries{Labels: []prompb.Label{{Name: "a", Value: "1"}, {Name: "a", Value: "1"}}}), says: "label occurs twice"},
		{name: "too few buckets", contentType: sampledType, body: sampledHistogram(prompb.Histogram{Count: &prompb.Histogram_CountInt{}, PositiveSpans: []prompb.BucketSpan{{Length: 3}}, PositiveDeltas: []int64{1, 2}}), says: "spans of 3 buckets has 2"},
		{name: "too many buckets", contentType: sampledType, body: sampledHistogram(prompb.Histogram{Count: &prompb.Histogram_CountInt{}, NegativeSpans: []prompb.BucketSpan{{Length: 1}}, NegativeDeltas: []int64{1, 2}}), says: "spans of 1 buckets has 2"},
		{name: "histogram without a count", contentType: sampledType, body: sampledHistogram(prompb.Histogram{Sum: 1}), says: "without a count"},
		{name: "buckets of the other kind", contentType: sampledType, body: sampledHistogram(prompb.Histogram{
			Count: &prompb.Histogram_CountFloat{CountFloat: 1}, PositiveSpans: []prompb.BucketSpan{{Length: 2}}, PositiveDeltas: []int64{1, 2},
		}), says: "spans of 2 buckets has 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, promstore.Options{Name: "prom"}, answer(http.StatusOK, tc.contentType, tc.body))
			c := &counter{}
			err := s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 40, Matchers: matchers(t, "up")}, c)
			testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err)
			testutil.Assert(t, !errors.Is(err, store.ErrUnavailable), "%v", err)
			testutil.Assert(t, strings.HasPrefix(err.Error(), "store prom: series: "), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), tc.says), "%v", err)
			testutil.Equals(t, 0, c.series) // sorting holds them back
			if ct, ok := errors.AsType[*promstore.ContentTypeError](err); ok {
				testutil.Equals(t, "api/v1/read", ct.Endpoint)
				testutil.Equals(t, tc.contentType, ct.ContentType)
			}

			s = synced(t, answers{contentType: tc.contentType, body: tc.body}, promstore.Options{AllowNoExternalLabels: true})
			err = s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 40}, c)
			testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err)
			testutil.Equals(t, tc.sent, c.series) // nothing is held back
		})
	}
}

// TestLabelsInAnyForm checks that what is no label set as Prometheus writes them,
// but is one, is understood.
func TestLabelsInAnyForm(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][]byte{
		"unsorted":             rawSeries("\x0a\x01b\x12\x012", "\x0a\x01a\x12\x011"),
		"value first":          rawSeries("\x12\x011\x0a\x01a", "\x0a\x01b\x12\x012"),
		"empty value":          rawSeries("\x0a\x01a\x12\x011", "\x0a\x02aa", "\x0a\x01b\x12\x012"),
		"empty label":          rawSeries("\x0a\x01a\x12\x011", "", "\x0a\x01b\x12\x012"),
		"unknown field":        rawSeries("\x0a\x01a\x12\x011", "\x0a\x01b\x12\x012\x18\x05"),
		"long varint":          rawSeries("\x0a\x81\x00a\x12\x011", "\x0a\x01b\x12\x012"),
		"as Prometheus writes": rawSeries("\x0a\x01a\x12\x011", "\x0a\x01b\x12\x012"),
	} {
		s := synced(t, answers{contentType: streamedType, body: body}, promstore.Options{AllowNoExternalLabels: true})
		testutil.Equals(t, []string{`{a="1", b="2"}`}, names(collect(t, s, &store.SeriesRequest{MaxTime: 1 << 40})), name)
	}
}

func TestSeriesEncodingsThatTheStoreAPICannotCarry(t *testing.T) {
	t.Parallel()
	for _, enc := range []prompb.Chunk_Encoding{prompb.Chunk_UNKNOWN, 4, 255} {
		chunks := append(xorChunk(), prompb.Chunk{MaxTimeMs: 1 << 40, Type: enc, Data: []byte("whatever")})
		s := synced(t, answers{contentType: streamedType, body: streamedSeries(chunks, "__name__", "up", "job", "a")}, promstore.Options{AllowNoExternalLabels: true})
		err := s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 40}, &counter{})
		testutil.Assert(t, errors.Is(err, store.ErrEncoding), "%v", err)
		var ee *store.EncodingError
		testutil.Assert(t, errors.As(err, &ee))
		testutil.Equals(t, chunkenc.Encoding(enc), ee.Encoding)
		testutil.Equals(t, `{__name__="up", job="a"}`, ee.Series.String())
	}
}

// TestSeriesOfChangedExternalLabels is what happens between a reload of
// Prometheus and the next Sync.
func TestSeriesOfChangedExternalLabels(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.floats(t, 2, labels.FromStrings("__name__", "up", "a", "1"), labels.FromStrings("__name__", "up", "a", "1", "b", "2"))
	s := f.store(t, promstore.Options{})
	f.setExternal("zone", "new")
	err := s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 40}, &counter{})
	testutil.Assert(t, errors.Is(err, store.ErrUnsorted), "%v", err)
	testutil.Ok(t, s.Sync(t.Context()))
	want := []string{`{__name__="up", a="1", b="2", zone="new"}`, `{__name__="up", a="1", zone="new"}`}
	testutil.Equals(t, want, names(collect(t, s, &store.SeriesRequest{MaxTime: 1 << 40})))

	f.setExternal("AZ", "newer")
	want = []string{`{AZ="newer", __name__="up", a="1", b="2", zone="new"}`, `{AZ="newer", __name__="up", a="1", zone="new"}`}
	testutil.Equals(t, want, names(collect(t, s, &store.SeriesRequest{MaxTime: 1 << 40})))
}

func TestStatusErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		code        int
		body        string
		unavailable bool
		want        promstore.StatusError
	}{
		{503, "Service Unavailable", true, promstore.StatusError{Code: 503, Message: "Service Unavailable"}},
		{503, `{"status":"error","errorType":"timeout","error":"query timed out"}`, true, promstore.StatusError{Code: 503, Type: "timeout", Message: "query timed out"}},
		{502, "<h1>\r\nBad \x00 gateway \xff</h1>", true, promstore.StatusError{Code: 502, Message: "<h1> Bad gateway ?</h1>"}},
		{504, "", true, promstore.StatusError{Code: 504}},
		{429, "", true, promstore.StatusError{Code: 429}},
		{400, `{"status":"error","errorType":"bad_data","error":"invalid parameter"}`, false, promstore.StatusError{Code: 400, Type: "bad_data", Message: "invalid parameter"}},
		{400, "exceeded sample limit (5)", false, promstore.StatusError{Code: 400, Message: "exceeded sample limit (5)"}},
		{401, "Unauthorized", false, promstore.StatusError{Code: 401, Message: "Unauthorized"}},
		{404, "404 page not found", false, promstore.StatusError{Code: 404, Message: "404 page not found"}},
		{500, strings.Repeat("long ä", 1000), false, promstore.StatusError{Code: 500, Message: strings.Repeat("long ä", 36) + "long" + "..."}},
	} {
		s := serve(t, promstore.Options{}, answer(tc.code, "text/plain", []byte(tc.body)))
		check := func(endpoint, op string, err error) {
			t.Helper()
			testutil.Equals(t, tc.unavailable, errors.Is(err, store.ErrUnavailable), "%v", err)
			var status *promstore.StatusError
			testutil.Assert(t, errors.As(err, &status), "%v", err)
			want := tc.want
			want.Endpoint = endpoint
			if len(want.Message) > 200 {
				testutil.Assert(t, strings.HasPrefix(tc.body, strings.TrimSuffix(status.Message, "...")) && len(status.Message) < 300, "%s", status.Message)
				want.Message = status.Message
			}
			testutil.Equals(t, want, *status)
			testutil.Assert(t, strings.Contains(err.Error(), fmt.Sprintf("%s answered %d %s", endpoint, tc.code, http.StatusText(tc.code))), "%v", err)
			var se *store.Error
			testutil.Assert(t, errors.As(err, &se) && se.Op == op, "%v", err)
		}
		up := matchers(t, "up")
		check("api/v1/read", "series", s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1, Matchers: up}, &counter{}))
		check("api/v1/series", "series", s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1, Matchers: up, SkipChunks: true}, &counter{}))
		_, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 1, Matchers: up})
		check("api/v1/labels", "label names", err)
		_, err = s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "job", MaxTime: 1, Matchers: up})
		check("api/v1/label/job/values", "label values", err)
	}
}

func TestAPIRubbish(t *testing.T) {
	t.Parallel()
	const json = "application/json"
	for name, tc := range map[string]struct{ contentType, body string }{
		"HTML":            {"text/html", "<html>"},
		"empty":           {json, ""},
		"truncated":       {json, `{"status":"success","data":["a"`},
		"not an object":   {json, `[]`},
		"no status":       {json, `{"data":[]}`},
		"no data":         {json, `{"status":"success"}`},
		"data of another": {json, `{"status":"success","data":{"a":"b"}}`},
		"numbers":         {json, `{"status":"success","data":[1,2]}`},
		"syntax":          {json, `{"status":"success","data":["a",]}`},
		"other warnings":  {json, `{"status":"success","data":[],"warnings":"x"}`},
	} {
		s := serve(t, promstore.Options{}, answer(http.StatusOK, tc.contentType, []byte(tc.body)))
		_, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 1})
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%s: names: %v", name, err)
		_, err = s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "job", MaxTime: 1})
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%s: values: %v", name, err)
		err = s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1, Matchers: matchers(t, "up"), SkipChunks: true}, &counter{})
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%s: series: %v", name, err)
	}
	s := serve(t, promstore.Options{}, answer(http.StatusOK, json, []byte(`{"status":"error","errorType":"internal","error":"oops","more":{"of":"it"}}`)))
	_, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 1})
	var status *promstore.StatusError
	testutil.Assert(t, errors.As(err, &status), "%v", err)
	testutil.Equals(t, promstore.StatusError{Endpoint: "api/v1/labels", Code: 200, Type: "internal", Message: "oops"}, *status)
}

func TestConnectionCutWithinAnAnswer(t *testing.T) {
	t.Parallel()
	cut := func(contentType string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(body)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	good := streamedSeries(xorChunk(), "__name__", "up")
	for name, h := range map[string]http.HandlerFunc{
		"streamed, between frames": cut(streamedType, good),
		"streamed, in a frame":     cut(streamedType, good[:len(good)-3]),
		"sampled":                  cut(sampledType, sampledBody(3, 3)[:20]),
		"series":                   cut("application/json", []byte(`{"status":"success","data":[{"__name__":"up"},`)),
	} {
		s := serve(t, promstore.Options{}, h)
		err := s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 40, Matchers: matchers(t, "up"), SkipChunks: name == "series"}, &counter{})
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%s: %v", name, err)
		testutil.Assert(t, errors.Is(err, io.ErrUnexpectedEOF), "%s: %v", name, err)
		testutil.Assert(t, !errors.Is(err, store.ErrMalformed), "%s: %v", name, err)
	}
}

func TestResponseLimit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		contentType string
		body        []byte
		size        int // after decompression
	}{
		"streamed": {streamedType, streamedBody(100, 1), len(streamedBody(100, 1))},
		"sampled":  {sampledType, sampledBody(100, 1), 100 * 100},
		"series":   {"application/json", []byte(`{"status":"success","data":[{"__name__":"up"}]}`), 46},
	} {
		run := func(limit int64) error {
			s := serve(t, promstore.Options{MaxResponseBytes: limit}, answer(http.StatusOK, tc.contentType, tc.body))
			return s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 40, Matchers: matchers(t, "up"), SkipChunks: name == "series"}, &counter{})
		}
		limit := int64(len(tc.body)) - 1
		if name == "sampled" { // the body is within the limit, what it holds is not
			limit = int64(tc.size)
			testutil.Assert(t, len(tc.body) < tc.size)
		} else {
			testutil.Ok(t, run(limit+1))
		}
		err := run(limit)
		testutil.Assert(t, errors.Is(err, store.ErrLimit), "%s: %v", name, err)
		var le *store.LimitError
		testutil.Assert(t, errors.As(err, &le), "%s: %v", name, err)
		testutil.Equals(t, store.LimitError{Limit: "bytes", Max: limit}, *le)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	// The server hangs before it answers, or between the frames of an answer,
	// until the client is gone.
	for name, first := range map[string][]byte{"before the answer": nil, "within the answer": streamedSeries(xorChunk(), "__name__", "up")} {
		hang := func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if first != nil {
				w.Header().Set("Content-Type", streamedType)
				_, _ = w.Write(first)
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		}
		req := &store.SeriesRequest{MaxTime: 1 << 40}

		// The time limit of the caller's client says that Prometheus is slow.
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		s := serve(t, promstore.Options{Client: client}, hang)
		client.Timeout = 300 * time.Millisecond // not of the requests before
		err := s.Series(t.Context(), req, &counter{})
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%s: %v", name, err)
		testutil.Assert(t, errors.Is(err, context.DeadlineExceeded), "%s: %v", name, err)

		// The end of the call's context says nothing about Prometheus.
		s = serve(t, promstore.Options{}, hang)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err = s.Series(ctx, req, &counter{})
		cancel()
		testutil.Assert(t, errors.Is(err, context.DeadlineExceeded), "%s: %v", name, err)
		testutil.Assert(t, !errors.Is(err, store.ErrUnavailable), "%s: %v", name, err)

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		_, err = s.LabelNames(ctx, &store.LabelNamesRequest{})
		testutil.Assert(t, errors.Is(err, context.Canceled), "%s: %v", name, err)
		testutil.Assert(t, !errors.Is(err, store.ErrUnavailable), "%s: %v", name, err)
	}
}

// failing is a writer that has enough after some series.
type failing struct {
	frameCounter
	after int
	err   error
}

func (w *failing) Send(*store.Series) error {
	if w.series++; w.series > w.after {
		return w.err
	}
	return nil
}

func TestErrorOfTheWriterIsReturnedAsItIs(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	for name, tc := range map[string]answers{
		"streamed": {contentType: streamedType, body: streamedBody(5000, 1)},
		"sampled":  {contentType: sampledType, body: sampledBody(5000, 2)},
	} {
		for _, external := range []string{"", "cluster: c1"} {
			tc.external = external
			rt := &closing{next: tc}
			s := synced(t, rt, promstore.Options{AllowNoExternalLabels: true})
			w := &failing{after: 3, err: enough}
			err := s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 40}, struct{ store.SeriesWriter }{w})
			testutil.Equals(t, enough, err, name)
			testutil.Equals(t, 4, w.series)
			rt.check(t)
		}
	}
}

// closing checks that every body is closed.
type closing struct {
	next   http.RoundTripper
	opened int
	closed int
}

type closingBody struct {
	io.ReadCloser
	closed *int
}

func (b *closingBody) Close() error {
	*b.closed++
	return b.ReadCloser.Close()
}

func (c *closing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err == nil {
		c.opened++
		resp.Body = &closingBody{resp.Body, &c.closed}
	}
	return resp, err
}

func (c *closing) check(t *testing.T) {
	t.Helper()
	testutil.Assert(t, c.opened > 0)
	testutil.Equals(t, c.opened, c.closed)
}
