package kubernetes_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	corev1 "k8s.io/api/core/v1"
)

// process is a program that runs.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	log []byte
}

// Write implements io.Writer for what the program says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, b...)
	return len(b), nil
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.log)
}

// start runs a program until the test ends.
func start(t testing.TB, env []string, file string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(file, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = p, p, append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	testutil.Ok(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // What it says is what counts.
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // It may be gone.
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	})
	return p
}

// await polls until cond holds. It is an error, with what the program says, if that
// ends first.
func (p *process) await(what string, cond func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(3 * time.Minute); !cond(); {
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("await %s: program ended:\n%s", what, p.said())
		case <-end:
			return fmt.Errorf("await %s: it takes too long:\n%s", what, p.said())
		}
	}
	return nil
}

// find waits for a line and returns what its first group is.
func (p *process) find(line *regexp.Regexp) (found string, err error) {
	err = p.await(line.String(), func() bool {
		m := line.FindStringSubmatch(p.said())
		if m != nil {
			found = m[1]
		}
		return m != nil
	})
	return found, err
}

// get returns the answer of a page, whatever its status.
func get(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), errors.Join(err, resp.Body.Close())
}

// binary returns the path of a real program that .ci/run builds.
func binary(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("THANOSKIT_INTEROP_BIN")
	if dir == "" {
		hash := sha256.New()
		for _, file := range []string{"../go.sum", "../s3gateway/go.sum"} {
			sum, err := os.ReadFile(file)
			testutil.Ok(t, err)
			hash.Write(sum)
		}
		cache, err := os.UserCacheDir()
		testutil.Ok(t, err)
		dir = filepath.Join(cache, "thanoskit-interop", hex.EncodeToString(hash.Sum(nil)))
	}
	file := filepath.Join(dir, name)
	_, err := os.Stat(file)
	testutil.Ok(t, err, ".ci/run builds it, or set THANOSKIT_INTEROP_BIN")
	return file
}

// emptyBucket is an S3 server whose one bucket has nothing in it.
func emptyBucket(t testing.TB) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !r.URL.Query().Has("list-type") {
			http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult><Name>thanos-eu</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>`)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// pod is one pod of a workload that is being run.
type pod struct {
	t       testing.TB
	name    string
	volumes map[string]string // directories, by name
	running map[string]*process
	http    map[string]string // addresses of containers, by container
	grpc    map[string]string
}

// endpointInExample is what objstore.example.yaml has, which is nobody's.
const endpointInExample = "endpoint: s3.example:443"

// runPod runs the containers of the first pod of a workload: with the arguments,
// environment and files that they have there, on ports of the loopback, with a
// bucket that is there; and asks what kubelet asks of them. An error is what keeps one
// of them from being ready.
func runPod(t testing.TB, c *cluster, w workload, bucket string) (*pod, error) {
	t.Helper()
	p := &pod{t, w.name + "-0", map[string]string{}, map[string]*process{}, map[string]string{}, map[string]string{}}
	files, err := c.files(w)
	testutil.Ok(t, err)
	for _, v := range w.claims {
		p.volumes[v.Name] = t.TempDir()
	}
	for name := range files {
		p.volumes[name] = t.TempDir()
	}
	for i := range w.pod.Spec.Containers {
		container := &w.pod.Spec.Containers[i]
		for _, m := range container.VolumeMounts {
			for name, content := range files[m.Name] {
				text := strings.ReplaceAll(p.here(container, string(content)), endpointInExample, "endpoint: "+bucket+"\n  insecure: true")
				testutil.Ok(t, os.WriteFile(filepath.Join(p.volumes[m.Name], name), []byte(text), 0o600))
			}
		}
		if err := p.start(container); err != nil {
			return nil, err
		}
		if err := p.probe(container); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// here replaces, in a text, the paths in a container by those on this machine.
func (p *pod) here(c *corev1.Container, text string) string {
	mounts := slices.SortedFunc(slices.Values(c.VolumeMounts), func(a, b corev1.VolumeMount) int { return len(b.MountPath) - len(a.MountPath) })
	for _, m := range mounts {
		at := regexp.MustCompile(`(^|[=\s"'])` + regexp.QuoteMeta(m.MountPath) + `($|[/\s"'])`)
		text = at.ReplaceAllString(text, "${1}"+p.volumes[m.Name]+"${2}")
	}
	return text
}

var (
	prometheusListens = regexp.MustCompile(`msg="Listening on".* address=(\S+)`)
	ourHTTP           = regexp.MustCompile(`msg=ready .*\bhttp=(\S+)`)
	ourGRPC           = regexp.MustCompile(`msg=ready .*\bgrpc=(\S+)`)
)

// start runs a container, and waits until it says where it listens, which ours do
// once they are ready.
func (p *pod) start(c *corev1.Container) (err error) {
	p.t.Helper()
	var args []string
	for _, arg := range c.Args {
		arg = p.here(c, arg)
		if arg == "--prometheus.url=http://localhost:9090" {
			arg = "--prometheus.url=http://" + p.http["prometheus"]
		}
		args = append(args, arg)
	}
	var env []string
	for _, e := range c.Env {
		if e.ValueFrom != nil {
			testutil.Equals(p.t, "metadata.name", e.ValueFrom.FieldRef.FieldPath)
			e.Value = p.name
		}
		env = append(env, e.Name+"="+e.Value)
	}
	if c.Image == prometheusImage {
		p.running[c.Name] = start(p.t, env, binary(p.t, "prometheus"), append(args, "--web.listen-address=127.0.0.1:0")...)
		p.http[c.Name], err = p.running[c.Name].find(prometheusListens)
		return err
	}
	args = append(args, "--http-address=127.0.0.1:0")
	if path.Base(c.Command[0]) != "compactor" {
		args = append(args, "--grpc-address=127.0.0.1:0")
	}
	p.running[c.Name] = start(p.t, env, filepath.Join(programs(p.t), path.Base(c.Command[0])), args...)
	if p.http[c.Name], err = p.running[c.Name].find(ourHTTP); err != nil {
		return err
	}
	if m := ourGRPC.FindStringSubmatch(p.running[c.Name].said()); m != nil {
		p.grpc[c.Name] = m[1]
	}
	return nil
}

// probe asks what kubelet asks of a container, until all is well.
func (p *pod) probe(c *corev1.Container) error {
	for name, probe := range probes(c) {
		if probe == nil {
			continue
		}
		status, body := 0, ""
		err := p.running[c.Name].await(name+" probe of "+c.Name, func() bool {
			var err error
			status, body, err = get(p.t.Context(), "http://"+p.http[c.Name]+probe.HTTPGet.Path)
			return err == nil && status != http.StatusServiceUnavailable
		})
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("%s probe of %s: status %d: %s", name, c.Name, status, body)
		}
	}
	return nil
}

// TestRun runs each pod as kubelet would.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, name := range directories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := build(filepath.Join(prepared(t), name))
			testutil.Ok(t, err)
			bucket := emptyBucket(t)
			for _, w := range c.workloads {
				p, err := runPod(t, c, w, bucket)
				testutil.Ok(t, err)
				for i := range w.pod.Spec.Containers {
					checkListens(t, p, &w.pod.Spec.Containers[i])
				}
				switch {
				case w.name == "prometheus":
					_, config, err := get(t.Context(), "http://"+p.http["prometheus"]+"/api/v1/status/config")
					testutil.Ok(t, err)
					testutil.Assert(t, strings.Contains(config, "replica: prometheus-0"), config)
				case name == "observee" && w.name == "querier":
					doctor(t, p.grpc["querier"], false, "")
				case name == "observee-passthrough" && w.name == "querier":
					doctor(t, p.grpc["querier"], true, "")
					doctor(t, p.grpc["querier"], false, "client certificate")
				}
			}
		})
	}
}

// TestRunBroken: what no schema knows, and a program does.
func TestRunBroken(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, dir, workload string
		patch               patch
		want                string
	}{
		{"flag", "observee", "querier", patch{"observee/querier.yaml", "--query.replica-label=", "--query.replica-labels="}, "flag provided but not defined"},
		{"value of a flag", "observee", "compactor", patch{"observee/compactor.yaml", "--retention.resolution-raw=30d", "--retention.resolution-raw=30 days"}, "not a duration"},
		{"key that is a certificate", "observee", "querier", patch{"observee/querier.yaml", "tls-key=/etc/tls/tls.key", "tls-key=/etc/tls/tls.crt"}, "no private key"},
		{"path of a probe", "observee", "compactor", patch{"observee/compactor.yaml", "path: /-/ready", "path: /ready"}, "status 404"},
		{"configuration of Prometheus", "observee", "prometheus", patch{"observee/prometheus.yml", "scrape_interval", "scrape_intervals"}, "field scrape_intervals not found"},
		{"flags of Prometheus", "observee", "prometheus", patch{"observee/prometheus.yaml", "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.min-block-duration=2 h"}, "2 h"},
		{"endpoints", "observer", "querier", patch{"observer/endpoints.yaml", "client_config: &boundary", "client: &boundary"}, "field client not found"},
		{"serves nothing", "observer", "querier", patch{"observer/endpoints.yaml", "serves: {cluster: us}\n    client_config", "serves:\n    client_config"}, "endpoint thanos.us.example:443: serves: there are no labels"},
		{"bucket", "observee", "compactor", patch{"observee/secrets/objstore.yaml", "access_key", "acces_key"}, "field acces_key not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := build(filepath.Join(patched(t, tc.patch), tc.dir))
			testutil.Ok(t, err)
			i := slices.IndexFunc(c.workloads, func(w workload) bool { return w.name == tc.workload })
			testutil.Assert(t, i >= 0)
			_, err = runPod(t, c, c.workloads[i], emptyBucket(t))
			testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.want), "error: %v", err)
		})
	}
}

// checkListens compares the ports of a container with those that its program
// listens on unless it is told otherwise.
func checkListens(t *testing.T, p *pod, c *corev1.Container) {
	t.Helper()
	defaults := map[string]int32{"web": 9090, "http": 10902, "grpc": 10901}
	for _, port := range c.Ports {
		testutil.Equals(t, defaults[port.Name], port.ContainerPort, "port %s of %s", port.Name, c.Name)
	}
	if c.Image == prometheusImage {
		return
	}
	out, err := exec.Command(p.running[c.Name].cmd.Path, "-help").CombinedOutput()
	testutil.Ok(t, err)
	for _, port := range c.Ports {
		testutil.Assert(t, strings.Contains(string(out), fmt.Sprintf(`(default "0.0.0.0:%d")`, port.ContainerPort)), "%s does not listen on %d", c.Name, port.ContainerPort)
	}
}

// doctor asks tlsdoctor whether the observer gets through to a querier, with the
// certificate that the manifests give it or without one.
func doctor(t *testing.T, addr string, certificate bool, want string) {
	t.Helper()
	dir := filepath.Join(prepared(t), "observer/secrets/client")
	args := []string{"--grpc-client-tls-secure", "--grpc-client-tls-ca=" + dir + "/ca.crt", "--grpc-client-server-name=thanos.eu.example"}
	if certificate {
		args = append(args, "--grpc-client-tls-cert="+dir+"/tls.crt", "--grpc-client-tls-key="+dir+"/tls.key")
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(programs(t), "tlsdoctor"), append(args, addr)...).CombinedOutput()
	testutil.Equals(t, want == "", err == nil, string(out))
	testutil.Assert(t, strings.Contains(string(out), want), string(out))
}
