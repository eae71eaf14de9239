package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	_ "modernc.org/sqlite" // the database

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	_ "github.com/thanoskit/thanoskit/store/grpcstore/snappy" // for peers that compress
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/tlsutil"
)

func main() {
	c, err := parse(os.Args[1:], os.Stdout)
	log := c.log.logger(os.Stderr)
	if err == nil {
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = c.run(ctx, os.Stdout, log)
		cancel()
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Error("program ended", "err", err)
		os.Exit(1)
	}
}

// config is the command line.
type config struct {
	database                     string
	schema                       schema
	external                     labels.Labels
	limits                       store.Limits
	address                      string
	cert, key, clientCA, version string
	ciphers, curves              []string
	maxConnectionAge             time.Duration
	check                        bool
	log                          logging
}

// parse reads the command line. It prints to out what there is, if it is asked for
// help; what is wrong it returns. Either way log is what was said until then.
func parse(args []string, out io.Writer) (*config, error) {
	c := &config{schema: demoSchema()}
	f := flag.NewFlagSet("sqlgateway", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&c.database, "sql.database", "", "SQLite database, as its driver names it: a file, or file:NAME?mode=ro; demo data if empty")
	f.StringVar(&c.schema.Table, "sql.table", c.schema.Table, "table or view of samples")
	f.StringVar(&c.schema.Time, "sql.time-column", c.schema.Time, "column of times, in milliseconds since 1970")
	f.StringVar(&c.schema.Value, "sql.value-column", c.schema.Value, "column of values")
	given := map[string]string{}
	f.Func("sql.label", "LABEL or LABEL=COLUMN: a column that is a label (repeatable; those of the demo data if not given)", func(s string) error {
		label, column, ok := strings.Cut(s, "=")
		if !ok {
			column = label
		}
		return add(given, label, column)
	})
	external := map[string]string{}
	f.Func("external-label", "NAME=VALUE that every series gets (repeatable)", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok || value == "" {
			return errors.New("not NAME=VALUE")
		}
		return add(external, name, value)
	})
	f.Int64Var(&c.limits.Series, "store.limits.request-series", 0, "most series of one Series request (default 0: without limit)")
	samples := f.Int64("store.limits.request-samples", 0, "most samples of one Series request, counted as 120 for each chunk (default 0: without limit)")
	f.StringVar(&c.address, "grpc-address", "0.0.0.0:10901", "address of the gRPC server (StoreAPI, Info, health, reflection)")
	f.StringVar(&c.cert, "grpc-server-tls-cert", "", "file with the certificate of the gRPC server; no TLS if empty")
	f.StringVar(&c.key, "grpc-server-tls-key", "", "file with the key of that certificate")
	f.StringVar(&c.clientCA, "grpc-server-tls-client-ca", "", "file with the CAs whose certificates clients must show; none are asked for if empty")
	f.StringVar(&c.version, "grpc-server-tls-min-version", "1.3", "least version of TLS that the gRPC server speaks: 1.3, 1.2, 1.1 or 1.0")
	list := func(to *[]string, name, usage string) {
		f.Func(name, usage+" (repeatable, or several between commas)", func(s string) error {
			*to = append(*to, strings.Split(s, ",")...)
			return nil
		})
	}
	list(&c.ciphers, "grpc-server-tls-ciphers", "cipher suite for TLS 1.2 and before, as Go names it")
	list(&c.curves, "grpc-server-tls-curves", "key exchange, as Go names it")
	f.DurationVar(&c.maxConnectionAge, "grpc-server-max-connection-age", time.Hour, "age at which a connection is replaced, with a new TLS handshake; 0 is never")
	f.BoolVar(&c.check, "check", false, "check the gateway with thanoskit's conformance kit instead of serving it")
	c.log.declare(f)
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(out)
		_, _ = fmt.Fprint(out, "Usage: sqlgateway [flags]\n\n")
		f.PrintDefaults()
		return c, err
	case err != nil:
		return c, fmt.Errorf("%w; see --help", err)
	case f.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q, since it is no flag; see --help", f.Arg(0))
	case c.limits.Series < 0:
		return c, errors.New("--store.limits.request-series is negative")
	case *samples < 0:
		return c, errors.New("--store.limits.request-samples is negative")
	}
	if len(given) > 0 {
		c.schema.Labels = given
	}
	if c.database == "" && len(external) == 0 {
		external["source"] = "demo"
	}
	c.external = labels.FromMap(external)
	c.limits.Chunks = (*samples + store.SamplesPerChunk - 1) / store.SamplesPerChunk
	return c, nil
}

// add adds a label that is not there yet.
func add(to map[string]string, label, value string) error {
	if label == "" {
		return errors.New("label without a name")
	}
	if _, ok := to[label]; ok {
		return fmt.Errorf("label %q given twice", label)
	}
	to[label] = value
	return nil
}

// run serves the table until ctx ends, or checks the gateway.
func (c *config) run(ctx context.Context, out io.Writer, log *slog.Logger) (err error) {
	if c.database == "" {
		dir, err := os.MkdirTemp("", "sqlgateway")
		if err != nil {
			return fmt.Errorf("make demo database: %w", err)
		}
		defer errcapture.Do(&err, func() error { return os.RemoveAll(dir) }, "remove demo database")
		c.database = filepath.Join(dir, "demo.db")
		if err := withDatabase(c.database, func(db *sql.DB) error { return demo(ctx, db, time.Now()) }); err != nil {
			return err
		}
	}
	return withDatabase(c.database, func(db *sql.DB) error {
		t, err := openTable(ctx, db, c.schema)
		if err != nil {
			return fmt.Errorf("database %s: %w", c.database, err)
		}
		s := store.Wrap(&gateway{db, *t}, store.WithLimits(c.limits), store.WithExternalLabels(c.external))
		if c.check {
			return check(ctx, s, out)
		}
		return c.serve(ctx, s, log)
	})
}

func withDatabase(name string, f func(*sql.DB) error) (err error) {
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer errcapture.Do(&err, db.Close, "close database")
	return f(db)
}

// serve serves the Store until ctx ends.
func (c *config) serve(ctx context.Context, s store.Store, log *slog.Logger) error {
	opts := &grpcstore.ServerOptions{Component: "sqlgateway", Logger: log}
	switch {
	case c.maxConnectionAge < 0:
		return errors.New("--grpc-server-max-connection-age is negative")
	case c.maxConnectionAge > 0:
		opts.GRPC = append(opts.GRPC, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: c.maxConnectionAge}))
	}
	secure, err := c.tls(log)
	if err != nil {
		return err
	}
	if secure != nil {
		opts.GRPC = append(opts.GRPC, grpc.Creds(credentials.NewTLS(secure.Config())))
	}
	srv, err := grpcstore.NewServer(s, opts)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	if secure != nil {
		l = secure.Listener(l)
	}
	log.Info("ready", "grpc", l.Addr().String())
	stop := context.AfterFunc(ctx, func() { log.Info("shutting down", "reason", "signal") })
	defer stop()
	return srv.Run(ctx, l)
}

// tls makes the TLS side of the server; nil is plain text.
func (c *config) tls(log *slog.Logger) (*tlsutil.Server, error) {
	if c.cert == "" && c.key == "" && c.clientCA == "" {
		return nil, nil
	}
	opts := &tlsutil.ServerOptions{ClientCAFile: c.clientCA, Logger: log}
	var err error
	if opts.MinVersion, err = tlsutil.ParseVersion(c.version); err != nil {
		return nil, fmt.Errorf("--grpc-server-tls-min-version: %w", err)
	}
	if opts.CipherSuites, err = tlsutil.ParseCipherSuites(c.ciphers); err != nil {
		return nil, fmt.Errorf("--grpc-server-tls-ciphers: %w", err)
	}
	if opts.Curves, err = tlsutil.ParseCurves(c.curves); err != nil {
		return nil, fmt.Errorf("--grpc-server-tls-curves: %w", err)
	}
	return tlsutil.NewServer(c.cert, c.key, opts)
}

// check serves the Store to itself, makes the checks of the conformance kit, and
// prints what came of them.
func check(ctx context.Context, s store.Store, out io.Writer) (err error) {
	srv, err := grpcstore.NewServer(s, nil)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for checks: %w", err)
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- srv.Run(serving, l) }()
	defer errcapture.Do(&err, func() error { stop(); return <-served }, "serve checks")

	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial for checks: %w", err)
	}
	defer errcapture.Do(&err, conn.Close, "close connection")
	client, err := grpcstore.NewClient(conn, "sqlgateway", nil)
	if err != nil {
		return err
	}
	results, err := storetest.Check(ctx, client, &storetest.Options{Conn: conn})
	if err != nil && !errors.Is(err, storetest.ErrNoSeries) {
		return err
	}
	failed := 0
	for _, r := range results {
		if r.Status == storetest.Failed {
			failed++
		}
		if _, err := fmt.Fprintln(out, r); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(results))
	}
	return err
}
