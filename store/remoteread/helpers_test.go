package remoteread_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/remoteread"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	scrape  = 15_000 // ms
	scrapes = 280
)

// kinds returns a Store with a series of every kind of samples.
func kinds(t testing.TB) *memstore.Store {
	t.Helper()
	s := memstore.New(nil)
	name := func(kind string) labels.Labels {
		return labels.FromStrings("__name__", "kind", "kind", kind, "utf8.näme", "é")
	}
	for i := range int64(scrapes) {
		ts := (i + 1) * scrape
		v := []float64{0, 1.5, -7, math.Inf(1), math.NaN(), math.Float64frombits(value.StaleNaN), 1e300}[i%7]
		testutil.Ok(t, s.Append(name("float"), ts, v))
		testutil.Ok(t, s.AppendHistogram(name("integer"), ts, tsdbutil.GenerateTestHistogram(i%130)))
		testutil.Ok(t, s.AppendHistogram(name("gauge"), ts, tsdbutil.GenerateTestGaugeHistogram(i*7%31)))
		testutil.Ok(t, s.AppendFloatHistogram(name("float_counts"), ts, tsdbutil.GenerateTestFloatHistogram(i%130)))
		testutil.Ok(t, s.AppendFloatHistogram(name("float_gauge"), ts, tsdbutil.GenerateTestGaugeFloatHistogram(i*7%31)))
		testutil.Ok(t, s.AppendHistogram(name("custom"), ts, tsdbutil.GenerateTestCustomBucketsHistogram(i)))
		testutil.Ok(t, s.AppendFloatHistogram(name("custom_float"), ts, tsdbutil.GenerateTestCustomBucketsFloatHistogram(i)))
		switch i / 10 % 3 {
		case 0:
			testutil.Ok(t, s.Append(name("mixed"), ts, v))
		case 1:
			testutil.Ok(t, s.AppendHistogram(name("mixed"), ts, tsdbutil.GenerateTestHistogram(i)))
		default:
			testutil.Ok(t, s.AppendFloatHistogram(name("mixed"), ts, tsdbutil.GenerateTestFloatHistogram(i)))
		}
		if i%40 == 39 {
			testutil.Ok(t, s.AppendHistogram(name("stale"), ts, &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}))
		} else {
			testutil.Ok(t, s.AppendHistogram(name("stale"), ts, tsdbutil.GenerateTestHistogram(i)))
		}
		if i < 3 {
			testutil.Ok(t, s.Append(labels.FromStrings("__name__", "short"), ts, v))
		}
	}
	return s
}

// serve serves s until the test ends and returns the URL.
func serve(t testing.TB, s store.Store, opts *remoteread.Options) string {
	t.Helper()
	h, err := remoteread.New(s, opts)
	testutil.Ok(t, err)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// prometheusClient is Prometheus' own client of a URL.
func prometheusClient(t testing.TB, rawURL string, accept ...prompb.ReadRequest_ResponseType) remote.ReadClient {
	t.Helper()
	u, err := url.Parse(rawURL)
	testutil.Ok(t, err)
	c, err := remote.NewReadClient("test", &remote.ClientConfig{
		URL: &config_util.URL{URL: u}, Timeout: model.Duration(time.Minute), AcceptedResponseTypes: accept, ChunkedReadLimit: 50_000_000,
	}, config_util.WithKeepAlivesDisabled())
	testutil.Ok(t, err)
	return c
}

// query makes a query of Prometheus' own.
func query(t testing.TB, mint, maxt int64, hints *storage.SelectHints, ms ...*labels.Matcher) *prompb.Query {
	t.Helper()
	q, err := remote.ToQuery(mint, maxt, ms, hints)
	testutil.Ok(t, err)
	return q
}

func match(typ labels.MatchType, name, value string) *labels.Matcher {
	return labels.MustNewMatcher(typ, name, value)
}

var everything = match(labels.MatchRegexp, "__name__", ".+")

// line is a series as text: its labels and samples.
func line(lset labels.Labels, samples []string) string { return fmt.Sprint(lset, samples) }

// held returns what a Store sends, as text; parts of a series are put together.
func held(t testing.TB, s store.Store, mint, maxt int64, ms ...*labels.Matcher) []string {
	t.Helper()
	var out, samples []string
	var last labels.Labels
	end := func() {
		if len(samples) > 0 {
			out = append(out, line(last, samples))
		}
		samples = nil
	}
	for series, err := range store.All(context.Background(), s, &store.SeriesRequest{MinTime: mint, MaxTime: maxt, Matchers: ms}, nil) {
		testutil.Ok(t, err)
		if !labels.Equal(last, series.Labels) {
			end()
			last = series.Labels
		}
		for _, c := range series.Chunks {
			chk, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			samples = appendSamples(t, samples, chk.Iterator(nil), mint, maxt)
		}
	}
	end()
	return out
}

// received returns what a set of Prometheus' own has, as text.
func received(t testing.TB, set storage.SeriesSet, mint, maxt int64) []string {
	t.Helper()
	var out []string
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		if samples := appendSamples(t, nil, it, mint, maxt); len(samples) > 0 {
			out = append(out, line(set.At().Labels(), samples))
		}
	}
	testutil.Ok(t, set.Err())
	return out
}

func appendSamples(t testing.TB, dst []string, it chunkenc.Iterator, mint, maxt int64) []string {
	t.Helper()
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if ts := it.AtT(); ts < mint || ts > maxt {
			continue
		}
		switch vt {
		case chunkenc.ValFloat:
			ts, v := it.At()
			dst = append(dst, fmt.Sprintf("%d %x", ts, math.Float64bits(v)))
		case chunkenc.ValHistogram:
			ts, h := it.AtHistogram(nil)
			dst = append(dst, fmt.Sprintf("%d int %x %v %s %v", ts, math.Float64bits(h.Sum), h.CounterResetHint == histogram.GaugeType, h, h.CustomValues))
		case chunkenc.ValFloatHistogram:
			ts, h := it.AtFloatHistogram(nil)
			dst = append(dst, fmt.Sprintf("%d float %x %v %s %v", ts, math.Float64bits(h.Sum), h.CounterResetHint == histogram.GaugeType, h, h.CustomValues))
		}
	}
	testutil.Ok(t, it.Err())
	return dst
}

// post sends a body as a remote read request.
func post(t testing.TB, rawURL string, body []byte, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rawURL, bytesReader(body))
	testutil.Ok(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	testutil.Ok(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}
