package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// servingAll serves series of the clusters eu, us and ap to whoever asks, whatever
// they match on, until the test ends.
func servingAll(t testing.TB) (addr string) {
	t.Helper()
	all := memstore.New(nil)
	for _, c := range []string{"ap", "eu", "us"} {
		testutil.Ok(t, all.Append(labels.FromStrings(labels.MetricName, "up", "cluster", c), 1000, 1))
	}
	deaf := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		r := *req
		r.Matchers = nil
		return all.Series(ctx, &r, w)
	})
	srv, err := grpcstore.NewServer(deaf, &grpcstore.ServerOptions{GracePeriod: -1})
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		testutil.Ok(t, <-done)
	})
	return l.Addr().String()
}

// served is what a member serves, and how much of it was left out.
func served(t testing.TB, s store.Store) (got string, outside int) {
	t.Helper()
	var out store.Outcome
	for series, err := range store.All(t.Context(), s, &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}, &out) {
		testutil.Ok(t, err)
		got += series.Labels.Get("cluster") + " "
	}
	for _, w := range out.Warnings() {
		o, ok := errors.AsType[*store.OutsideError](w)
		testutil.Assert(t, ok, "%v", w)
		outside += o.Count
	}
	return strings.TrimSpace(got), outside
}

// An endpoint is held to what its configuration says that it serves, at any time.
func TestServes(t *testing.T) {
	t.Parallel()
	addr := servingAll(t)
	file := filepath.Join(t.TempDir(), "endpoints.yml")
	write := func(serves string) {
		testutil.Ok(t, os.WriteFile(file, []byte(fmt.Sprintf("endpoints: [{address: %q%s}]", addr, serves)), 0o600))
	}
	write("")
	s := newSource(t, &discovery.Options{ConfigFile: file})
	var before store.Store
	for _, tc := range []struct {
		serves, want string
		outside      int
	}{
		{"", "ap eu us", 0},
		{", serves: {cluster: eu}", "eu", 2},
		{", serves: {cluster: [eu, us]}", "eu us", 1},
		{", serves: {cluster: [eu, us], zone: a}", "", 3},
		{"", "ap eu us", 0},
	} {
		write(tc.serves)
		testutil.Ok(t, s.Refresh(t.Context()))
		members := s.Members()
		testutil.Equals(t, 1, len(members))
		testutil.Equals(t, addr, members[0].Name)
		testutil.Assert(t, members[0].Store != before, "the member is the one of before")
		got, outside := served(t, members[0].Store)
		testutil.Equals(t, tc.want, got, tc.serves)
		testutil.Equals(t, tc.outside, outside, tc.serves)
		testutil.Ok(t, s.Refresh(t.Context()))
		testutil.Assert(t, s.Members()[0].Store == members[0].Store, "the member has changed, and its configuration has not")
		before = members[0].Store
	}
}

// An address that is there twice is held to what either says.
func TestServesOfDuplicates(t *testing.T) {
	t.Parallel()
	addr := servingAll(t)
	eu, us := map[string]discovery.Values{"cluster": {"eu"}}, map[string]discovery.Values{"cluster": {"us"}}
	for want, endpoints := range map[string][]discovery.Endpoint{
		"eu": {{Address: addr}, {Address: addr, Serves: eu}, {Address: addr, Serves: us}},
		"us": {{Address: addr, Serves: us}, {Address: addr}, {Address: addr, Serves: eu}},
	} {
		s := newSource(t, &discovery.Options{Config: discovery.Config{Endpoints: endpoints}})
		testutil.Ok(t, s.Refresh(t.Context()))
		got, _ := served(t, s.Members()[0].Store)
		testutil.Equals(t, want, got)
	}
}

func TestServesErrors(t *testing.T) {
	t.Parallel()
	for serves, want := range map[string]string{
		"{}":                "endpoint a:1: serves: there are no labels",
		"":                  "endpoint a:1: serves: there are no labels",
		"~":                 "endpoint a:1: serves: there are no labels",
		"null":              "endpoint a:1: serves: there are no labels",
		"{cluster: }":       `endpoint a:1: serves: invalid request: label "cluster": there are no values`,
		"{cluster: [~]}":    `endpoint a:1: serves: invalid request: label "cluster": value is empty`,
		"{cluster: ''}":     `endpoint a:1: serves: invalid request: label "cluster": value is empty`,
		"{cluster: []}":     "there are no values",
		"{'': a}":           "name is empty",
		"{cluster: {a: b}}": "cannot unmarshal !!map into []string",
		"[cluster]":         "cannot unmarshal !!seq",
	} {
		_, err := discovery.ParseConfig([]byte("endpoints: [{address: 'a:1', serves: " + serves + "}]"))
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), want), "%s: %v", serves, err)
	}
}

// What says nothing by mistake is told from what is not there, in endpoints that
// share what they say, too.
func TestServesIsBare(t *testing.T) {
	t.Parallel()
	got, err := discovery.ParseConfig([]byte("endpoints:\n- &a {address: 'a:1', strict: true}\n- {<<: *a, address: 'b:1', serves: {cluster: eu}}"))
	testutil.Ok(t, err)
	testutil.Equals(t, []discovery.Endpoint{
		{Address: "a:1", Strict: true},
		{Address: "b:1", Strict: true, Serves: map[string]discovery.Values{"cluster": {"eu"}}},
	}, got.Endpoints)
	_, err = discovery.ParseConfig([]byte("endpoints:\n- address: a:1\n  serves:\n- address: b:1\n- &c {address: 'c:1', serves: }\n- {<<: *c, address: 'd:1'}\n- {<<: *c, address: 'e:1', serves: {cluster: eu}}\n"))
	testutil.NotOk(t, err)
	const want = "endpoint %s:1: serves: there are no labels"
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		testutil.Equals(t, name != "b" && name != "e", strings.Contains(err.Error(), fmt.Sprintf(want, name)), "%s: %v", name, err)
	}
}

// A peer that somebody else runs is held to its own cluster.
func ExampleEndpoint_serves() {
	config, err := discovery.ParseConfig([]byte(`
endpoints:
- address: eu.example:443
  client_config:
    tls_config: {ca_file: /etc/tls/ca.crt, cert_file: /etc/tls/tls.crt, key_file: /etc/tls/tls.key}
  serves: {cluster: [eu-1, eu-2]}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(config.Endpoints[0].Serves)
	// Output: map[cluster:[eu-1 eu-2]]
}
