package guide_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/examples/guide"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
	"github.com/thanoskit/thanoskit/store/promstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// run runs functions of the guide until the test ends, without an error.
func run(t *testing.T, fs ...func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g, ctx := errgroup.WithContext(ctx)
	for _, f := range fs {
		g.Go(func() error { return f(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		testutil.Ok(t, g.Wait())
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	return l
}

// await polls until f returns nil.
func await(t *testing.T, f func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for err := f(); err != nil; err = f() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal(err)
		}
	}
}

// prometheus is a Prometheus that says who it is and no more.
func prometheus(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, data := range map[string]string{
		"/api/v1/status/config":    `{"yaml":"global:\n  external_labels:\n    cluster: eu\n    replica: a\n"}`,
		"/api/v1/status/buildinfo": `{"version":"3.9.1"}`,
		"/api/v1/status/flags":     `{"storage.tsdb.min-block-duration":"2h","storage.tsdb.max-block-duration":"2h"}`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"status":"success","data":%s}`, data)
		})
	}
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "prometheus_tsdb_lowest_timestamp_seconds 1")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// golden returns a bucket with the blocks of blocktest in it.
func golden(t *testing.T) objstore.Bucket {
	t.Helper()
	bkt := objstore.NewInMemBucket()
	_, err := blocktest.Golden(t.Context(), bkt, nil)
	testutil.Ok(t, err)
	return bkt
}

func TestSidecarAndUpload(t *testing.T) {
	t.Parallel()
	url, l, dir := prometheus(t), listen(t), t.TempDir()
	p, err := promstore.New(url, nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, p.Close()) })
	testutil.Ok(t, p.Sync(t.Context()))
	run(t,
		func(ctx context.Context) error { return guide.Sidecar(ctx, url, l) },
		func(ctx context.Context) error {
			return guide.Upload(ctx, p, dir, objstore.NewInMemBucket())
		})
	c, err := grpcstore.Dial(l.Addr().String(), nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	await(t, func() error {
		info, err := c.Describe(t.Context())
		if err == nil && (info.Component != "sidecar" || len(info.LabelSets) != 1 || info.LabelSets[0].Get("replica") != "a") {
			err = fmt.Errorf("described as %+v", info)
		}
		return err
	})
}

// TestGatewayAndQuerier: a Prometheus' HTTP API over a bucket.
func TestGatewayAndQuerier(t *testing.T) {
	t.Parallel()
	l, bkt, dir := listen(t), golden(t), t.TempDir()
	handler := make(chan http.Handler, 1)
	endpoints := discovery.Config{Endpoints: []discovery.Endpoint{{Address: l.Addr().String()}}}
	run(t,
		func(ctx context.Context) error { return guide.Gateway(ctx, bkt, dir, l) },
		func(ctx context.Context) error {
			return guide.Querier(ctx, endpoints, func(ctx context.Context, h http.Handler) error {
				handler <- h
				<-ctx.Done()
				return nil
			})
		})
	api := <-handler
	await(t, func() error {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/query?query=count(golden_gauge)&time=2023-11-25T05:00:00Z", nil))
		if !strings.Contains(w.Body.String(), `"result":[{`) {
			return errors.New(w.Body.String())
		}
		return nil
	})
}

// lines is text that is written in one goroutine and read in another.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var _ io.Writer = (*lines)(nil)

func TestCompact(t *testing.T) {
	t.Parallel()
	bkt, out, dir := golden(t), &lines{}, t.TempDir()
	run(t, func(ctx context.Context) error { return guide.Compact(ctx, bkt, dir, out) })
	await(t, func() error {
		if !strings.Contains(out.String(), "retention") {
			return fmt.Errorf("no retention in %q", out)
		}
		return nil
	})
}

// boundaryFiles are a CA and what it issued, for both sides.
func boundaryFiles(t *testing.T, client string) (server, observer guide.Files) {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	ca, err := tlsutil.NewCA("observer", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(path("ca.crt")))
	pair, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"thanos.eu.example"}})
	testutil.Ok(t, err)
	testutil.Ok(t, pair.WriteFiles(path("server.crt"), path("server.key")))
	pair, err = ca.IssueClient(tlsutil.Leaf{URIs: []string{client}})
	testutil.Ok(t, err)
	testutil.Ok(t, pair.WriteFiles(path("client.crt"), path("client.key")))
	return guide.Files{CA: path("ca.crt"), Cert: path("server.crt"), Key: path("server.key")},
		guide.Files{CA: path("ca.crt"), Cert: path("client.crt"), Key: path("client.key")}
}

// series is a Store with one series of each cluster.
func series(clusters ...string) store.Store {
	return store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		for _, c := range clusters {
			lset := labels.FromStrings("__name__", "up", "cluster", c)
			if !req.Matches(lset) {
				continue
			}
			if err := w.Send(&store.Series{Labels: lset}); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestBoundary(t *testing.T) {
	t.Parallel()
	const observer = "spiffe://observer.example/querier"
	for _, tc := range []struct {
		name     string
		client   string
		allowed  []string // clusters; as the guide has it if nil
		has      []string // clusters of the series that the observee sends, if it is let
		got      int
		warnings bool
	}{
		{"its own", observer, []string{"eu"}, []string{"eu"}, 1, false},
		{"another's, kept back by the observee", observer, []string{"eu"}, []string{"eu", "us"}, 1, false},
		{"not known", "spiffe://observer.example/other", nil, []string{"eu"}, 0, true},
		{"nothing for it", observer, []string{"us"}, []string{"eu"}, 0, false},
		{"as the guide has it", observer, nil, []string{"eu"}, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server, client := boundaryFiles(t, tc.client)
			l := listen(t)
			peers, err := guide.Peers()
			if tc.allowed != nil {
				peers, err = grpcstore.NewPeers(grpcstore.Peer{Name: tc.client, Labels: map[string][]string{"cluster": tc.allowed}})
			}
			testutil.Ok(t, err)
			run(t, func(ctx context.Context) error { return guide.Boundary(ctx, series(tc.has...), peers, server, l) })
			m, c, err := guide.Observee("eu", l.Addr().String(), "thanos.eu.example", client)
			testutil.Ok(t, err)
			t.Cleanup(func() { testutil.Ok(t, c.Close()) })
			all, err := fanout.New(fanout.Static(m), nil)
			testutil.Ok(t, err)
			q, err := query.New(all, nil)
			testutil.Ok(t, err)
			res, err := q.Instant(t.Context(), `count({__name__="up"})`, time.UnixMilli(0), nil)
			testutil.Ok(t, err)
			members := res.Outcome.Members()
			testutil.Equals(t, 1, len(members))
			testutil.Equals(t, tc.warnings, len(res.Warnings) > 0, "%v", res.Warnings)
			testutil.Equals(t, tc.got, int(members[0].Series), "%+v", members)
		})
	}
}
