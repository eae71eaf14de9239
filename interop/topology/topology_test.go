package topology

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/promhttp"
)

// history is the range of the back-filled data that questions are about: old
// enough for nothing of it to change.
type history struct{ start, end time.Time }

// hole leaves out ten minutes, from an offset.
func (h history) hole(from time.Duration) func(time.Time) bool {
	return func(at time.Time) bool {
		return !at.Before(h.start.Add(from)) && at.Before(h.start.Add(from+10*time.Minute))
	}
}

// prometheusPair starts two replicas of one cluster.
func prometheusPair(t testing.TB, versionA, versionB, cluster string) (h history, a, b *prometheus) {
	t.Helper()
	end := time.Now().Truncate(time.Minute).Add(-5 * time.Minute)
	h = history{end.Add(-90 * time.Minute), end}
	a = startPrometheus(t, versionA, map[string]string{"cluster": cluster, "replica": "a"}, func(dir string) {
		backfill(t, dir, h, 0, h.hole(10*time.Minute))
	})
	b = startPrometheus(t, versionB, map[string]string{"cluster": cluster, "replica": "b"}, func(dir string) {
		backfill(t, dir, h, 7*time.Second, h.hole(30*time.Minute))
	})
	return h, a, b
}

// servers are the addresses of a component.
type server struct {
	*proc.Process
	grpc, http string
}

// startServer runs a component, ours or Thanos', whose flags are the same.
func startServer(t testing.TB, name, path string, args ...string) *server {
	t.Helper()
	s := &server{grpc: proc.FreeAddr(t), http: proc.FreeAddr(t)}
	s.Process = proc.Start(t, name, path, append(args, "--grpc-address="+s.grpc, "--http-address="+s.http)...)
	proc.AwaitHTTP(t, s.Process, "http://"+s.http+"/-/ready")
	proc.AwaitTCP(t, s.Process, s.grpc)
	return s
}

// sidecar starts a sidecar of one kind for a Prometheus.
func sidecar(t testing.TB, kind string, p *prometheus) *server {
	t.Helper()
	name := fmt.Sprintf("sidecar-%s-%s", kind, p.external["replica"])
	args := []string{"--prometheus.url=" + p.url}
	if kind == "thanos" {
		// After a Prometheus that was slow to answer once, it would not be ready for 30 s.
		args = append(args, "--prometheus.get_config_timeout=1m")
		return startServer(t, name, proc.Binary(t, "thanos"), append([]string{"sidecar", "--tsdb.path=" + t.TempDir()}, args...)...)
	}
	return startServer(t, name, examples.Binary(t, "sidecar"), args...)
}

// querier starts a querier of one kind over endpoints, and waits until it knows
// all of them.
func querier(t testing.TB, kind string, compression string, endpoints ...*server) *server {
	t.Helper()
	args := []string{"--query.replica-label=replica", "--deduplication.func=penalty", "--grpc-compression=" + compression}
	for _, e := range endpoints {
		args = append(args, "--endpoint="+e.grpc)
	}
	path := ""
	if kind == "thanos" {
		path, args = proc.Binary(t, "thanos"), append([]string{"query"}, args...)
	} else {
		path = examples.Binary(t, "querier")
	}
	s := startServer(t, "query-"+kind, path, args...)
	proc.Await(t, "endpoints", s.Process, proc.Patience, func(ctx context.Context) error { return proc.Endpoints(ctx, s.http, len(endpoints)) })
	return s
}

// question is an expression over the history, whose answer must be Prometheus'.
type question struct {
	expr    string
	instant bool
	// uneven is about what replicas have differently. There is no Prometheus
	// with the right answer, but a Thanos querier over Thanos' sidecars.
	uneven bool
}

var questions = []question{
	{expr: `requests_total{instance="i1"}`},
	{expr: `sum by (code) (rate(requests_total[5m]))`},
	{expr: `max_over_time(temperature[10m]) - min_over_time(temperature[10m])`},
	{expr: `histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))`},
	{expr: `count by (instance) (requests_total offset 10m)`},
	{expr: `topk(2, sum by (instance) (increase(requests_total{code!="200"}[10m])))`, instant: true},
	{expr: `requests_total{instance=~"i[12]",code="404"}[2m]`, instant: true},
	{expr: `avg(temperature) by (instance) > bool 22`},
	{expr: `absent(no_such_metric)`},
	{expr: `uneven_total`, uneven: true},
	{expr: `rate(uneven_total[2m])`, uneven: true},
	{expr: `count_over_time(uneven_total[1m])`, uneven: true},
	{expr: `label_replace(temperature{instance="i0"}, "x", "$1", "instance", "(.*)")`},
}

// ask puts a question about the history to a server.
func (h history) ask(t testing.TB, s *server, base string, q question, params map[string]string) string {
	t.Helper()
	p := map[string]string{"query": q.expr}
	api := "query_range"
	if q.instant {
		api = "query"
		p["time"] = strconv.FormatInt(h.end.Unix()-60, 10)
	} else {
		p["start"] = strconv.FormatInt(h.start.Unix()+600, 10)
		p["end"] = strconv.FormatInt(h.end.Unix(), 10)
		p["step"] = "30"
	}
	for k, v := range params {
		p[k] = v
	}
	a, err := promhttp.Query(t.Context(), base, api, p)
	if err != nil {
		if s != nil {
			t.Fatalf("ask %s: %v\n%s", q.expr, err, s.Tail(10))
		}
		t.Fatalf("ask %s: %v", q.expr, err)
	}
	if len(a.Warnings) > 0 {
		t.Errorf("ask %s: warnings %q", q.expr, a.Warnings)
	}
	if len(a.Data.Result) == 0 {
		t.Errorf("no answer to %s from %s", q.expr, base)
	}
	return a.Text("cluster")
}

// answers are the right ones, by expression: those of a Prometheus, or of a
// Thanos querier over its own kind where the replicas differ.
func (h history) answers(t testing.TB, p *prometheus, thanos *server) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, q := range questions {
		if q.uneven {
			out[q.expr] = h.ask(t, thanos, "http://"+thanos.http, q, nil)
			continue
		}
		out[q.expr] = h.ask(t, nil, p.url, q, nil)
	}
	return out
}

// Every pair of a querier and sidecars, ours and Thanos', gives the right
// answers.
func TestQueriersOverSidecars(t *testing.T) {
	t.Parallel()
	h, a, b := prometheusPair(t, currentPrometheus, currentPrometheus, "c1")
	sidecars := map[string][]*server{}
	for _, kind := range []string{"ours", "thanos"} {
		sidecars[kind] = []*server{sidecar(t, kind, a), sidecar(t, kind, b)}
	}
	sidecars["mixed"] = []*server{sidecars["ours"][0], sidecars["thanos"][1]}
	want := h.answers(t, a, querier(t, "thanos", "none", sidecars["thanos"]...))
	for _, tc := range []struct{ querier, sidecars, compression string }{
		{"thanos", "ours", "none"},
		{"thanos", "ours", "snappy"},
		{"ours", "thanos", "none"},
		{"ours", "thanos", "snappy"},
		{"ours", "ours", "snappy"},
		{"ours", "mixed", "none"},
		{"thanos", "mixed", "none"},
	} {
		t.Run(fmt.Sprintf("%s querier over %s sidecars, compression %s", tc.querier, tc.sidecars, tc.compression), func(t *testing.T) {
			q := querier(t, tc.querier, tc.compression, sidecars[tc.sidecars]...)
			for _, question := range questions {
				got := h.ask(t, q, "http://"+q.http, question, map[string]string{"dedup": "true"})
				if want := want[question.expr]; want != got {
					t.Errorf("%s:\nwant %.1500s\ngot  %.1500s", question.expr, want, got)
				}
			}
		})
	}
}

// A querier over everything at once: sidecars of both kinds for the same two
// replicas, and queriers of both kinds over them.
func TestStackedQueriers(t *testing.T) {
	t.Parallel()
	h, a, b := prometheusPair(t, currentPrometheus, debianPrometheus, "c1")
	var all []*server
	for _, kind := range []string{"ours", "thanos"} {
		all = append(all, sidecar(t, kind, a), sidecar(t, kind, b))
	}
	lower := []*server{querier(t, "ours", "none", all...), querier(t, "thanos", "none", all...)}
	want := h.answers(t, a, lower[1])
	for _, kind := range []string{"ours", "thanos"} {
		t.Run(kind, func(t *testing.T) {
			q := querier(t, kind, "none", append(lower, all...)...)
			for _, question := range questions {
				want := want[question.expr]
				if got := h.ask(t, q, "http://"+q.http, question, nil); want != got {
					t.Errorf("%s:\nwant %.1500s\ngot  %.1500s", question.expr, want, got)
				}
			}
			raw, err := promhttp.Query(t.Context(), "http://"+q.http, "query", map[string]string{
				"query": `count by (replica) (temperature)`, "dedup": "false", "time": strconv.FormatInt(h.end.Unix()-60, 10),
			})
			if err != nil || len(raw.Data.Result) != 2 {
				t.Errorf("without deduplication, want two replicas: %v %+v", err, raw)
			}
		})
	}
}

// What a Prometheus scrapes, native histograms too, is answered as Prometheus
// itself does, by every pair of a querier and a sidecar.
func TestScrapes(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, currentPrometheus, map[string]string{"cluster": "c1", "replica": "a"}, nil)
	queriers := map[string]*server{
		"ours over ours":     querier(t, "ours", "none", sidecar(t, "ours", p)),
		"ours over Thanos":   querier(t, "ours", "none", sidecar(t, "thanos", p)),
		"Thanos' over ours":  querier(t, "thanos", "none", sidecar(t, "ours", p)),
		"ours over stacked":  nil,
		"Thanos' over stack": nil,
	}
	queriers["ours over stacked"] = querier(t, "ours", "snappy", queriers["Thanos' over ours"])
	queriers["Thanos' over stack"] = querier(t, "thanos", "snappy", queriers["ours over ours"])
	at := p.awaitScrapes(t, time.Minute)
	for _, expr := range []string{
		`up`,
		`count({__name__=~".+"})`,
		`{__name__=~"node_.*",device!="lo"}`,
		`sum by (mode) (rate(node_cpu_seconds_total[10s]))`,
		`prometheus_tsdb_head_samples_appended_total[10s]`,
		`histogram_quantile(0.9, sum by (job) (rate(prometheus_http_request_duration_seconds[10s])))`,
		`prometheus_http_request_duration_seconds{handler="/metrics"}`,
		`histogram_sum(increase(prometheus_http_request_duration_seconds{handler="/metrics"}[10s]))`,
		`histogram_count(rate(prometheus_http_request_duration_seconds[10s]))`,
	} {
		params := map[string]string{"query": expr, "time": strconv.FormatInt(at.Unix(), 10)}
		want, err := promhttp.Query(t.Context(), p.url, "query", params)
		if err != nil {
			t.Errorf("ask Prometheus %s: %v", expr, err)
			continue
		}
		if len(want.Data.Result) == 0 {
			t.Errorf("Prometheus has no answer to %s", expr)
		}
		text := want.Text()
		for name, q := range queriers {
			got, err := promhttp.Query(t.Context(), "http://"+q.http, "query", params)
			if err != nil {
				t.Errorf("ask %s %s: %v", name, expr, err)
				continue
			}
			if x := got.Text("cluster"); x != text {
				t.Errorf("%s:\nPrometheus says %.1500s\n%s says %.1500s", expr, text, name, x)
			}
		}
	}
}
