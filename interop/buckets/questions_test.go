package buckets

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/interop/internal/promhttp"
)

// asker is a span of time that questions are asked about.
type asker struct {
	start, end time.Time
	step       time.Duration
}

// expressions are answered the same by a Prometheus and, by a kind of querier,
// from a bucket with the blocks that it has, as long as data is raw.
func expressions(querier string) []string {
	out := []string{
		`requests_total`,
		`sum(rate(requests_total[1h]))`,
		`increase(requests_total{instance="i1"}[2h])`,
		`temperature{instance!="i0"}`,
		`max_over_time(temperature[3h]) - min_over_time(temperature[3h])`,
		`avg_over_time(temperature[2h])`,
		`sum_over_time(gaps[2h])`,
		`count_over_time(gaps[2h])`,
		`gaps`,
		`latency_seconds`,
		`histogram_quantile(0.9, rate(latency_seconds[1h]))`,
		`histogram_sum(increase(latency_float[2h]))`,
		`count by (instance) ({__name__=~"requests_total|temperature|gaps"} offset 30m)`,
		`absent(no_such_metric)`,
	}
	if querier == ours { // Thanos' hides resets of counters from PromQL.
		out = append(out, `resets(requests_total{instance=~"i[02]"}[12h])`)
	}
	return out
}

// downsampledExpressions have an answer from downsampled data, which is not
// Prometheus'.
func downsampledExpressions() []string {
	return []string{
		`requests_total`,
		`sum(rate(requests_total[3h]))`,
		`increase(requests_total{instance="i1"}[6h])`,
		`temperature{instance!="i0"}`,
		`max_over_time(temperature[6h])`,
		`min_over_time(temperature[6h])`,
		`avg_over_time(temperature[6h])`,
		`sum_over_time(gaps[6h])`,
		`count_over_time(gaps[6h])`,
		`latency_seconds`,
		`histogram_quantile(0.9, rate(latency_seconds[3h]))`,
		`histogram_count(increase(latency_float[6h]))`,
	}
}

// ask puts an expression to a server and returns its answer as text, without
// external labels. Resolution is max_source_resolution, empty for raw.
func (a asker) ask(t testing.TB, base, expr, resolution string) string {
	t.Helper()
	params := map[string]string{
		"query": expr,
		"start": strconv.FormatInt(a.start.Unix(), 10),
		"end":   strconv.FormatInt(a.end.Unix(), 10),
		"step":  strconv.FormatFloat(a.step.Seconds(), 'f', -1, 64),
	}
	if resolution != "" {
		params["max_source_resolution"] = resolution
	}
	got, err := promhttp.Query(t.Context(), base, "query_range", params)
	if err != nil {
		t.Errorf("ask %s: %v", expr, err)
		return ""
	}
	for _, w := range got.Warnings {
		// Thanos has among them what PromQL has to say of the expression.
		if !strings.HasPrefix(w, "PromQL info") {
			t.Errorf("ask %s: warning %q", expr, w)
		}
	}
	if len(got.Data.Result) == 0 {
		t.Errorf("no answer to %s", expr)
	}
	return got.Text("cluster", "replica")
}

// answers returns the answers to expressions.
func (a asker) answers(t testing.TB, base, resolution string, exprs []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, expr := range exprs {
		out[expr] = a.ask(t, base, expr, resolution)
	}
	return out
}

// same fails for answers that are not as wanted.
func same(t testing.TB, want, got map[string]string) {
	t.Helper()
	for expr, g := range got {
		if w := want[expr]; g != w {
			t.Errorf("%s:\nwant %.1500s\ngot  %.1500s", expr, w, g)
		}
	}
}
