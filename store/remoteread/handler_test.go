package remoteread_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/promstore"
	"github.com/thanoskit/thanoskit/store/remoteread"
)

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

// forms are the forms of an answer, by what is accepted.
var forms = map[string][]prompb.ReadRequest_ResponseType{
	"streamed": {prompb.ReadRequest_STREAMED_XOR_CHUNKS},
	"sampled":  {prompb.ReadRequest_SAMPLES},
	"default":  nil, // Prometheus likes chunks best
	"unknown":  {7, prompb.ReadRequest_SAMPLES, prompb.ReadRequest_STREAMED_XOR_CHUNKS},
}

func TestPrometheusClient(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	rawURL := serve(t, s, nil)
	for form, accept := range forms {
		for _, tc := range []struct {
			name       string
			mint, maxt int64
			ms         []*labels.Matcher
			empty      bool
		}{
			{name: "all", mint: 0, maxt: math.MaxInt64, ms: []*labels.Matcher{everything}},
			{name: "some", mint: 40 * scrape, maxt: 131 * scrape, ms: []*labels.Matcher{everything}},
			{name: "one instant", mint: 40 * scrape, maxt: 40 * scrape, ms: []*labels.Matcher{everything}},
			{name: "between", mint: 40*scrape + 1, maxt: 41*scrape - 1, ms: []*labels.Matcher{everything}, empty: true},
			{name: "regexp", mint: 0, maxt: 1 << 40, ms: []*labels.Matcher{match(labels.MatchRegexp, "kind", "float.*|gauge"), match(labels.MatchNotEqual, "kind", "float")}},
			{name: "empty value", mint: 0, maxt: 1 << 40, ms: []*labels.Matcher{everything, match(labels.MatchEqual, "kind", "")}},
			{name: "none", mint: 0, maxt: 1 << 40, ms: []*labels.Matcher{match(labels.MatchEqual, "kind", "none")}, empty: true},
		} {
			t.Run(form+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				if form == "sampled" || form == "unknown" { // of which Prometheus' client forgets the buckets' bounds
					tc.ms = append(slices.Clone(tc.ms), match(labels.MatchNotRegexp, "kind", "custom.*"))
				}
				client := prometheusClient(t, rawURL, accept...)
				set, err := client.Read(t.Context(), query(t, tc.mint, tc.maxt, nil, tc.ms...), false)
				testutil.Ok(t, err)
				want := held(t, s, tc.mint, tc.maxt, tc.ms...)
				testutil.Equals(t, tc.empty, len(want) == 0)
				testutil.Equals(t, want, received(t, set, tc.mint, tc.maxt))
			})
		}
	}
}

// TestRoundTrip reads what is served with the Store that reads remote read.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	rawURL := serve(t, s, nil)
	external := labels.FromStrings("cluster", "eu")
	for _, tc := range []struct {
		name string
		opts promstore.RemoteReadOptions
	}{
		{"streamed", promstore.RemoteReadOptions{}},
		{"sampled", promstore.RemoteReadOptions{SamplesOnly: true}},
		{"streamed, external labels", promstore.RemoteReadOptions{ExternalLabels: external}},
		{"sampled, external labels", promstore.RemoteReadOptions{SamplesOnly: true, ExternalLabels: external}},
		{"unsorted", promstore.RemoteReadOptions{Unsorted: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, err := promstore.NewRemoteRead(rawURL, &tc.opts)
			testutil.Ok(t, err)
			defer r.Close()
			reference := store.Wrap(s, store.WithExternalLabels(tc.opts.ExternalLabels))
			for _, span := range [][2]int64{{math.MinInt64, math.MaxInt64}, {40 * scrape, 131 * scrape}, {40 * scrape, 40 * scrape}, {2, 1}} {
				testutil.Equals(t, held(t, reference, span[0], span[1]), held(t, r, span[0], span[1]))
			}
			lreq := &store.LabelNamesRequest{MinTime: 0, MaxTime: 1 << 40}
			want, err := store.LabelNames(t.Context(), reference, lreq)
			testutil.Ok(t, err)
			got, err := r.LabelNames(t.Context(), lreq)
			testutil.Ok(t, err)
			testutil.Equals(t, want, got)
			for _, label := range []string{"kind", "cluster", "none"} {
				vreq := &store.LabelValuesRequest{Label: label, MinTime: 0, MaxTime: 1 << 40}
				want, err := store.LabelValues(t.Context(), reference, vreq)
				testutil.Ok(t, err)
				got, err := r.LabelValues(t.Context(), vreq)
				testutil.Ok(t, err)
				testutil.Equals(t, len(want), len(got))
				testutil.Equals(t, strings.Join(want, " "), strings.Join(got, " "))
			}
		})
	}
}

// TestNamesOnly: a request that hints that it wants no samples gets none.
func TestNamesOnly(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	client := prometheusClient(t, serve(t, s, &remoteread.Options{MaxSamples: 1}), prompb.ReadRequest_SAMPLES)
	set, err := client.Read(t.Context(), query(t, 0, 1<<40, &storage.SelectHints{Func: "series"}, everything), true)
	testutil.Ok(t, err)
	n := 0
	for ; set.Next(); n++ {
		testutil.Equals(t, 0, len(appendSamples(t, nil, set.At().Iterator(nil), 0, math.MaxInt64)))
	}
	testutil.Ok(t, set.Err())
	testutil.Equals(t, len(held(t, s, 0, 1<<40)), n)
}

func TestManyQueries(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	for form, accept := range forms {
		client := prometheusClient(t, serve(t, s, nil), accept...)
		short, float := match(labels.MatchEqual, "__name__", "short"), match(labels.MatchEqual, "kind", "float")
		set, err := client.ReadMultiple(t.Context(), []*prompb.Query{
			query(t, 0, 1<<40, nil, short), query(t, 0, 1<<40, nil, match(labels.MatchEqual, "kind", "none")), query(t, 0, 1<<40, nil, float),
		}, false)
		testutil.Ok(t, err)
		samples := map[string]int{}
		for set.Next() {
			lset := set.At().Labels()
			samples[lset.Get("__name__")+lset.Get("kind")] += len(appendSamples(t, nil, set.At().Iterator(nil), 0, math.MaxInt64))
		}
		testutil.Ok(t, set.Err())
		testutil.Equals(t, map[string]int{"short": 3, "kindfloat": scrapes}, samples, form)
	}
}

// TestOverlap: members of a fan-out have parts of a series in common.
func TestOverlap(t *testing.T) {
	t.Parallel()
	lset := labels.FromStrings("__name__", "up")
	encode := func(from, to, step int64) []store.Chunk {
		var ts []int64
		var vs []float64
		for x := from; x <= to; x += step {
			ts, vs = append(ts, x), append(vs, float64(x))
		}
		chunks, err := store.FloatChunks(ts, vs)
		testutil.Ok(t, err)
		return chunks
	}
	parts := [][]store.Chunk{
		encode(900, 1000, 10),                  // last comes first
		encode(0, 100, 10), encode(0, 100, 10), // twice
		encode(200, 300, 10), encode(205, 305, 10), encode(300, 400, 10), // a stretch
		encode(500, 500, 1),
	}
	s := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, p := range parts {
			if err := w.Send(&store.Series{Labels: lset, Chunks: slices.Clone(p)}); err != nil {
				return err
			}
		}
		return nil
	})
	want := map[int64]bool{}
	for _, p := range parts {
		for _, c := range p {
			chk, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			for it := chk.Iterator(nil); it.Next() != 0; {
				want[it.AtT()] = true
			}
		}
	}
	for form, accept := range forms {
		client := prometheusClient(t, serve(t, s, nil), accept...)
		set, err := client.Read(t.Context(), query(t, 0, 2000, nil, everything), false)
		testutil.Ok(t, err)
		testutil.Assert(t, set.Next(), form)
		last, n := int64(-1), 0
		for it := set.At().Iterator(nil); it.Next() != 0; n++ {
			ts, v := it.At()
			testutil.Assert(t, ts > last && want[ts] && v == float64(ts), "%s: %d after %d", form, ts, last)
			last = ts
		}
		testutil.Equals(t, len(want), n)
		testutil.Assert(t, !set.Next() && set.Err() == nil)
	}
}

// TestChunksOutOfRange: of a series, a Store may send more than was asked for.
func TestChunksOutOfRange(t *testing.T) {
	t.Parallel()
	chunk := func(ts int64) store.Chunk {
		c := chunkenc.NewXORChunk()
		app, err := c.Appender()
		testutil.Ok(t, err)
		app.Append(ts, float64(ts))
		return store.Chunk{MinTime: ts, MaxTime: ts, Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: c.Bytes()}}
	}
	rawURL := serve(t, store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		up := &store.Series{Labels: labels.FromStrings("__name__", "up"), Chunks: []store.Chunk{chunk(4), chunk(5), chunk(10), chunk(11)}}
		if err := w.Send(up); err != nil {
			return err
		}
		return w.Send(&store.Series{Labels: labels.FromStrings("__name__", "zero"), Chunks: []store.Chunk{chunk(4), chunk(11)}})
	}), nil)
	r, err := promstore.NewRemoteRead(rawURL, nil)
	testutil.Ok(t, err)
	defer r.Close()
	var got []string
	for s, err := range store.All(t.Context(), r, &store.SeriesRequest{MinTime: 5, MaxTime: 10}, nil) {
		testutil.Ok(t, err)
		for _, c := range s.Chunks {
			got = append(got, fmt.Sprint(s.Labels, c.MinTime))
		}
	}
	testutil.Equals(t, []string{`{__name__="up"} 5`, `{__name__="up"} 10`}, got)
}

// TestFrames: frames stay below their limit, and a series goes on in the next.
func TestFrames(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	reg := prometheus.NewRegistry()
	rawURL := serve(t, s, &remoteread.Options{MaxFrameBytes: 600, Registerer: reg})
	body, err := io.ReadAll(post(t, rawURL, requestOf(queryOf(t, 1<<40, everything), 1)).Body)
	testutil.Ok(t, err)
	frames, oversize := 0, 0
	for ; len(body) > 0; frames++ {
		size, n := binary.Uvarint(body)
		body = body[n:]
		testutil.Equals(t, crc32.Checksum(body[4:4+size], crc32.MakeTable(crc32.Castagnoli)), binary.BigEndian.Uint32(body))
		var resp prompb.ChunkedReadResponse
		testutil.Ok(t, resp.Unmarshal(body[4:4+size]))
		testutil.Equals(t, 1, len(resp.ChunkedSeries))
		if size > 600+16 { // a little for the message around
			testutil.Equals(t, 1, len(resp.ChunkedSeries[0].Chunks))
			oversize++
		}
		body = body[4+size:]
	}
	testutil.Assert(t, oversize > 0 && frames > 3*len(held(t, s, 0, 1<<40)), "%d frames, %d too large", frames, oversize)
	testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
# HELP thanoskit_remoteread_frames_total Frames written in streamed answers.
# TYPE thanoskit_remoteread_frames_total counter
thanoskit_remoteread_frames_total %d
`, frames)), "thanoskit_remoteread_frames_total"))

	r, err := promstore.NewRemoteRead(rawURL, nil)
	testutil.Ok(t, err)
	defer r.Close()
	testutil.Equals(t, held(t, s, 0, 1<<40), held(t, r, 0, 1<<40))
}

func TestHints(t *testing.T) {
	t.Parallel()
	var got *store.SeriesRequest
	var mu sync.Mutex
	s := store.Func(func(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
		mu.Lock()
		defer mu.Unlock()
		r := *req
		got = &r
		return nil
	})
	client := prometheusClient(t, serve(t, s, &remoteread.Options{Prepare: func(r *http.Request, req *store.SeriesRequest) error {
		req.Limit = len(r.Header.Get("User-Agent"))
		return nil
	}}))
	hints := &storage.SelectHints{Start: 1, End: 2, Step: 3000, Range: 4000, Func: "rate", Grouping: []string{"a", "b"}, By: true}
	set, err := client.Read(t.Context(), query(t, 5, 6, hints, everything), false)
	testutil.Ok(t, err)
	testutil.Assert(t, !set.Next())
	testutil.Ok(t, set.Err())
	mu.Lock()
	defer mu.Unlock()
	testutil.Assert(t, got.Limit > 0)
	testutil.Equals(t, store.Abort, got.Strategy)
	testutil.Equals(t, int64(5), got.MinTime)
	testutil.Equals(t, int64(6), got.MaxTime)
	testutil.Equals(t, &store.QueryHints{Step: 3 * time.Second, Range: 4 * time.Second, Func: "rate", Grouping: []string{"a", "b"}, By: true}, got.Hints)
}

// requestOf makes a compressed request of raw fields.
func requestOf(q []byte, accept ...uint64) []byte {
	var b, types []byte
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, q)
	for _, a := range accept {
		types = protowire.AppendVarint(types, a)
	}
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return snappy.Encode(nil, protowire.AppendBytes(b, types))
}

func queryOf(t testing.TB, maxt int64, ms ...*labels.Matcher) []byte {
	t.Helper()
	b, err := query(t, 0, maxt, nil, ms...).Marshal()
	testutil.Ok(t, err)
	return b
}

func TestRefused(t *testing.T) {
	t.Parallel()
	failing := func(err error) store.Store {
		return store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return err })
	}
	lset := labels.FromStrings("__name__", "up")
	warning := store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		if req.Strategy == store.Abort {
			_ = w.Warn(errors.New("member down")) // and goes on all the same
		}
		return w.Send(&store.Series{Labels: lset})
	})
	unsorted := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, v := range []string{"b", "a"} {
			if err := w.Send(&store.Series{Labels: labels.FromStrings("__name__", v)}); err != nil {
				return err
			}
		}
		return nil
	})
	downsampled := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		return w.Send(&store.Series{Labels: lset, Chunks: []store.Chunk{{Aggregated: &store.AggregatedChunk{}}}})
	})
	garbage := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		return w.Send(&store.Series{Labels: lset, Chunks: []store.Chunk{{Raw: store.ChunkData{Encoding: 1, Bytes: []byte{1}}}}})
	})
	all := queryOf(t, 1<<40, everything)
	badMatcher := []byte{0x1a, 8, 0x08, 2, 0x12, 1, 'a', 0x1a, 1, '('} // a=~"("
	huge := protowire.AppendVarint(nil, math.MaxUint32)
	for _, tc := range []struct {
		name   string
		store  store.Store
		opts   remoteread.Options
		body   []byte
		header []string
		code   int
		text   string
	}{
		{name: "no snappy", body: []byte("hello"), code: 400, text: "corrupt input"},
		{name: "truncated snappy", body: requestOf(all, 0)[:20], code: 400, text: "corrupt input"},
		{name: "huge claim", body: append(huge, 0), code: 413, text: "bytes limit of 16777216 exceeded"},
		{name: "too large", body: make([]byte, 101), opts: remoteread.Options{MaxRequestBytes: 100}, code: 413, text: "bytes limit of 100 exceeded"},
		{name: "no message", body: snappy.Encode(nil, []byte{0xff}), code: 400, text: "malformed message"},
		{name: "bad query", body: requestOf([]byte{0x0f}, 0), code: 400, text: "malformed message"},
		{name: "bad matcher", body: requestOf(badMatcher, 0), code: 400, text: "missing closing )"},
		{name: "encoding", body: requestOf(all, 0), header: []string{"Content-Encoding", "gzip"}, code: 415, text: `"gzip" is not snappy`},
		{name: "response type", body: requestOf(all, 5, 9), code: 400, text: "[5 9]"},
		{name: "unavailable", store: failing(store.ErrUnavailable), body: requestOf(all, 1), code: 503, text: "store unavailable"},
		{name: "no stores", store: failing(store.ErrNoStores), body: requestOf(all, 1), code: 503, text: "no stores"},
		{name: "timeout", store: failing(context.DeadlineExceeded), body: requestOf(all, 0), code: 504, text: "deadline"},
		{name: "other", store: failing(errors.New("oops")), body: requestOf(all, 0), code: 500, text: "oops"},
		{name: "invalid", store: failing(store.ErrInvalidRequest), body: requestOf(all, 0), code: 400, text: "invalid request"},
		{name: "sample limit", opts: remoteread.Options{MaxSamples: 3}, body: requestOf(all, 0), code: 400, text: "samples limit of 3 exceeded"},
		{name: "partial", store: warning, body: requestOf(all, 0), code: 503, text: "member down"},
		{name: "partial, streamed", store: warning, body: requestOf(all, 1), code: 503, text: "member down"},
		{name: "unsorted", store: unsorted, body: requestOf(all, 1), code: 500, text: "out of order"},
		{name: "downsampled", store: downsampled, body: requestOf(all, 1), code: 500, text: "downsampled"},
		{name: "bad chunk", store: garbage, body: requestOf(all, 0), code: 500, text: "chunk without header"},
		{name: "prepare", opts: remoteread.Options{Prepare: func(*http.Request, *store.SeriesRequest) error { return errors.New("no tenant") }}, body: requestOf(all, 0), code: 400, text: "no tenant"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := tc.store
			if s == nil {
				s = kinds(t)
			}
			resp := post(t, serve(t, s, &tc.opts), tc.body, tc.header...)
			text, err := io.ReadAll(resp.Body)
			testutil.Ok(t, err)
			testutil.Equals(t, tc.code, resp.StatusCode, string(text))
			testutil.Assert(t, strings.Contains(string(text), tc.text), "%s", text)
			testutil.Assert(t, strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain"))
		})
	}
}

func TestMethod(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(serve(t, kinds(t), nil))
	testutil.Ok(t, err)
	defer resp.Body.Close()
	testutil.Equals(t, http.StatusMethodNotAllowed, resp.StatusCode)
	testutil.Equals(t, "POST", resp.Header.Get("Allow"))
}

// TestAcceptPartial: what was warned of is sent if that is wanted.
func TestAcceptPartial(t *testing.T) {
	t.Parallel()
	s := kinds(t)
	warning := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		if req.Strategy != store.Warn {
			return errors.New("not asked to warn")
		}
		if err := w.Warn(errors.New("member down")); err != nil {
			return err
		}
		return s.Series(ctx, req, w)
	})
	reg := prometheus.NewRegistry()
	client := prometheusClient(t, serve(t, warning, &remoteread.Options{Partial: remoteread.AcceptPartial, Registerer: reg}))
	set, err := client.Read(t.Context(), query(t, 0, 1<<40, nil, everything), false)
	testutil.Ok(t, err)
	testutil.Equals(t, held(t, s, 0, 1<<40), received(t, set, 0, 1<<40))
	testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanoskit_remoteread_warnings_total Warnings of the store, which remote read cannot pass on.
# TYPE thanoskit_remoteread_warnings_total counter
thanoskit_remoteread_warnings_total 1
# HELP prometheus_remote_read_handler_queries The current number of remote read queries that are either in execution or queued on the handler.
# TYPE prometheus_remote_read_handler_queries gauge
prometheus_remote_read_handler_queries 0
`), "thanoskit_remoteread_warnings_total", "prometheus_remote_read_handler_queries"))
	_, err = remoteread.New(s, &remoteread.Options{Registerer: reg}) // shares them
	testutil.Ok(t, err)
}

// TestFailsLate: what fails within a stream is seen by every client.
func TestFailsLate(t *testing.T) {
	t.Parallel()
	data := kinds(t)
	s := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		if err := data.Series(ctx, req, w); err != nil {
			return err
		}
		return errors.New("the disk is gone")
	})
	big := memstore.New(nil)
	for i := range 40_000 { // more than is gathered before it is written
		testutil.Ok(t, big.Append(labels.FromStrings("__name__", "big"), int64(i), math.Sqrt(float64(i))))
	}
	late := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		return errors.Join(big.Series(ctx, req, w), s.Series(ctx, req, w))
	})
	rawURL := serve(t, late, nil)
	set, err := prometheusClient(t, rawURL).Read(t.Context(), query(t, 0, 1<<40, nil, everything), false)
	testutil.Ok(t, err)
	for set.Next() {
	}
	testutil.Assert(t, set.Err() != nil)

	r, err := promstore.NewRemoteRead(rawURL, nil)
	testutil.Ok(t, err)
	defer r.Close()
	for _, err = range store.All(t.Context(), r, &store.SeriesRequest{MaxTime: 1 << 40}, nil) {
		if err != nil {
			break
		}
	}
	testutil.Assert(t, errors.Is(err, store.ErrMalformed) && strings.Contains(err.Error(), "the disk is gone"), "%v", err)
}

// TestEndsLate: a context that ends on this side, a deadline or a shutdown, does
// not make what was sent until then look whole.
func TestEndsLate(t *testing.T) {
	t.Parallel()
	big := memstore.New(nil)
	for i := range 40_000 { // more than is gathered before it is written
		testutil.Ok(t, big.Append(labels.FromStrings("__name__", "big"), int64(i), math.Sqrt(float64(i))))
	}
	for name, end := range map[string]func(context.Context) error{
		"an error":         context.Context.Err,
		"no error of ours": func(context.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var giveUp context.CancelFunc
			h, err := remoteread.New(store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				if err := big.Series(ctx, req, w); err != nil {
					return err
				}
				other := &store.Series{Labels: labels.FromStrings("__name__", "other")}
				if err := w.Send(other); err != nil { // big is whole
					return err
				}
				giveUp()
				return end(ctx)
			}), nil)
			testutil.Ok(t, err)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				giveUp = cancel
				h.ServeHTTP(w, r.WithContext(ctx))
			}))
			t.Cleanup(srv.Close)
			for _, accept := range []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES} {
				set, err := prometheusClient(t, srv.URL, accept).Read(t.Context(), query(t, 0, 1<<40, nil, everything), false)
				if err == nil {
					for set.Next() {
					}
					err = set.Err()
				}
				testutil.Assert(t, err != nil, "%s looks whole", accept)
			}
		})
	}
}

// TestErrorsOfTheWriterStay: a Store that goes on after an error of Send does not
// make the answer look whole.
func TestErrorsOfTheWriterStay(t *testing.T) {
	t.Parallel()
	rawURL := serve(t, store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, name := range []string{"b", "a", "c"} {
			_ = w.Send(&store.Series{Labels: labels.FromStrings("__name__", name)})
		}
		return nil
	}), nil)
	_, err := prometheusClient(t, rawURL).Read(t.Context(), query(t, 0, 1, nil, everything), false)
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), store.ErrUnsorted.Error()), "%v", err)
}

// TestConcurrency: no more requests than allowed reach the Store, and one that
// waits ends with its context.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := store.Func(func(ctx context.Context, _ *store.SeriesRequest, _ store.SeriesWriter) error {
		select {
		case entered <- struct{}{}:
		case <-ctx.Done(): // one that was given up may get here when the other has left
			return ctx.Err()
		}
		select {
		case <-leave:
		case <-ctx.Done():
		}
		return nil
	})
	rawURL := serve(t, s, &remoteread.Options{MaxConcurrent: 1})
	client := prometheusClient(t, rawURL)
	var wg sync.WaitGroup
	read := func(ctx context.Context) error {
		set, err := client.Read(ctx, query(t, 0, 1, nil, everything), false)
		if err != nil {
			return err
		}
		for set.Next() {
		}
		return set.Err()
	}
	wg.Go(func() { testutil.Ok(t, read(t.Context())) })
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() { testutil.Assert(t, errors.Is(read(ctx), context.Canceled)) })
	cancel()
	close(leave)
	wg.Wait()
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := remoteread.New(memstore.New(nil), &remoteread.Options{
		Partial: 9, MaxSamples: -1, MaxFrameBytes: -1, MaxConcurrent: -1, MaxRequestBytes: -1,
	})
	for _, name := range []string{"Partial", "MaxSamples", "MaxFrameBytes", "MaxConcurrent", "MaxRequestBytes"} {
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), name), "%s in %v", name, err)
	}
}
