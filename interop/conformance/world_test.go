package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// world is a fixture in a Prometheus and in a bucket, and the components over
// them, each of which is started when it is first asked for and runs until the
// test ends.
type world struct {
	t       testing.TB
	fixture *storetest.Fixture
	running map[string]string // gRPC addresses
	url     string            // Prometheus'
}

func newWorld(t testing.TB, f *storetest.Fixture) *world {
	return &world{t: t, fixture: f, running: map[string]string{}}
}

// component returns the gRPC address of a component.
func (w *world) component(name string, start func(*world) string) string {
	if w.running[name] == "" {
		w.running[name] = start(w)
	}
	return w.running[name]
}

// start runs a component, ours or Thanos', whose flags are the same, and returns
// its gRPC address.
func (w *world) start(name, path string, args ...string) string {
	grpcAddr, httpAddr := proc.FreeAddr(w.t), proc.FreeAddr(w.t)
	p := proc.Start(w.t, name, path, append(args, "--grpc-address="+grpcAddr, "--http-address="+httpAddr)...)
	proc.AwaitHTTP(w.t, p, "http://"+httpAddr+"/-/ready")
	proc.AwaitTCP(w.t, p, grpcAddr)
	endpoints := 0
	for _, a := range args {
		if strings.HasPrefix(a, "--endpoint=") {
			endpoints++
		}
	}
	if endpoints > 0 {
		proc.Await(w.t, "endpoints of "+name, p, proc.Patience, func(ctx context.Context) error { return proc.Endpoints(ctx, httpAddr, endpoints) })
	}
	return grpcAddr
}

// prometheus returns the URL of a Prometheus that holds the fixture's raw data.
func (w *world) prometheus() string {
	if w.url != "" {
		return w.url
	}
	dir := w.t.TempDir()
	data, config, addr := filepath.Join(dir, "data"), filepath.Join(dir, "prometheus.yml"), proc.FreeAddr(w.t)
	writeFixture(w.t, data, w.fixture, "prometheus")
	text, err := json.Marshal(map[string]any{"global": map[string]any{"external_labels": w.fixture.ExternalLabels().Map()}})
	testutil.Ok(w.t, err)
	testutil.Ok(w.t, os.WriteFile(config, text, 0o600))
	p := proc.Start(w.t, "prometheus", proc.Binary(w.t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+data,
		"--storage.tsdb.retention.time=100y", "--web.listen-address="+addr)
	w.url = "http://" + addr
	proc.AwaitHTTP(w.t, p, w.url+"/-/ready")
	return w.url
}

// writeFixture writes a fixture as blocks: the usual one as a user does, and that
// of large series, which storecheck does not have, with the raw data only.
func writeFixture(t testing.TB, dir string, f *storetest.Fixture, reader string) {
	t.Helper()
	if !isLarge(f) {
		out, err := exec.Command(examples.Binary(t, "storecheck"), "-fixture="+dir, "-fixture-for="+reader).CombinedOutput()
		if err != nil {
			t.Fatalf("storecheck: %v\n%s", err, out)
		}
		return
	}
	testutil.Ok(t, os.MkdirAll(dir, 0o777))
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, (24 * time.Hour).Milliseconds())
	testutil.Ok(t, err)
	app := w.Appender(t.Context())
	testutil.Ok(t, f.Append(t.Context(), app))
	testutil.Ok(t, app.Commit())
	id, err := w.Flush(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, w.Close())

	path := filepath.Join(dir, id.String(), "meta.json")
	text, err := os.ReadFile(path)
	testutil.Ok(t, err)
	meta := map[string]any{}
	testutil.Ok(t, json.Unmarshal(text, &meta))
	meta["thanos"] = map[string]any{"version": 1, "labels": f.ExternalLabels().Map(), "downsample": map[string]any{"resolution": 0}, "source": "test"}
	text, err = json.Marshal(meta)
	testutil.Ok(t, err)
	testutil.Ok(t, os.WriteFile(path, text, 0o600))
}

// isLarge reports whether a fixture is that of large series.
func isLarge(f *storetest.Fixture) bool {
	return f.Series()[0].Labels.Get(labels.MetricName) == "storetest_large"
}

// The components, each over the fixture.

func (w *world) sidecar() string {
	return w.component("sidecar", func(w *world) string {
		return w.start("sidecar", proc.Binary(w.t, "thanos"), "sidecar", "--prometheus.url="+w.prometheus(), "--tsdb.path="+w.t.TempDir(),
			"--prometheus.get_config_timeout=1m") // else it is not ready for 30 s after one slow answer
	})
}

func (w *world) gateway() string {
	return w.component("store-gateway", func(w *world) string {
		dir := w.t.TempDir()
		bucket := filepath.Join(dir, "bucket")
		writeFixture(w.t, bucket, w.fixture, "gateway")
		config := filepath.Join(dir, "bucket.yml")
		testutil.Ok(w.t, os.WriteFile(config, fmt.Appendf(nil, "type: FILESYSTEM\nconfig: {directory: %q}\n", bucket), 0o600))
		return w.start("store-gateway", proc.Binary(w.t, "thanos"), "store", "--objstore.config-file="+config, "--data-dir="+filepath.Join(dir, "data"))
	})
}

func (w *world) querier() string {
	return w.component("querier", func(w *world) string {
		return w.start("querier", proc.Binary(w.t, "thanos"), "query", "--endpoint="+w.sidecar(), "--endpoint="+w.gateway())
	})
}

// receive starts a receiver that finds the fixture in the TSDB of a tenant. The
// label that tells tenants apart is one of the fixture's external labels.
func (w *world) receive() string {
	return w.component("receive", func(w *world) string {
		const tenantLabel = "zone"
		dir, tenant := w.t.TempDir(), w.fixture.ExternalLabels().Get(tenantLabel)
		writeFixture(w.t, filepath.Join(dir, tenant), w.fixture, "prometheus")
		args := []string{
			"receive", "--tsdb.path=" + dir, "--tsdb.retention=0d", "--remote-write.address=" + proc.FreeAddr(w.t), "--receive.capnproto-address=" + proc.FreeAddr(w.t),
			"--receive.tenant-label-name=" + tenantLabel, "--receive.default-tenant-id=" + tenant,
		}
		w.fixture.ExternalLabels().Range(func(l labels.Label) {
			if l.Name != tenantLabel {
				args = append(args, fmt.Sprintf("--label=%s=%q", l.Name, l.Value))
			}
		})
		return w.start("receive", proc.Binary(w.t, "thanos"), args...)
	})
}

func (w *world) ourSidecar() string {
	return w.component("thanoskit-sidecar", func(w *world) string {
		return w.start("thanoskit-sidecar", examples.Binary(w.t, "sidecar"), "--prometheus.url="+w.prometheus())
	})
}

func (w *world) ourQuerier() string {
	return w.component("thanoskit-querier", func(w *world) string {
		return w.start("thanoskit-querier", examples.Binary(w.t, "querier"), "--endpoint="+w.ourSidecar(), "--endpoint="+w.gateway())
	})
}

func (w *world) ourQuerierOverAll() string {
	return w.component("thanoskit-querier-over-all", func(w *world) string {
		return w.start("thanoskit-querier-over-all", examples.Binary(w.t, "querier"),
			"--endpoint="+w.ourSidecar(), "--endpoint="+w.gateway(), "--endpoint="+w.sidecar(), "--endpoint="+w.querier())
	})
}
