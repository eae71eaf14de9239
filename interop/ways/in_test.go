package ways

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/promqlstore"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// compare compares a Store with what it should hold, in several ways.
func compare(t *testing.T, f *fixture, got store.Store, without ...string) {
	t.Helper()
	for name, req := range map[string]store.SeriesRequest{
		"all":       {MinTime: f.mint, MaxTime: f.maxt},
		"wider":     {MinTime: f.mint - 7_200_000, MaxTime: f.maxt + 7_200_000},
		"inclusive": {MinTime: f.mint + 100*scrape, MaxTime: f.mint + 131*scrape},
		"instant":   {MinTime: f.mint + 100*scrape, MaxTime: f.mint + 100*scrape},
		"between":   {MinTime: f.mint + 100*scrape + 1, MaxTime: f.mint + 101*scrape - 1},
		"labels":    {MinTime: f.mint, MaxTime: f.maxt, SkipChunks: true},
		"matchers": {MinTime: f.mint, MaxTime: f.maxt, Matchers: []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchRegexp, "instance", "i0[1-3]|"), labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "temperature"),
		}},
		"quoted": {MinTime: f.mint, MaxTime: f.maxt, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "path", `a "quoted" \ path`)}},
		"limit":  {MinTime: f.mint, MaxTime: f.maxt, Limit: 5},
	} {
		same(t, name, dump(t, f.mem, req), dump(t, got, req, without...))
	}
	for _, label := range []string{"instance", "room", "none"} {
		req := &store.LabelValuesRequest{Label: label, MinTime: f.mint, MaxTime: f.maxt}
		want, err := store.LabelValues(t.Context(), f.mem, req)
		ok(t, err)
		values, err := store.LabelValues(t.Context(), got, req)
		ok(t, err)
		same(t, label, lines(want), lines(values))
	}
}

func lines(s []string) (out string) {
	for _, x := range s {
		out += x + "\n"
	}
	return out
}

// TestRemoteReadURL reads from Prometheus by its remote read alone.
func TestRemoteReadURL(t *testing.T) {
	for _, version := range versions {
		f := newFixture(t, version == currentPrometheus)
		base := startPrometheus(t, version, f.dir, "")
		for name, opts := range map[string]promstore.RemoteReadOptions{
			"streamed": {ExternalLabels: labels.FromStrings("prometheus", "test")},
			"sampled":  {ExternalLabels: labels.FromStrings("prometheus", "test"), SamplesOnly: true},
			"unsorted": {Unsorted: true}, // whose labels Prometheus adds
		} {
			t.Run(version+"/"+name, func(t *testing.T) {
				s, err := promstore.NewRemoteRead(base+"/api/v1/read", &opts)
				ok(t, err)
				defer s.Close()
				compare(t, f, s, "prometheus")
			})
		}
	}
}

// TestPromQLURL reads from Prometheus by PromQL: from one whose ranges include
// their beginning, and one whose do not.
func TestPromQLURL(t *testing.T) {
	for _, version := range versions {
		f := newFixture(t, false)
		base := startPrometheus(t, version, f.dir, "")
		for _, window := range []time.Duration{7 * time.Minute, 25 * scrape * time.Millisecond, 24 * time.Hour} {
			t.Run(version+"/"+window.String(), func(t *testing.T) {
				s, err := promqlstore.New(base, &promqlstore.Options{Window: window})
				ok(t, err)
				defer s.Close()
				compare(t, f, s)
			})
		}
	}
}

// TestThanosURL reads from a querier of Thanos over two replicas, which it would
// deduplicate.
func TestThanosURL(t *testing.T) {
	f := newFixture(t, false)
	both := memstore.New(nil)
	var members []string
	for _, replica := range []string{"a", "b"} {
		s := store.Wrap(f.mem, store.WithExternalLabels(labels.FromStrings("replica", replica)))
		for series, err := range store.All(t.Context(), s, &store.SeriesRequest{MinTime: f.mint, MaxTime: f.maxt}, nil) {
			ok(t, err)
			ok(t, both.AddSeries(series))
		}
		members = append(members, "--endpoint="+serveGRPC(t, s))
	}
	addr := proc.FreeAddr(t)
	start(t, "http://"+addr+"/-/ready", proc.Binary(t, "thanos"), append([]string{"query", "--http-address=" + addr, "--grpc-address=" + proc.FreeAddr(t),
		"--query.replica-label=replica", "--query.auto-downsampling"}, members...)...)
	await(t, nil, func(ctx context.Context) error {
		b, err := fetch(ctx, "http://"+addr+"/api/v1/stores", nil)
		if err == nil && strings.Count(string(b), `"replica":`) < 2 {
			err = fmt.Errorf("stores: %s", b)
		}
		return err
	})
	s, err := promqlstore.New("http://"+addr, &promqlstore.Options{Dialect: promqlstore.Thanos, Window: 30 * time.Minute})
	ok(t, err)
	defer s.Close()
	compare(t, &fixture{mint: f.mint, maxt: f.maxt, mem: both}, s)

	dedup, err := promqlstore.New("http://"+addr, &promqlstore.Options{Dialect: promqlstore.Thanos, Params: url.Values{"dedup": {"true"}}})
	ok(t, err)
	defer dedup.Close()
	req := store.SeriesRequest{MinTime: f.mint, MaxTime: f.maxt}
	same(t, "deduplicated", dump(t, f.mem, req), dump(t, dedup, req))
}

// serveGRPC serves a Store to Thanos until the test ends.
func serveGRPC(t testing.TB, s store.Store) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	srv := grpc.NewServer(grpcstore.GRPCServerOptions(nil)...)
	ok(t, grpcstore.Register(srv, s, nil))
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		srv.Stop()
		wg.Wait()
	})
	return l.Addr().String()
}
