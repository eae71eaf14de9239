package clusters

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// Clusters: the observer first, and those whom it observes.
var (
	names     = []string{"hub", "eu", "us"}
	observees = names[1:]
	replicas  = []string{"a", "b"}
)

// world is a topology that runs until the test ends.
type world struct {
	testing.TB
	dir      string
	pki      pki
	calendar calendar
	parts    []*part
	links    map[string]*link // of observees
	parcels  map[string]int   // how many blocks were laid before each sidecar to upload
	shipped  map[ulid.ULID]bool
	compacts map[string]kind // by whom the bucket of a cluster is compacted
	scraped  time.Time       // a time up to which all scrapes have been
	algo     string          // how queriers merge replicas
}

// start starts a topology of parts as a position has them, whose buckets are not
// compacted yet.
func start(t testing.TB, pos position, algorithm string) *world {
	t.Helper()
	for _, r := range roles { // Before anything runs that a build would slow down.
		command(t, r, ours, nil)
	}
	w := &world{
		TB: t, dir: t.TempDir(), calendar: newCalendar(time.Now()), algo: algorithm,
		links: map[string]*link{}, parcels: map[string]int{}, shipped: map[ulid.ULID]bool{}, compacts: map[string]kind{},
	}
	t.Cleanup(func() {
		w.showLogs() // before they say that they end
		stop(w.parts)
	})
	w.pki = newPKI(t, filepath.Join(w.dir, "pki"), observees...)
	w.startBuckets()
	for _, c := range names {
		w.startPrometheus(c)
	}
	w.awaitAll()
	for _, c := range names {
		for _, r := range replicas {
			p := w.part("prometheus-" + c + "-" + r)
			name := "sidecar-" + c + "-" + r
			s := w.server(sidecar, c, name, pos.kind(sidecar, name),
				"--prometheus.url=http://"+p.http, "--tsdb.path="+w.data(c, r), "--objstore.config-file="+w.bucketConfig(c))
			w.addParcel(s)
			w.add(s)
		}
		name := "gateway-" + c
		w.add(w.server(gateway, c, name, pos.kind(gateway, name), "--data-dir="+filepath.Join(w.dir, name),
			"--objstore.config-file="+w.bucketConfig(c), "--sync-block-duration=1s", "--ignore-deletion-marks-delay=0s"))
	}
	for _, c := range observees {
		w.startObservee(c, pos)
	}
	w.startTop(pos)
	w.awaitAll()
	w.awaitShipped()
	w.keepBuckets()
	return w
}

// awaitAll waits for all parts there are.
func (w *world) awaitAll() {
	w.Helper()
	for _, p := range w.parts {
		w.awaitReady(p)
	}
}

// data is the directory of a Prometheus.
func (w *world) data(cluster, replica string) string {
	return filepath.Join(w.dir, "prometheus-"+cluster+"-"+replica)
}

// phaseOf is when in each minute a replica scraped before it was started here.
func phaseOf(replica string) time.Duration {
	if replica == "b" {
		return 7 * time.Second
	}
	return 0
}

// startPrometheus starts the replicas of a cluster, which scrape themselves and each
// other, over some hours of back-filled blocks.
func (w *world) startPrometheus(cluster string) {
	w.Helper()
	addrs := []string{proc.FreeAddr(w), proc.FreeAddr(w)}
	for i, replica := range replicas {
		p := &part{name: "prometheus-" + cluster + "-" + replica, cluster: cluster, path: proc.Binary(w, "prometheus"), http: addrs[i]}
		dir := w.data(cluster, replica)
		testutil.Ok(w, os.Mkdir(dir, 0o700))
		for from := w.calendar.liveStart(); from.Before(w.calendar.liveEnd); from = from.Add(2 * hour) {
			writeBlock(w, dir, replica, from, from.Add(2*hour), phaseOf(replica), labels.EmptyLabels())
		}
		config := w.write(p.name+".yml", `
global: {scrape_interval: 1s, external_labels: {cluster: %s, replica: %s}}
scrape_configs:
- job_name: prometheus
  static_configs: [{targets: [%q, %q]}]
  metric_relabel_configs:
  - {source_labels: [__name__], regex: "prometheus_(tsdb_head_.*|http_requests_total|ready)", action: keep}
`, cluster, replica, addrs[0], addrs[1])
		p.args = []string{
			"--config.file=" + config, "--storage.tsdb.path=" + dir, "--web.listen-address=" + p.http,
			"--storage.tsdb.retention.time=30d", "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h",
		}
		w.add(p)
	}
}

// startObservee starts the querier of an observee, and its ingress: that of eu
// encrypts again, to a querier that demands certificates itself.
func (w *world) startObservee(cluster string, pos position) {
	w.Helper()
	name := "querier-" + cluster
	q := w.querier(querier, cluster, name, pos, []endpoint{
		{addr: w.part("sidecar-" + cluster + "-a").grpc}, {addr: w.part("sidecar-" + cluster + "-b").grpc},
	})
	pass := "grpc_pass grpc://" + q.grpc + ";"
	if cluster == "eu" {
		q.args = append(q.args, "--grpc-server-tls-cert="+w.pki.file(cluster+".crt"),
			"--grpc-server-tls-key="+w.pki.file(cluster+".key"), "--grpc-server-tls-client-ca="+w.pki.file("ca.crt"))
		pass = strings.NewReplacer("QUERIER", q.grpc, "PKI", w.pki.dir, "NAME", serverName(cluster)).Replace(`grpc_pass grpcs://QUERIER;
    grpc_ssl_certificate PKI/ingress.crt; grpc_ssl_certificate_key PKI/ingress.key; grpc_ssl_protocols TLSv1.3;
    grpc_ssl_trusted_certificate PKI/ca.crt; grpc_ssl_verify on; grpc_ssl_name NAME; grpc_ssl_server_name on;`)
	}
	w.add(q)
	in := w.ingress(cluster, pass)
	w.add(in)
	w.links[cluster] = newLink(w, in.grpc)
}

// startTop starts the observer's querier.
func (w *world) startTop(pos position) {
	w.Helper()
	var endpoints []endpoint
	for _, r := range replicas {
		endpoints = append(endpoints, endpoint{addr: w.part("sidecar-hub-" + r).grpc})
	}
	for _, c := range names {
		endpoints = append(endpoints, endpoint{addr: w.part("gateway-" + c).grpc})
	}
	for _, c := range observees {
		endpoints = append(endpoints, endpoint{addr: w.links[c].addr, observee: c})
	}
	w.add(w.querier(top, "hub", "top", pos, endpoints))
}

// endpoint is whom a querier asks: an observee with TLS, others without.
type endpoint struct{ addr, observee string }

// querier is one over endpoints, which it never forgets, since they are strict: who
// does not answer is missed.
func (w *world) querier(r role, cluster, name string, pos position, endpoints []endpoint) *part {
	w.Helper()
	var b strings.Builder
	b.WriteString("endpoints:\n")
	for _, e := range endpoints {
		fmt.Fprintf(&b, "- address: %s\n  strict: true\n", e.addr)
		if e.observee != "" {
			fmt.Fprintf(&b, "  client_config:\n    server_name: %s\n    tls_config: {enabled: true, ca_file: %q, cert_file: %q, key_file: %q}\n",
				serverName(e.observee), w.pki.file("ca.crt"), w.pki.file("observer.crt"), w.pki.file("observer.key"))
		}
	}
	q := w.server(r, cluster, name, pos.kind(r, name), "--endpoint.sd-config-file="+w.write(name+".yml", "%s", b.String()),
		"--query.replica-label=replica", "--deduplication.func="+w.algo, "--store.response-timeout="+responseTimeout.String(), "--query.timeout=30s")
	q.ready = func(ctx context.Context) error { return proc.Endpoints(ctx, q.http, len(endpoints)) }
	return q
}

// responseTimeout is how long queriers wait for an endpoint: for its next message,
// or in all.
const responseTimeout = 3 * time.Second

// ingress is nginx, which lets in who has a certificate of the observer's CA.
func (w *world) ingress(cluster, pass string) *part {
	w.Helper()
	p := &part{name: "nginx-" + cluster, cluster: cluster, path: nginx(w), grpc: proc.FreeAddr(w)}
	dir := filepath.Join(w.dir, p.name)
	testutil.Ok(w, os.Mkdir(dir, 0o700))
	config := w.write(p.name+".conf", `%s`, strings.NewReplacer("DIR", dir, "PKI", w.pki.dir, "LISTEN", p.grpc, "NAME", serverName(cluster), "CLUSTER", cluster, "PASS", pass).Replace(`
daemon off; master_process off; worker_processes 1; pid DIR/nginx.pid; error_log stderr info;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR; uwsgi_temp_path DIR; scgi_temp_path DIR;
  client_max_body_size 0; grpc_read_timeout 300s; grpc_send_timeout 300s;
  ssl_certificate PKI/CLUSTER.crt; ssl_certificate_key PKI/CLUSTER.key; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_client_certificate PKI/ca.crt; ssl_verify_client on;
  server { listen LISTEN ssl http2; server_name NAME; location / { PASS } }
}
`))
	p.args = []string{"-p", dir, "-e", "stderr", "-c", config}
	p.ready = func(ctx context.Context) error { return listens(ctx, p.grpc) }
	return p
}

// write writes a file of the topology and returns its path.
func (w *world) write(name, format string, args ...any) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	testutil.Ok(w, os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600))
	return path
}

// listens is nil if somebody takes connections at an address.
func listens(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	return errors.Join(err, closeConn(c))
}

func closeConn(c net.Conn) error {
	if c == nil {
		return nil
	}
	return c.Close()
}
