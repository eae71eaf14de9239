package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/promstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// A Prometheus behind TLS and a password is reached as the flags say.
func TestPrometheusBehindTLSAndPassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	caFile, certFile, keyFile, config := path("ca.crt"), path("tls.crt"), path("tls.key"), path("client.yml")
	ca, err := tlsutil.NewCA("ca", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(caFile))
	pair, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	testutil.Ok(t, err)
	testutil.Ok(t, pair.WriteFiles(certFile, keyFile))
	srv, err := tlsutil.NewServer(certFile, keyFile, nil)
	testutil.Ok(t, err)
	prometheus := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		name, password, _ := r.BasicAuth()
		switch {
		case name != "thanos" || password != "pw":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/status/config":
			_, _ = io.WriteString(w, `{"status":"success","data":{"yaml":"global: {external_labels: {cluster: eu}}"}}`)
		case r.URL.Path == "/metrics":
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = io.WriteString(w, "prometheus_tsdb_lowest_timestamp_seconds 1\n")
		case r.URL.Path == "/api/v1/status/buildinfo":
			_, _ = io.WriteString(w, `{"status":"success","data":{"version":"3.9.1"}}`)
		}
	}))
	prometheus.TLS = srv.Config("h2", "http/1.1")
	prometheus.StartTLS()
	defer prometheus.Close()

	for text, good := range map[string]bool{
		"basic_auth: {username: thanos, password: pw}\ntls_config: {ca_file: %s}": true,
		"basic_auth: {username: thanos, password: no}\ntls_config: {ca_file: %s}": false,
		"basic_auth: {username: thanos, password: pw} # %s":                       false,
	} {
		testutil.Ok(t, os.WriteFile(config, []byte(fmt.Sprintf(text, caFile)), 0o600))
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		content := program.NewContent(flags, "prometheus.http-client", "")
		testutil.Ok(t, flags.Parse([]string{"--prometheus.http-client-file=" + config}))
		client, closeIdle, err := clientOf(content, prometheus.URL, slog.New(slog.DiscardHandler))
		testutil.Ok(t, err)
		s, err := promstore.New(prometheus.URL, &promstore.Options{Client: client})
		testutil.Ok(t, err)
		err = s.Sync(t.Context())
		testutil.Equals(t, good, err == nil, "%s: %v", text, err)
		if good {
			testutil.Equals(t, `{cluster="eu"}`, s.ExternalLabels().String())
		}
		testutil.Ok(t, s.Close())
		closeIdle()
	}

	flags := flag.NewFlagSet("", flag.ContinueOnError)
	content := program.NewContent(flags, "prometheus.http-client", "")
	client, _, err := clientOf(content, prometheus.URL, nil)
	testutil.Assert(t, client == nil && err == nil)
	testutil.Ok(t, flags.Parse([]string{"--prometheus.http-client=nonsense: 1"}))
	_, _, err = clientOf(content, prometheus.URL, nil)
	testutil.NotOk(t, err)
}
