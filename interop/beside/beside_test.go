package beside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/promhttp"
)

// TestQueryFrontend: Thanos' query frontend, which splits, shards and caches, answers
// over our querier what that answers by itself; a second time out of its cache.
func TestQueryFrontend(t *testing.T) {
	ours := querier(t, gateway(t))
	proc.Await(t, "endpoint", nil, proc.Patience, func(ctx context.Context) error { return proc.Endpoints(ctx, ours, 1) })
	addr := proc.FreeAddr(t)
	p := proc.Start(t, "query-frontend", proc.Binary(t, "thanos"), "query-frontend", "--http-address="+addr,
		"--query-frontend.downstream-url=http://"+ours, "--query-range.split-interval=24h", "--query-frontend.vertical-shards=2",
		"--query-range.response-cache-config={type: IN-MEMORY, config: {max_size: 10MB, validity: 1h}}")
	proc.AwaitHTTP(t, p, "http://"+addr+"/-/ready")

	const step = 600
	last := int64(end/1000) / step * step // the frontend aligns times to the step
	for _, params := range []map[string]string{
		{"query": `golden_gauge`},
		{"query": `sum by (is) (rate(golden_counter[1h]))`},
		{"query": `count(golden_gauge)`, "max_source_resolution": "5m"},
		{"query": `max_over_time(golden_gauge[1h])`, "max_source_resolution": "1h"},
		{"query": `sum(golden_gauge)`, "partial_response": "false", "dedup": "false"},
	} {
		t.Run(fmt.Sprint(params), func(t *testing.T) {
			params["start"], params["end"], params["step"] = fmt.Sprint(last-5*86400), fmt.Sprint(last), fmt.Sprint(step)
			want, err := promhttp.Query(t.Context(), "http://"+ours, "query_range", params)
			testutil.Ok(t, err)
			testutil.Assert(t, len(want.Data.Result) > 0, "no answer")
			for range 2 {
				got, err := promhttp.Query(t.Context(), "http://"+addr, "query_range", params)
				testutil.Ok(t, err)
				testutil.Equals(t, want.Text(), got.Text())
				testutil.Equals(t, 0, len(got.Warnings))
			}
		})
	}
	metrics, err := proc.Get(t.Context(), "http://"+addr+"/metrics")
	testutil.Ok(t, err)
	for _, counted := range []string{
		`thanos_frontend_split_queries_total`, `thanos_frontend_sharding_middleware_queries_total{shardable="true"`, `cortex_cache_hits_total`,
	} {
		testutil.Assert(t, rises(string(metrics), counted), "%s is 0", counted)
	}
}

// rises reports whether a sample whose name begins so is there and not 0.
func rises(exposition, name string) bool {
	for line := range strings.Lines(exposition) {
		if strings.HasPrefix(line, name) && !strings.HasSuffix(line, " 0\n") {
			return true
		}
	}
	return false
}

// TestRuler: Thanos' ruler evaluates its rules by our querier, and our querier answers
// what it has recorded.
func TestRuler(t *testing.T) {
	grpcAddr, httpAddr := proc.FreeAddr(t), proc.FreeAddr(t)
	ours := querier(t, gateway(t), grpcAddr)
	rules := filepath.Join(t.TempDir(), "rules.yml")
	testutil.Ok(t, os.WriteFile(rules, fmt.Appendf(nil, `groups:
- name: golden
  interval: 1s
  rules:
  - record: golden:last
    expr: sum by (is) (golden_gauge @ %d)
  - alert: Golden
    expr: count(golden_gauge @ %d) > 1
`, end/1000, end/1000), 0o600))
	p := proc.Start(t, "rule", proc.Binary(t, "thanos"), "rule", "--data-dir="+t.TempDir(), "--rule-file="+rules, "--eval-interval=1s",
		"--query=http://"+ours, `--label=ruler="r1"`, "--grpc-address="+grpcAddr, "--http-address="+httpAddr)
	proc.AwaitHTTP(t, p, "http://"+httpAddr+"/-/ready")

	var recorded *promhttp.Answer
	proc.Await(t, "what the ruler records", p, proc.Patience, func(ctx context.Context) error {
		alerts, err := promhttp.Query(ctx, "http://"+ours, "query", map[string]string{"query": `ALERTS{alertname="Golden", alertstate="firing", ruler="r1"}`})
		if err != nil {
			return err
		}
		if recorded, err = promhttp.Query(ctx, "http://"+ours, "query", map[string]string{"query": `golden:last{ruler="r1"}`}); err != nil {
			return err
		}
		if len(alerts.Data.Result) != 1 || len(recorded.Data.Result) == 0 {
			return errors.New("no alert, or nothing recorded")
		}
		return nil
	})
	want, err := promhttp.Query(t.Context(), "http://"+ours, "query", map[string]string{"query": fmt.Sprintf(`sum by (is) (golden_gauge @ %d)`, end/1000)})
	testutil.Ok(t, err)
	testutil.Equals(t, values(want), values(recorded))
}

// values are the values of a vector by the label that tells its series apart.
func values(a *promhttp.Answer) map[string]any {
	m := map[string]any{}
	for _, r := range a.Data.Result {
		m[r.Metric["is"]] = r.Value[1]
	}
	return m
}
