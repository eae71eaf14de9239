package buckets

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/s3"
)

// Whose program it is.
const (
	ours   = "ours"
	thanos = "thanos"
)

// bucket is a bucket of which the test sees the files.
type bucket struct {
	config string // Thanos' YAML.
	dir    string
}

// filesystemBucket returns a bucket in a directory.
func filesystemBucket(t testing.TB) bucket {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bucket")
	testutil.Ok(t, os.Mkdir(dir, 0o750))
	return directory(dir)
}

func directory(dir string) bucket {
	return bucket{fmt.Sprintf("{type: FILESYSTEM, config: {directory: %q}}", dir), dir}
}

// s3Bucket returns a part of an S3 bucket.
func s3Bucket(srv *s3.Server, prefix string) bucket {
	return bucket{srv.Config(prefix), filepath.Join(srv.Dir, prefix)}
}

func (b bucket) flag() string { return "--objstore.config=" + b.config }

// blocks returns how many blocks the bucket has.
func (b bucket) blocks(t testing.TB) int {
	t.Helper()
	metas, err := filepath.Glob(filepath.Join(b.dir, "*", "meta.json"))
	testutil.Ok(t, err)
	return len(metas)
}

// await waits until the bucket has so many blocks.
func (b bucket) await(t testing.TB, from *server, blocks int) {
	t.Helper()
	proc.Await(t, "blocks", from.Process, proc.Patience, func(context.Context) error {
		if n := b.blocks(t); n != blocks {
			return fmt.Errorf("the bucket has %d blocks, not %d", n, blocks)
		}
		return nil
	})
}

// server is a running component and its addresses.
type server struct {
	*proc.Process
	grpc, http string
}

// component starts a component, ours or Thanos', whose flags are the same.
func component(t testing.TB, kind, thanosName, ourName string, args ...string) *server {
	t.Helper()
	s := &server{grpc: proc.FreeAddr(t), http: proc.FreeAddr(t)}
	path := proc.Binary(t, "thanos")
	if kind == thanos {
		args = append([]string{thanosName}, args...)
	} else {
		path = examples.Binary(t, ourName)
	}
	s.Process = proc.Start(t, thanosName+"-"+kind, path, append(args, "--grpc-address="+s.grpc, "--http-address="+s.http)...)
	proc.AwaitHTTP(t, s.Process, "http://"+s.http+"/-/ready")
	proc.AwaitTCP(t, s.Process, s.grpc)
	return s
}

// sidecar starts a sidecar that uploads the blocks of a copy of the data of a
// Prometheus.
func sidecar(t testing.TB, kind string, p *prometheus, b bucket) *server {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	testutil.Ok(t, os.CopyFS(dir, os.DirFS(p.blocks)))
	testutil.Ok(t, os.Mkdir(filepath.Join(dir, "wal"), 0o750)) // By which a data directory is told.
	return component(t, kind, "sidecar", "sidecar", "--prometheus.url="+p.url, "--tsdb.path="+dir, b.flag())
}

// gateway starts a store gateway.
func gateway(t testing.TB, kind string, b bucket, args ...string) *server {
	t.Helper()
	return component(t, kind, "store", "storegateway", append(args, b.flag(), "--data-dir="+t.TempDir())...)
}

// querier starts a querier over endpoints and waits until it knows all of them.
func querier(t testing.TB, kind string, endpoints ...*server) *server {
	t.Helper()
	args := []string{"--query.replica-label=replica", "--deduplication.func=penalty"} // ours merges otherwise unless told so
	for _, e := range endpoints {
		args = append(args, "--endpoint="+e.grpc)
	}
	q := component(t, kind, "query", "querier", args...)
	proc.Await(t, "endpoints", q.Process, proc.Patience, func(ctx context.Context) error {
		body, err := proc.Get(ctx, "http://"+q.http+"/api/v1/stores")
		if err != nil {
			return err
		}
		var stores struct {
			Data map[string][]struct {
				LastError any               `json:"lastError"`
				LabelSets []json.RawMessage `json:"labelSets"`
			} `json:"data"`
		}
		if err := json.Unmarshal(body, &stores); err != nil {
			return err
		}
		known := 0
		for _, kind := range stores.Data {
			for _, e := range kind {
				if e.LastError == nil && len(e.LabelSets) > 0 {
					known++
				}
			}
		}
		if known < len(endpoints) {
			return fmt.Errorf("%d of %d endpoints are known: %s", known, len(endpoints), body)
		}
		return nil
	})
	return q
}

// prometheus is a running Prometheus over blocks; it scrapes nothing.
type prometheus struct {
	*proc.Process
	url    string
	blocks string // A directory with the blocks alone.
}

// startPrometheus runs Prometheus over a copy of the blocks in a directory.
func startPrometheus(t testing.TB, blocks string) *prometheus {
	t.Helper()
	addr, dir := proc.FreeAddr(t), t.TempDir()
	data, config := filepath.Join(dir, "data"), filepath.Join(dir, "prometheus.yml")
	testutil.Ok(t, os.CopyFS(data, os.DirFS(blocks)))
	testutil.Ok(t, os.WriteFile(config, []byte("global: {external_labels: {cluster: c1, replica: a}}\n"), 0o600))
	p := &prometheus{url: "http://" + addr, blocks: blocks}
	p.Process = proc.Start(t, "prometheus", proc.Binary(t, "prometheus"),
		"--config.file="+config, "--storage.tsdb.path="+data, "--web.listen-address="+addr,
		"--storage.tsdb.retention.time=100y", "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
	proc.AwaitHTTP(t, p.Process, p.url+"/-/ready")
	return p
}
