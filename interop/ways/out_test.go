package ways

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thanoskit/thanoskit/store/remoteread"
)

// TestServedToPrometheus: a Prometheus without data of its own answers from our
// remote read as one that has the data answers.
func TestServedToPrometheus(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			f := newFixture(t, version == currentPrometheus)
			reg := prometheus.NewRegistry()
			h, err := remoteread.New(f.mem, &remoteread.Options{Registerer: reg})
			ok(t, err)
			srv := httptest.NewServer(h)
			t.Cleanup(srv.Close)
			local := startPrometheus(t, version, f.dir, "")
			remote := startPrometheus(t, version, t.TempDir(), fmt.Sprintf(
				"remote_read: [{url: %q, read_recent: true, filter_external_labels: false}]\n", srv.URL+"/api/v1/read"))

			at := func(ms int64) string { return fmt.Sprintf("%d.%03d", ms/1000, ms%1000) }
			span := url.Values{"start": {at(f.mint)}, "end": {at(f.maxt)}, "step": {"37"}}
			for _, q := range []string{
				`requests_total`, `sum(rate(requests_total[5m]))`, `rate(requests_total{instance=~"i0.*"}[2m])`, `temperature`,
				`max_over_time(temperature[3m] offset 10m)`, `latency`, `rate(latency{kind!="gauge"}[5m])`, `histogram_quantile(0.9, latency)`,
			} {
				params := url.Values{"query": {q}}
				maps.Copy(params, span)
				want := queryHTTP(t, local, "query_range", params)
				if strings.Count(want, "\"") < 10 && (version == currentPrometheus || !strings.Contains(q, "latency")) {
					t.Fatalf("%s answers nothing: %s", q, want)
				}
				same(t, q, want, queryHTTP(t, remote, "query_range", params))
			}
			raw := url.Values{"query": {`{__name__=~".+"}[3h]`}, "time": {at(f.maxt)}}
			same(t, "raw", queryHTTP(t, local, "query", raw), queryHTTP(t, remote, "query", raw))

			form := map[string]string{currentPrometheus: "streamed", debianPrometheus: "sampled"}[version]
			if n, err := testutil.GatherAndCount(reg, "thanoskit_remoteread_requests_total"); err != nil || n != 1 {
				t.Fatalf("%d kinds of answers: %v", n, err)
			}
			mf, err := reg.Gather()
			ok(t, err)
			for _, m := range mf {
				if m.GetName() == "thanoskit_remoteread_requests_total" {
					if got := m.GetMetric()[0].String(); !strings.Contains(got, form) || !strings.Contains(got, `"200"`) {
						t.Fatalf("answers are %s", got)
					}
				}
			}
		})
	}
}
