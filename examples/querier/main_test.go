package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sourceOf makes a source of endpoints of flags.
func sourceOf(t *testing.T, args ...string) (*discovery.Source, error) {
	t.Helper()
	p := program.New("query")
	p.Flags.SetOutput(t.Output())
	f := newEndpointFlags(p)
	if err := p.Flags.Parse(args); err != nil {
		return nil, err
	}
	return f.source(p)
}

func TestEndpointFlags(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		testutil.Ok(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	config := write("endpoints.yaml", "endpoints: [{address: 'cfg:1', strict: true}]")
	s, err := sourceOf(t, "--endpoint=a:1,b:1", "--endpoint", "c:1", "--endpoint-strict=s:1", "--endpoint-group=g:1", "--endpoint-group-strict=h:1",
		"--endpoint.sd-config-file="+config, "--store.sd-files="+write("sd.json", `[{"targets": ["sd:1"]}]`))
	testutil.Ok(t, err)
	testutil.Ok(t, s.Refresh(t.Context()))
	var got []string
	for _, m := range s.Members() {
		line := m.Name + " " + m.Group
		if m.Strict {
			line += " strict"
		}
		got = append(got, line)
	}
	testutil.Equals(t, []string{"a:1 ", "b:1 ", "c:1 ", "g:1@g:1 g:1", "s:1  strict", "h:1@h:1 h:1 strict", "cfg:1  strict", "sd:1 "}, got)
	testutil.Ok(t, s.Close())

	s, err = sourceOf(t, "--endpoint.sd-config=endpoints: [{address: 'cfg:1'}]")
	testutil.Ok(t, err)
	testutil.Ok(t, s.Refresh(t.Context()))
	testutil.Equals(t, 1, len(s.Members()))
	testutil.Ok(t, s.Close())

	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"both":        {[]string{"--endpoint.sd-config={}", "--endpoint.sd-config-file=" + config}, "--endpoint.sd-config and --endpoint.sd-config-file exclude each other"},
		"absent":      {[]string{"--endpoint.sd-config-file=/absent"}, "--endpoint.sd-config-file: open /absent: no such file"},
		"bad file":    {[]string{"--endpoint.sd-config-file=" + write("bad.yaml", "endpoint: []")}, "--endpoint.sd-config-file=" + filepath.Join(dir, "bad.yaml") + ": parse endpoint configuration: yaml: unmarshal errors:\n  line 1: field endpoint not found"},
		"bad text":    {[]string{"--endpoint.sd-config=endpoint: []"}, "--endpoint.sd-config: parse endpoint configuration: yaml: unmarshal errors:\n  line 1: field endpoint not found"},
		"bad address": {[]string{"--endpoint=a"}, `address "a" is not host:port`},
		"bad pattern": {[]string{"--store.sd-files=a.txt"}, `"a.txt" does not end in .json, .yml or .yaml`},
		"no CA":       {[]string{"--endpoint=a:1", "--grpc-client-tls-secure", "--grpc-client-tls-ca=/absent.crt"}, "make TLS client: load /absent.crt: no such file or directory"},
		"serves":      {[]string{"--endpoint.sd-config=endpoints: [{address: 'a:1', serves: }]"}, "endpoint a:1: serves: there are no labels"},
		"TLS":         {[]string{"--grpc-client-tls-ca=x"}, "--grpc-client-tls-ca needs --grpc-client-tls-secure"},
	} {
		_, err := sourceOf(t, tc.args...)
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.want), "%s: %v", name, err)
	}
}

// TestFind: whoever asks nobody is told.
func TestFind(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	const nobody = `msg="there is no endpoint to ask, so answers are empty until one is found"`
	for _, tc := range []struct {
		name string
		ctx  context.Context
		args []string
		want string
	}{
		{"one", t.Context(), []string{"--endpoint=a:1"}, ""},
		{"none", t.Context(), nil, nobody},
		{"no file", t.Context(), []string{"--store.sd-files=" + filepath.Join(t.TempDir(), "*.yml")}, nobody},
		{"program ends", ended, nil, ""},
	} {
		s, err := sourceOf(t, tc.args...)
		testutil.Ok(t, err)
		var log strings.Builder
		find(tc.ctx, s, slog.New(slog.NewTextHandler(&log, nil)))
		testutil.Assert(t, strings.Contains(log.String(), tc.want) && (tc.want != "" || log.Len() == 0), "%s: %s", tc.name, &log)
		testutil.Ok(t, s.Close())
	}
}

// TestReady: not before endpoints were found, and then even if none answers.
func TestReady(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	defer l.Close()
	// Nobody can listen on this connection's own address while it lasts.
	conn, err := net.Dial("tcp", l.Addr().String())
	testutil.Ok(t, err)
	defer conn.Close()
	s, err := sourceOf(t, "--endpoint="+conn.LocalAddr().String())
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, s.Close()) }()
	all, err := fanout.New(s, nil)
	testutil.Ok(t, err)
	found := make(chan struct{})
	ready := described(found, all)
	testutil.NotOk(t, ready(t.Context()))
	testutil.Ok(t, s.Refresh(t.Context()))
	close(found)
	testutil.Ok(t, ready(t.Context()))
	for _, h := range all.Health() {
		testutil.Assert(t, !h.Checked.IsZero() && h.Err != nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	testutil.Assert(t, errors.Is(ready(ctx), context.Canceled))
}

func TestParseLabels(t *testing.T) {
	got, err := parseLabels([]string{`a="x,y"`, `b=""`})
	testutil.Ok(t, err)
	testutil.Equals(t, labels.FromStrings("a", "x,y"), got)
	for _, bad := range []string{"a", "a=x", `a="x`} {
		_, err := parseLabels([]string{bad})
		testutil.NotOk(t, err)
	}
}
