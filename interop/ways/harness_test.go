package ways

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Versions of Prometheus to run.
const (
	currentPrometheus = "prometheus"        // from interop's go.mod
	debianPrometheus  = "debian/prometheus" // 2.42
)

var versions = []string{currentPrometheus, debianPrometheus}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a program until the test ends, and waits for a page of it to
// answer. Its log is shown if the test fails.
func start(t testing.TB, ready, path string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	ok(t, err)
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ok(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // how it ends is nobody's concern
		_ = log.Close()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("log of %s:\n%s", path, b[max(0, len(b)-4000):])
		}
	})
	await(t, done, func(ctx context.Context) error {
		_, err := fetch(ctx, ready, nil)
		return err
	})
}

// await polls until cond holds, the program behind it ends, or the time is up.
func await(t testing.TB, done <-chan struct{}, cond func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proc.Patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-done:
			t.Fatalf("program ended: %v", err)
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// client closes its connections, so that no goroutine of one is left.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// fetch returns the body of a page that answers 200: a GET, or a POST of params.
func fetch(ctx context.Context, page string, params url.Values) ([]byte, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if params != nil {
		method, body = http.MethodPost, strings.NewReader(params.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, page, body)
	if err != nil {
		return nil, err
	}
	if params != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", page, resp.Status, b)
	}
	return b, err
}

// queryHTTP returns the result of a query, as JSON, and fails if the answer has
// warnings.
func queryHTTP(t testing.TB, base, api string, params url.Values) string {
	t.Helper()
	b, err := fetch(t.Context(), base+"/api/v1/"+api, params)
	ok(t, err)
	var answer struct {
		Data struct {
			Result json.RawMessage `json:"result"`
		} `json:"data"`
		Warnings []string `json:"warnings"`
	}
	ok(t, json.Unmarshal(b, &answer))
	if len(answer.Warnings) > 0 {
		t.Fatalf("%s of %s warns: %q", api, base, answer.Warnings)
	}
	return string(answer.Data.Result)
}

// startPrometheus runs a version of Prometheus that scrapes nothing, and returns
// its URL. more is added to its configuration.
func startPrometheus(t testing.TB, version, data, more string, flags ...string) string {
	t.Helper()
	addr := proc.FreeAddr(t)
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	ok(t, os.WriteFile(config, []byte("global: {external_labels: {prometheus: test}}\n"+more), 0o600))
	args := append([]string{
		"--config.file=" + config, "--storage.tsdb.path=" + data, "--web.listen-address=" + addr, "--storage.tsdb.retention.time=10y",
	}, flags...)
	start(t, "http://"+addr+"/-/ready", proc.Binary(t, version), args...)
	return "http://" + addr
}

const scrape = 15_000 // ms

// fixture is samples that are in a Store and in a data folder of Prometheus.
type fixture struct {
	mint, maxt int64
	mem        *memstore.Store
	series     []storage.Series
	dir        string
}

// newFixture makes 100 minutes of samples, which ended hours ago.
func newFixture(t testing.TB, histograms bool) *fixture {
	t.Helper()
	const block = 2 * 3600 * 1000
	f := &fixture{mem: memstore.New(nil), dir: t.TempDir()}
	f.mint = (time.Now().UnixMilli()/block-3)*block + 1234
	f.maxt = f.mint + 399*scrape
	for inst := range int64(20) {
		lset := labels.FromStrings("__name__", "requests_total", "instance", fmt.Sprintf("i%02d", inst), "path", `a "quoted" \ path`)
		f.floats(t, lset, func(i int64) float64 { return float64(i%170*(inst+1)) + 0.1 })
	}
	f.floats(t, labels.FromStrings("__name__", "temperature", "room", "é"), func(i int64) float64 {
		return []float64{math.Sin(float64(i)), math.Inf(1), math.Inf(-1), -1e-300, math.NaN()}[i%5]
	})
	if histograms {
		f.histograms(t, "integer", func(i int64) (*histogram.Histogram, *histogram.FloatHistogram) {
			return tsdbutil.GenerateTestHistogram(i % 170), nil
		})
		f.histograms(t, "gauge", func(i int64) (*histogram.Histogram, *histogram.FloatHistogram) {
			return tsdbutil.GenerateTestGaugeHistogram(i * 7 % 31), nil
		})
		f.histograms(t, "float", func(i int64) (*histogram.Histogram, *histogram.FloatHistogram) {
			return nil, tsdbutil.GenerateTestFloatHistogram(i % 170)
		})
	}
	_, err := tsdb.CreateBlock(f.series, f.dir, block, slog.New(slog.DiscardHandler))
	ok(t, err)
	return f
}

func (f *fixture) floats(t testing.TB, lset labels.Labels, at func(i int64) float64) {
	t.Helper()
	for i, ts := int64(0), f.mint; ts <= f.maxt; i, ts = i+1, ts+scrape {
		ok(t, f.mem.Append(lset, ts, at(i)))
	}
	f.keep(t, lset)
}

func (f *fixture) histograms(t testing.TB, kind string, at func(i int64) (*histogram.Histogram, *histogram.FloatHistogram)) {
	t.Helper()
	lset := labels.FromStrings("__name__", "latency", "kind", kind)
	for i, ts := int64(0), f.mint; ts <= f.maxt; i, ts = i+1, ts+scrape {
		if h, fh := at(i); h != nil {
			ok(t, f.mem.AppendHistogram(lset, ts, h))
		} else {
			ok(t, f.mem.AppendFloatHistogram(lset, ts, fh))
		}
	}
	f.keep(t, lset)
}

// keep takes a series of the Store for the block.
func (f *fixture) keep(t testing.TB, lset labels.Labels) {
	t.Helper()
	var ms []*labels.Matcher
	lset.Range(func(l labels.Label) { ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value)) })
	for s, err := range store.All(t.Context(), f.mem, &store.SeriesRequest{MinTime: f.mint, MaxTime: f.maxt, Matchers: ms}, nil) {
		ok(t, err)
		f.series = append(f.series, &storage.SeriesEntry{
			Lset: s.Labels,
			SampleIteratorFn: func(chunkenc.Iterator) chunkenc.Iterator {
				var its []chunkenc.Iterator
				for _, c := range s.Chunks {
					chk, err := c.Raw.Chunk()
					ok(t, err)
					its = append(its, chk.Iterator(nil))
				}
				return storage.ChainSampleIteratorFromIterators(nil, its)
			},
		})
	}
}

// dump returns what a Store sends as text, without the labels named.
func dump(t testing.TB, s store.Store, req store.SeriesRequest, without ...string) string {
	t.Helper()
	var b strings.Builder
	for series, err := range store.All(t.Context(), s, &req, nil) {
		ok(t, err)
		var samples []string
		for _, c := range series.Chunks {
			chk, err := c.Raw.Chunk()
			ok(t, err)
			samples = appendSamples(t, samples, chk.Iterator(nil), req.MinTime, req.MaxTime)
		}
		if len(samples) > 0 || req.SkipChunks {
			fmt.Fprintln(&b, labels.NewBuilder(series.Labels).Del(without...).Labels(), samples)
		}
	}
	return b.String()
}

func appendSamples(t testing.TB, dst []string, it chunkenc.Iterator, mint, maxt int64) []string {
	t.Helper()
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if ts := it.AtT(); ts < mint || ts > maxt {
			continue
		}
		switch vt {
		case chunkenc.ValHistogram:
			ts, h := it.AtHistogram(nil)
			dst = append(dst, fmt.Sprintf("%d int %s %t", ts, h, h.CounterResetHint == histogram.GaugeType))
		case chunkenc.ValFloatHistogram:
			ts, h := it.AtFloatHistogram(nil)
			dst = append(dst, fmt.Sprintf("%d float %s %t", ts, h, h.CounterResetHint == histogram.GaugeType))
		default:
			ts, v := it.At()
			dst = append(dst, fmt.Sprintf("%d %x", ts, math.Float64bits(v)))
		}
	}
	ok(t, it.Err())
	return dst
}

// same fails the test with where two texts begin to differ.
func same(t testing.TB, what, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	n := 0
	for n < min(len(want), len(got)) && want[n] == got[n] {
		n++
	}
	around := func(s string) string { return s[max(0, n-200):min(len(s), n+200)] }
	t.Fatalf("%s: %d and %d bytes differ at %d:\nwant ...%s\ngot  ...%s", what, len(want), len(got), n, around(want), around(got))
}
