package resolutions

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/promhttp"
)

// Whose program it is.
const (
	ours   = "ours"
	thanos = "thanos"
)

// component starts a program, ours or Thanos', whose flags are the same, and returns
// its addresses.
func component(t testing.TB, kind, thanosName, ourName string, args ...string) (grpc, url string, p *proc.Process) {
	t.Helper()
	grpc, http := proc.FreeAddr(t), proc.FreeAddr(t)
	args = append(args, "--grpc-address="+grpc, "--http-address="+http)
	path := proc.Binary(t, "thanos")
	if kind == thanos {
		args = append([]string{thanosName}, args...)
	} else {
		path = examples.Binary(t, ourName)
	}
	p = proc.Start(t, thanosName+"-"+kind, path, args...)
	proc.AwaitHTTP(t, p, "http://"+http+"/-/ready")
	proc.AwaitTCP(t, p, grpc)
	return grpc, "http://" + http, p
}

// querier starts a querier over a gateway and waits until it knows what that has.
func querier(t testing.TB, kind, gateway string, args ...string) (url string) {
	t.Helper()
	args = append(args, "--query.replica-label=replica", "--deduplication.func=penalty", "--endpoint="+gateway)
	_, url, p := component(t, kind, "query", "querier", args...)
	proc.Await(t, "gateway", p, proc.Patience, func(ctx context.Context) error {
		body, err := proc.Get(ctx, url+"/api/v1/stores")
		if err == nil && !strings.Contains(string(body), `"replica"`) {
			err = fmt.Errorf("stores: %s", body)
		}
		return err
	})
	return url
}

// expressions have each way in which data is asked for, by what stands for samples
// of downsampled data.
func expressions() []string {
	return []string{
		// Averages.
		`temperature`,
		`avg_over_time(temperature[3h])`,
		`avg_over_time(irregular[6h])`,
		`last_over_time(irregular[2h])`,
		`quantile_over_time(0.9, temperature[6h])`,
		`stddev_over_time(temperature[6h])`,
		`changes(temperature[6h])`,
		`absent_over_time(irregular[1h])`,
		`delta(temperature[6h])`,
		`deriv(temperature[6h])`,
		`avg(requests_total)`,
		`sum by (i) (requests_total)`,
		`topk(1, requests_total)`,
		// Least, most.
		`min_over_time(temperature[3h])`,
		`max_over_time(irregular[3h])`,
		`min(requests_total)`,
		`max(requests_total)`,
		`max_over_time(temperature[1h]) - min_over_time(temperature[1h])`,
		// Sums and counts.
		`sum_over_time(irregular[6h])`,
		`count_over_time(irregular[6h])`,
		`sum_over_time(irregular[6h]) / count_over_time(irregular[6h])`,
		`count(requests_total)`,
		// Counters.
		`requests_total`,
		`rate(requests_total[3h])`,
		`sum(rate(requests_total[30m]))`,
		`increase(requests_total{i="1"}[6h])`,
		`irate(requests_total{i="2"}[6h])`,
		`max_over_time(rate(requests_total[3h])[12h:1h])`,
		// Histograms. Thanos' averages of them have wrong buckets: each sample's are
		// divided by the counts of all samples before it as well. See againstSamples.
		`histogram_count(latency_seconds)`,
		`histogram_sum(latency_seconds)`,
		`histogram_quantile(0.9, rate(latency_seconds[3h]))`,
		`histogram_count(increase(latency_seconds[6h]))`,
		`histogram_avg(rate(latency_seconds[6h]))`,
		// Other times.
		`temperature offset 2d`,
		`rate(requests_total[3h] @ end())`,
	}
}

// ask asks for a range of time, in ms.
func ask(t testing.TB, base, expr, resolution string, from, to int64, step time.Duration) *promhttp.Answer {
	t.Helper()
	params := map[string]string{
		"query": expr, "start": strconv.FormatInt(from/1000, 10), "end": strconv.FormatInt(to/1000, 10),
		"step": strconv.FormatFloat(step.Seconds(), 'f', -1, 64),
	}
	if resolution != "" {
		params["max_source_resolution"] = resolution
	}
	answer, err := promhttp.Query(t.Context(), base, "query_range", params)
	if err != nil {
		t.Fatalf("ask %s: %v", expr, err)
	}
	for _, w := range answer.Warnings {
		// Thanos has among them what PromQL has to say of the expression.
		if !strings.HasPrefix(w, "PromQL info") {
			t.Errorf("ask %s: warning %q", expr, w)
		}
	}
	return answer
}

// TestQueriers: whatever is asked for, at whatever resolution, across all parts of
// the bucket, our querier answers over either gateway as Thanos' does over its own.
func TestQueriers(t *testing.T) {
	t.Parallel()
	config := "--objstore.config=" + bucket(t)
	queriers := map[string]string{}
	var reference string
	for _, gateway := range []string{ours, thanos} {
		grpc, _, _ := component(t, gateway, "store", "storegateway", config, "--data-dir="+t.TempDir())
		// Without being told, they choose by the step.
		queriers[gateway] = querier(t, ours, grpc, "--query.auto-downsampling")
		if gateway == thanos {
			reference = querier(t, thanos, grpc, "--query.auto-downsampling")
		}
	}
	answered := map[string]bool{}
	for _, span := range []struct {
		from, to    int64
		step        time.Duration
		resolutions []string
	}{
		{start + 12*hour, start + parts*part, 6 * time.Hour, []string{"", "0s", "5m", "1h"}}, // auto is 1h
		{start + 12*hour, start + parts*part, 61 * time.Minute, []string{"auto"}},            // that is 5m
		{start + 3*part - hour, start + 3*part + hour, time.Minute, []string{""}},            // raw
		{start + part - 10*hour, start + part + 14*hour, 17 * time.Minute, []string{"5m", "1h"}},
	} {
		for _, resolution := range span.resolutions {
			for _, expr := range expressions() {
				a := ask(t, reference, expr, resolution, span.from, span.to, span.step)
				want := a.Text("cluster", "replica")
				answered[expr] = answered[expr] || len(a.Data.Result) > 0
				for gateway, url := range queriers {
					if got := ask(t, url, expr, resolution, span.from, span.to, span.step).Text("cluster", "replica"); got != want {
						t.Errorf("%s, step %s, resolution %q, over the gateway of %s:\nwant %.1200s\ngot  %.1200s", expr, span.step, resolution, gateway, want, got)
					}
				}
			}
		}
	}
	for _, expr := range expressions() {
		if !answered[expr] {
			t.Errorf("%s has no answer", expr)
		}
	}
	t.Run("samples", func(t *testing.T) { againstSamples(t, queriers[ours]) })
}

// againstSamples compares answers of hours of which there is 1h alone, or 5m and 1h,
// with the samples that were in them. Averages are those of samples, not of windows.
func againstSamples(t *testing.T, querier string) {
	t.Helper()
	var sum, count, least, most []float64
	for h := range 2 * part / hour {
		s, c, lo, hi := 0.0, 0.0, math.Inf(1), math.Inf(-1)
		for n := h * 60; n < (h+1)*60; n++ {
			if v, ok := irregular(n); ok {
				s, c, lo, hi = s+v, c+1, min(lo, v), max(hi, v)
			}
		}
		sum, count, least, most = append(sum, s), append(count, c), append(least, lo), append(most, hi)
	}
	hours := 0
	for expr, want := range map[string]func(h int64) float64{
		`sum_over_time(irregular[1h])`:  func(h int64) float64 { return sum[h] },
		`min_over_time(irregular[1h])`:  func(h int64) float64 { return least[h] },
		`max_over_time(irregular[1h])`:  func(h int64) float64 { return most[h] },
		`last_over_time(irregular[1h])`: func(h int64) float64 { return sum[h] / count[h] },
		`avg_over_time(irregular[1h])`:  func(h int64) float64 { return sum[h] / count[h] },
		// Of seven observations, one is in the bucket that ends at 1.
		`histogram_fraction(0.5, 1, latency_seconds)`:                             func(int64) float64 { return 1.0 / 7 },
		`sum_over_time(irregular[1h]) / ignoring(x) avg_over_time(irregular[1h])`: func(h int64) float64 { return count[h] },
		`increase(requests_total{i="0"}[1d])`: func(h int64) float64 {
			total := 0.0
			for n := max(0, h-23)*60 + 1; n < (h+1)*60; n++ {
				total += max(0, requests(n, 0)-requests(n-1, 0))
			}
			return total
		},
	} {
		seen := map[int64]bool{}
		for _, r := range ask(t, querier, expr, "1h", start+hour, start+2*part, time.Hour).Data.Result {
			for _, v := range r.Values {
				h := (int64(v[0].(float64))*1000-start)/hour - 1
				got, err := strconv.ParseFloat(v[1].(string), 64)
				testutil.Ok(t, err)
				within := 1e-9
				if strings.HasPrefix(expr, "increase") {
					if h < 25 {
						continue // There is nothing before the first part.
					}
					within = 0.06 // PromQL extrapolates what is between two samples.
				}
				if w := want(h); math.Abs(got-w) > within*math.Abs(w) {
					t.Errorf("%s, hour %d: %v, not %v", expr, h, got, w)
				}
				seen[h] = true
			}
		}
		for h := range 2 * part / hour {
			if strings.Contains(expr, "irregular") && seen[h] != (count[h] > 0) {
				t.Errorf("%s, hour %d: %v samples, answered: %v", expr, h, count[h], seen[h])
			}
		}
		hours += len(seen)
	}
	testutil.Assert(t, hours > 400, "%d hours", hours)
}
