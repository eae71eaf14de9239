package shipper

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// history makes so many blocks of two hours, the newest a while ago, as promtool
// writes them. They are in a directory of their own, the oldest first.
func history(t testing.TB, blocks int) []string {
	t.Helper()
	end := time.Now().Truncate(2 * time.Hour).Add(-4 * time.Hour)
	var b strings.Builder
	b.WriteString("# TYPE requests counter\n")
	for series := range 20 {
		for i := range blocks * 120 {
			at := end.Add(time.Duration(i-blocks*120) * time.Minute)
			fmt.Fprintf(&b, "requests_total{series=\"s%d\"} %d %d\n", series, i*(series+1), at.Unix())
		}
	}
	b.WriteString("# EOF\n")
	in, dir := filepath.Join(t.TempDir(), "history.txt"), t.TempDir()
	if err := os.WriteFile(in, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), proc.Binary(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q", in, dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("create blocks: %v\n%s", err, out)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "01*"))
	if err != nil {
		t.Fatal(err)
	}
	minTime := func(path string) int64 {
		meta, err := block.ReadMeta(path)
		if err != nil {
			t.Fatal(err)
		}
		return meta.MinTime
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(minTime(a), minTime(b)) })
	if len(paths) != blocks {
		t.Fatalf("%d blocks instead of %d", len(paths), blocks)
	}
	return paths
}

// finish moves blocks into a data directory, as Prometheus finishes them.
func finish(t testing.TB, dir string, blocks []string) {
	t.Helper()
	for _, path := range blocks {
		if err := os.Rename(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
}

// prometheus is a running Prometheus.
type prometheus struct {
	*proc.Process
	url, dir, addr, config, version string
}

// Versions of Prometheus to run.
const (
	currentPrometheus = "prometheus"        // from this module's go.mod
	debianPrometheus  = "debian/prometheus" // 2.42
)

// noCompaction are the flags by which Prometheus leaves blocks alone.
var noCompaction = []string{"--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h"}

// startPrometheus runs a Prometheus with blocks.
func startPrometheus(t testing.TB, version string, blocks []string, args ...string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	p := &prometheus{addr: proc.FreeAddr(t), dir: filepath.Join(dir, "data"), config: filepath.Join(dir, "prometheus.yml"), version: version}
	p.url = "http://" + p.addr
	if err := os.WriteFile(p.config, []byte("global: {external_labels: {cluster: eu1, replica: a}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.dir, 0o750); err != nil {
		t.Fatal(err)
	}
	finish(t, p.dir, blocks)
	p.start(t, args...)
	return p
}

// start runs it, again after a Stop.
func (p *prometheus) start(t testing.TB, args ...string) {
	t.Helper()
	p.Process = proc.Start(t, "prometheus", proc.Binary(t, p.version), append([]string{
		"--config.file=" + p.config, "--storage.tsdb.path=" + p.dir, "--web.listen-address=" + p.addr, "--storage.tsdb.retention.time=90d",
	}, args...)...)
	proc.AwaitHTTP(t, p.Process, p.url+"/-/ready")
}

// sidecar is a running sidecar, ours or Thanos'.
type sidecar struct {
	*proc.Process
	http string
}

// startSidecar runs a sidecar of one kind, which uploads to a bucket. It may not
// be ready yet.
func startSidecar(t testing.TB, kind string, p *prometheus, b *bucket, more ...string) *sidecar {
	t.Helper()
	s := &sidecar{http: proc.FreeAddr(t)}
	args := append([]string{
		"--prometheus.url=" + p.url, "--tsdb.path=" + p.dir, "--objstore.config-file=" + b.config,
		"--grpc-address=" + proc.FreeAddr(t), "--http-address=" + s.http,
	}, more...)
	switch kind {
	case "thanos":
		s.Process = proc.Start(t, "sidecar-thanos", proc.Binary(t, "thanos"), append([]string{"sidecar"}, args...)...)
	default:
		s.Process = proc.Start(t, "sidecar-ours", examples.Binary(t, "sidecar"), args...)
	}
	return s
}

// awaitReady waits until it is ready.
func (s *sidecar) awaitReady(t testing.TB) {
	t.Helper()
	proc.AwaitHTTP(t, s.Process, "http://"+s.http+"/-/ready")
}
