package topology

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/promhttp"
)

// prometheus is a running Prometheus that scrapes itself and a node exporter
// every second, over back-filled history.
type prometheus struct {
	*proc.Process
	url      string
	dir      string
	external map[string]string
}

// Versions of Prometheus to run.
const (
	currentPrometheus = "prometheus"        // from this module's go.mod
	debianPrometheus  = "debian/prometheus" // 2.42
)

// startPrometheus runs a version of Prometheus with external labels.
// history fills its data folder first; see backfill.
func startPrometheus(t testing.TB, version string, external map[string]string, history func(dir string)) *prometheus {
	t.Helper()
	addr := proc.FreeAddr(t)
	dir := t.TempDir()
	p := &prometheus{url: "http://" + addr, dir: filepath.Join(dir, "data"), external: external}
	if history != nil {
		history(p.dir)
	}
	var ext []string
	for k, v := range external {
		ext = append(ext, fmt.Sprintf("%s: %q", k, v))
	}
	config := filepath.Join(dir, "prometheus.yml")
	native := ""
	if version == currentPrometheus {
		native = "scrape_native_histograms: true, "
	}
	text := fmt.Sprintf("global: {scrape_interval: 1s, %sexternal_labels: {%s}}\nscrape_configs:\n- {job_name: prometheus, static_configs: [{targets: [%q]}]}\n- {job_name: node, static_configs: [{targets: [%q]}]}\n",
		native, strings.Join(ext, ", "), addr, nodeExporter(t))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Process = proc.Start(t, "prometheus-"+strings.ReplaceAll(fmt.Sprint(external), " ", "-"), proc.Binary(t, version),
		"--config.file="+config, "--storage.tsdb.path="+p.dir, "--web.listen-address="+addr,
		"--storage.tsdb.retention.time=30d", "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
	proc.AwaitHTTP(t, p.Process, p.url+"/-/ready")
	return p
}

// nodeExporter starts a node exporter for the test and returns its address.
func nodeExporter(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("prometheus-node-exporter")
	if err != nil {
		t.Fatalf("find prometheus-node-exporter: %v; it is a Debian package", err)
	}
	addr := proc.FreeAddr(t)
	p := proc.Start(t, "node-exporter", path, "--web.listen-address="+addr, "--log.level=error", "--collector.disable-defaults", "--collector.cpu", "--collector.meminfo", "--collector.netdev", "--collector.loadavg")
	proc.AwaitHTTP(t, p, "http://"+addr+"/metrics")
	return addr
}

// backfill writes a replica's history into a data folder: counters with resets,
// gauges and a histogram, which are the same in every replica, and a counter
// that has the replica's own phase, and not the samples that drop drops.
func backfill(t testing.TB, dir string, h history, phase time.Duration, drop func(time.Time) bool) {
	t.Helper()
	var b strings.Builder
	times := func(f func(i int, at time.Time)) {
		i := 0
		for at := h.start; at.Before(h.end); at = at.Add(15 * time.Second) {
			f(i, at)
			i++
		}
	}
	b.WriteString("# TYPE uneven counter\n")
	times(func(i int, at time.Time) {
		if !drop(at) {
			fmt.Fprintf(&b, "uneven_total %d %s\n", i%100*3, seconds(at.Add(phase)))
		}
	})
	b.WriteString("# TYPE requests counter\n")
	for inst := range 6 {
		for _, code := range []string{"200", "404", "500"} {
			times(func(i int, at time.Time) {
				v := (i % 400) * (inst + 1) * len(code) // a reset every 400 samples
				fmt.Fprintf(&b, "requests_total{instance=\"i%d\",code=%q} %d %s\n", inst, code, v, seconds(at))
			})
		}
	}
	b.WriteString("# TYPE temperature gauge\n")
	for inst := range 6 {
		times(func(i int, at time.Time) {
			fmt.Fprintf(&b, "temperature{instance=\"i%d\"} %g %s\n", inst, 20+float64(inst)+5*math.Sin(float64(i)/17), seconds(at))
		})
	}
	b.WriteString("# TYPE latency_seconds histogram\n")
	for n, le := range []string{"0.1", "1", "+Inf"} {
		times(func(i int, at time.Time) {
			fmt.Fprintf(&b, "latency_seconds_bucket{le=%q} %d %s\n", le, i*(n+1), seconds(at))
		})
	}
	b.WriteString("# EOF\n")
	in := filepath.Join(t.TempDir(), "history.txt")
	if err := os.WriteFile(in, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), proc.Binary(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q", in, dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("create blocks: %v\n%s", err, out)
	}
}

func seconds(at time.Time) string { return fmt.Sprintf("%.3f", float64(at.UnixMilli())/1000) }

// awaitScrapes waits until Prometheus has scraped both of its targets for longer
// than d, and returns a time d ago, before which none has failed to answer for 20 s.
func (p *prometheus) awaitScrapes(t testing.TB, d time.Duration) time.Time {
	t.Helper()
	var at time.Time
	proc.Await(t, "scrapes", p.Process, proc.Patience, func(ctx context.Context) error {
		at = time.Now().Truncate(time.Second).Add(-d)
		got, err := promhttp.Query(ctx, p.url, "query", map[string]string{"query": "count(count_over_time(up[20s]) > 15 and min_over_time(up[20s]) == 1)", "time": strconv.FormatInt(at.Unix(), 10)})
		if err != nil {
			return err
		}
		if len(got.Data.Result) != 1 || got.Data.Result[0].Value[1] != "2" {
			return fmt.Errorf("scraped: %+v", got.Data.Result)
		}
		return nil
	})
	return at
}
