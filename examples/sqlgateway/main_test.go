package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/tlsutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// run does what a command line says.
func run(ctx context.Context, args []string, out io.Writer, log *slog.Logger) error {
	c, err := parse(args, out)
	if err != nil {
		return err
	}
	return c.run(ctx, out, log)
}

// The demo data passes every check that does not need data of another kind.
func TestCheck(t *testing.T) {
	var out bytes.Buffer
	testutil.Ok(t, run(t.Context(), []string{"--check"}, &out, quiet()))
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		fine := strings.HasPrefix(line, "ok ") ||
			strings.HasPrefix(line, "skip aggregates") || strings.HasPrefix(line, "skip large-messages")
		testutil.Assert(t, fine, line)
	}
	testutil.Assert(t, strings.Contains(out.String(), "ok batches\n"), out.String())
}

// A table that is not what it should be fails the checks.
func TestCheckFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	testutil.Ok(t, withDatabase(file, execute(t, `CREATE TABLE samples (metric TEXT, room TEXT, sensor TEXT, time_ms INTEGER, value REAL);
		INSERT INTO samples VALUES ('m', 'a', NULL, 1000, 1), ('m', 'a', NULL, 1000, 2)`)))
	var out bytes.Buffer
	err := run(t.Context(), []string{"--check", "--sql.database", file}, &out, quiet())
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "checks failed"), "%v", err)
	testutil.Assert(t, strings.Contains(out.String(), `FAIL series: `) && strings.Contains(out.String(), `column "time_ms": series {__name__="m", room="a"}`), out.String())

	file = filepath.Join(t.TempDir(), "empty.db")
	testutil.Ok(t, withDatabase(file, execute(t, `CREATE TABLE samples (metric TEXT, room TEXT, sensor TEXT, time_ms INTEGER, value REAL)`)))
	out.Reset()
	err = run(t.Context(), []string{"--check", "--sql.database", file}, &out, quiet())
	testutil.Assert(t, errors.Is(err, storetest.ErrNoSeries) && strings.Contains(out.String(), "skip series"), "%v: %s", err, &out)
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"--sql.label=", "label without a name"},
		{"--sql.label=a --sql.label=a=b", `label "a" given twice`},
		{"--external-label=a", "not NAME=VALUE"},
		{"--external-label=a=", "not NAME=VALUE"},
		{"--external-label=a=1 --external-label=a=2", "given twice"},
		{"--nothing", "flag provided but not defined: -nothing; see --help"},
		{"--log.level=INFO", "not one of debug, info, warn, error"},
		{"--log.format=journald", "not one of logfmt, json"},
		{"x", `unexpected argument "x"`},
		{"--grpc-address=nowhere:-1", "listen for gRPC"},
		{"--grpc-server-tls-cert=a --grpc-server-tls-min-version=9", "--grpc-server-tls-min-version"},
		{"--grpc-server-tls-cert=a --grpc-server-tls-ciphers=x", "--grpc-server-tls-ciphers: unknown cipher suite"},
		{"--grpc-server-tls-cert=a --grpc-server-tls-curves=X25519,x", "--grpc-server-tls-curves: unknown curve"},
		{"--store.limits.request-series=-1", "--store.limits.request-series is negative"},
		{"--store.limits.request-samples=-1", "--store.limits.request-samples is negative"},
		{"--grpc-server-max-connection-age=-1s", "--grpc-server-max-connection-age is negative"},
		{"--grpc-server-tls-cert=absent.crt --grpc-server-tls-key=absent.key", "absent.crt"},
		{"--sql.table=absent", `look at table "absent"`},
		{"--sql.database=/nowhere/x.db", "database /nowhere/x.db: look at table"},
	} {
		err := run(t.Context(), strings.Fields(tc.args), io.Discard, quiet())
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.want), "%s: %v", tc.args, err)
	}
	var out bytes.Buffer
	testutil.Assert(t, errors.Is(run(t.Context(), []string{"-h"}, &out, quiet()), flag.ErrHelp))
	testutil.Assert(t, strings.Contains(out.String(), "-sql.database") && strings.Contains(out.String(), "(default \"0.0.0.0:10901\")"), out.String())
}

// The log is as the flags say, and that of a command line that is wrong is, too.
func TestLog(t *testing.T) {
	for _, tc := range []struct {
		args string
		want []string
		json bool
	}{
		{"", []string{"INFO", "WARN", "ERROR"}, false},
		{"--log.level=debug --log.format=logfmt", []string{"DEBUG", "INFO", "WARN", "ERROR"}, false},
		{"--log.format=json --log.level=warn", []string{"WARN", "ERROR"}, true},
		{"--log.format=json --log.level=error --nothing", []string{"ERROR"}, true},
	} {
		c, err := parse(strings.Fields(tc.args), io.Discard)
		testutil.Equals(t, strings.Contains(tc.args, "--nothing"), err != nil, "%v", err)
		var out bytes.Buffer
		log := c.log.logger(&out)
		log.Debug("x")
		log.Info("x")
		log.Warn("x")
		log.Error("x")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		testutil.Equals(t, len(tc.want), len(lines), out.String())
		for i, line := range lines {
			want := "level=" + tc.want[i] + " msg=x component=sqlgateway"
			if tc.json {
				want = `"level":"` + tc.want[i] + `","msg":"x","component":"sqlgateway"}`
			}
			testutil.Assert(t, strings.HasSuffix(line, want), line)
			testutil.Equals(t, tc.json, json.Valid([]byte(line)))
		}
	}
}

// A program elsewhere could not import what is internal; this one could.
func TestPublicPackagesOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	testutil.Ok(t, err)
	testutil.Assert(t, len(files) > 3)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		testutil.Ok(t, err)
		for _, imp := range f.Imports {
			testutil.Assert(t, !strings.Contains(imp.Path.Value, "/internal/"), "%s imports %s", file, imp.Path.Value)
		}
	}
}

// readyAt is a log that tells where the gateway listens.
type readyAt struct {
	slog.Handler
	addr chan string
}

func (r readyAt) Handle(_ context.Context, rec slog.Record) error {
	rec.Attrs(func(a slog.Attr) bool {
		if rec.Message == "ready" && a.Key == "grpc" {
			r.addr <- a.Value.String()
		}
		return true
	})
	return nil
}

func (r readyAt) Enabled(context.Context, slog.Level) bool { return true }

// The gateway serves with TLS, and keeps to its limits.
func TestServe(t *testing.T) {
	ca, err := tlsutil.NewCA("test", time.Hour)
	testutil.Ok(t, err)
	dir := t.TempDir()
	cert, key, roots := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")
	server, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	testutil.Ok(t, err)
	client, err := ca.IssueClient(tlsutil.Leaf{})
	testutil.Ok(t, err)
	testutil.Ok(t, errors.Join(ca.WriteFile(roots), server.WriteFiles(cert, key), client.WriteFiles(cert+".client", key+".client")))

	ctx, cancel := context.WithCancel(t.Context())
	log := readyAt{slog.DiscardHandler, make(chan string, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"--grpc-address=127.0.0.1:0", "--grpc-server-tls-cert", cert, "--grpc-server-tls-key", key, "--grpc-server-tls-client-ca", roots,
			"--grpc-server-tls-curves=X25519,CurveP256", "--grpc-server-tls-ciphers=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "--grpc-server-max-connection-age=1m",
			"--external-label=house=1", "--store.limits.request-series=1",
		}, io.Discard, slog.New(log))
	}()
	var addr string
	select {
	case addr = <-log.addr:
	case err := <-ended:
		t.Fatal(err)
	}
	creds, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: roots, CertFile: cert + ".client", KeyFile: key + ".client"})
	testutil.Ok(t, err)
	c, err := grpcstore.Dial(addr, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(creds.Config("127.0.0.1"))),
	}})
	testutil.Ok(t, err)
	names, err := c.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 1 << 60})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__", "house", "room", "sensor"}, names)
	err = c.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 60}, discard{})
	testutil.Assert(t, errors.Is(err, store.ErrLimit), "%v", err)
	testutil.Ok(t, c.Close())
	cancel()
	testutil.Ok(t, <-ended)
}

type discard struct{}

func (discard) Send(*store.Series) error { return nil }
func (discard) Warn(err error) error     { return err }
