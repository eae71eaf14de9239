package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// Program is a component that is being put together.
type Program struct {
	Flags    *flag.FlagSet
	Log      *slog.Logger
	Registry *prometheus.Registry

	name       string
	log        *Log
	grpcAddr   *string
	grpcGrace  time.Duration
	grpcTLS    *serverTLS
	grpcPeers  *string
	limits     *limits
	httpAddr   *string
	httpConfig *string
	httpPeers  *string
	httpAllow  *peersFile                // nil: everybody may have everything
	httpAsked  bool                      // the program keeps to it itself
	expiring   []func() []tlsutil.Expiry // certificates in use
	background []func(context.Context) error
	ending     atomic.Bool // it is logged that it ends
	failed     atomic.Bool // so is the error that it ends with
}

// Main runs a component until it fails or is told to end by SIGINT or SIGTERM.
// run declares flags, calls Parse, and ends with Serve.
func Main(name string, run func(ctx context.Context, p *Program) error) { runMain(New(name), run) }

// MainHTTP is Main of a component without a Store: see NewHTTP.
func MainHTTP(name string, run func(ctx context.Context, p *Program) error) {
	runMain(NewHTTP(name), run)
}

func runMain(p *Program, run func(ctx context.Context, p *Program) error) {
	if err := untilSignal(p, run); err != nil && !errors.Is(err, flag.ErrHelp) {
		if !p.failed.Load() {
			p.Log.Error("program ended", "err", err)
		}
		os.Exit(1)
	}
}

// untilSignal runs a component until it ends, or is told to by a signal; a second
// one ends the process.
func untilSignal(p *Program, run func(ctx context.Context, p *Program) error) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			p.logEnd(slog.LevelInfo, "signal", s.String())
			signal.Stop(signals)
			cancel()
		case <-ended:
			signal.Stop(signals)
		}
	}()
	defer func() {
		close(ended)
		<-done
		cancel()
	}()
	return run(ctx, p)
}

// logEnd logs why the program ends: the first reason that there is. It reports
// whether this is it.
func (p *Program) logEnd(level slog.Level, reason ...any) bool {
	first := p.ending.CompareAndSwap(false, true)
	if first {
		p.Log.Log(context.Background(), level, "shutting down", reason...)
	}
	return first
}

// New returns a Program with the flags that every component has that serves a
// StoreAPI.
func New(name string) *Program {
	p := NewHTTP(name)
	p.grpcAddr = p.Flags.String("grpc-address", "0.0.0.0:10901", "address of the gRPC server (StoreAPI, Info, health, reflection)")
	p.Duration(&p.grpcGrace, "grpc-grace-period", 2*time.Minute, "how long running calls may go on after a signal to stop")
	p.grpcTLS = newServerTLS(p.Flags)
	p.newPeersFlags()
	p.limits = newLimits(p.Flags)
	return p
}

// NewHTTP returns a Program with the flags of a component that has nothing to
// serve but probes and metrics. It ends with ServeHTTP.
func NewHTTP(name string) *Program {
	p := &Program{
		Flags:    flag.NewFlagSet(name, flag.ContinueOnError),
		Registry: prometheus.NewRegistry(),
		name:     name,
	}
	p.log = NewLog(p.Flags, os.Stderr, "component", name)
	p.Log = p.log.Logger()
	p.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.httpAddr = p.Flags.String("http-address", "0.0.0.0:10902", "address of the HTTP server")
	p.httpConfig = p.Flags.String("http.config", "", "Prometheus' web configuration file for the HTTP server: TLS, headers, users; plain HTTP for anybody if empty")
	return p
}

// Parse reads the command line. Log is as it says from then on.
//
// Errors: flag.ErrHelp if it asked for help, which it got; one line that names what
// is wrong, be it an argument that is no flag.
func (p *Program) Parse() error { return p.parse(os.Args[1:], os.Stdout) }

func (p *Program) parse(args []string, out io.Writer) error {
	usage := filepath.Base(os.Args[0]) + " [flags]\n\nA flag that Thanos has, too, means what it does there, unless it says otherwise."
	operands, err := ParseFlags(p.Flags, args, out, usage)
	p.Log = p.log.Logger()
	if err != nil {
		return err
	}
	return NoOperands(operands)
}

// Go adds something that runs as long as the program.
func (p *Program) Go(run func(context.Context) error) { p.background = append(p.background, run) }

// Serve runs everything until ctx ends: the Store over gRPC, within the limits
// that flags set for it, the handler (nil for none) beside /-/ready, /-/healthy
// and /metrics over HTTP, and what Go added. Connections end a minute after the CA
// of their client was dropped. ready is asked until it returns nil; then one line is logged and
// /-/ready answers 200.
func (p *Program) Serve(ctx context.Context, s store.Store, opts grpcstore.ServerOptions, handler http.Handler, ready func(context.Context) error) error {
	opts.Component, opts.GracePeriod, opts.Logger = p.name, p.grpcGrace, p.Log
	if opts.GracePeriod == 0 {
		opts.GracePeriod = -1 // none
	}
	connections, tls, err := p.grpcTLS.options(p.Log)
	if err != nil {
		return err
	}
	opts.GRPC = append(connections, opts.GRPC...)
	if *p.grpcPeers != "" {
		if p.grpcTLS.clientCA == "" {
			return errors.New("--" + grpcPeersFlag + " needs --grpc-server-tls-client-ca")
		}
		peers, err := openPeers(*p.grpcPeers, p.Log)
		if err != nil {
			return err
		}
		opts.Allow = peers.Allow
	}
	opts.MetadataKeys = append(opts.MetadataKeys, "request-id") // as Thanos passes it on
	grpcServer, err := grpcstore.NewServer(p.limits.wrap(s), &opts)
	if err != nil {
		return err
	}
	grpcListener, err := net.Listen("tcp", *p.grpcAddr)
	if err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	if tls != nil {
		grpcListener = tls.Listener(grpcListener)
		p.expiring = append(p.expiring, tls.Expiry)
	}
	web, httpListener, err := p.listenHTTP()
	if err != nil {
		return errors.Join(err, grpcListener.Close())
	}
	p.warnOpen()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return grpcServer.Run(ctx, grpcListener) })
	p.serve(ctx, g, web, httpListener, p.grpcGrace, handler, ready, "grpc", grpcListener.Addr().String())
	return g.Wait()
}

// httpGrace is how long HTTP requests of a component without gRPC may go on.
const httpGrace = 10 * time.Second

// ServeHTTP is Serve of a Program without a Store. It ends as well, without an
// error, when something that Go added returns [ErrDone].
func (p *Program) ServeHTTP(ctx context.Context, handler http.Handler, ready func(context.Context) error) error {
	web, listener, err := p.listenHTTP()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	p.serve(ctx, g, web, listener, httpGrace, handler, ready)
	if err := g.Wait(); !errors.Is(err, ErrDone) {
		return err
	}
	return nil
}

// listenHTTP listens for HTTP, as the flags say.
func (p *Program) listenHTTP() (*web, net.Listener, error) {
	w, err := newWeb(*p.httpConfig, p.Log)
	if err != nil {
		return nil, nil, err
	}
	if w.tls != nil {
		p.expiring = append(p.expiring, w.tls.Expiry)
	}
	if err := p.openHTTPPeers(); err != nil {
		return nil, nil, err
	}
	if p.httpAllow != nil && !w.demandsCertificates {
		return nil, nil, errors.New("--" + httpPeersFlag + " needs an --http.config with client_auth_type " + requireClientCert)
	}
	l, err := net.Listen("tcp", *p.httpAddr)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for HTTP: %w", err)
	}
	return w, l, nil
}

// ErrDone says that a program has done what it was started for.
var ErrDone = errors.New("done")

// serve adds to g the probes, metrics and handler over HTTP, and what Go added. What
// is to be logged with ready comes last.
func (p *Program) serve(ctx context.Context, g *errgroup.Group, web *web, l net.Listener, grace time.Duration, handler http.Handler, ready func(context.Context) error, log ...any) {
	var isReady atomic.Bool
	server := &http.Server{Handler: web.handler(p.handler(&isReady, handler)), ReadHeaderTimeout: 10 * time.Second}
	if len(p.expiring) > 0 {
		e := newExpiry(p.certificates, p.Log)
		p.Registry.MustRegister(e)
		p.Go(e.run)
	}
	for _, run := range p.background {
		g.Go(func() error { return run(ctx) })
	}
	g.Go(func() error {
		if err := web.serve(server, l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		isReady.Store(false)
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, ErrDone):
			p.logEnd(slog.LevelInfo, "reason", ErrDone.Error())
		case !errors.Is(cause, context.Canceled): // else it is a signal
			p.failed.Store(p.logEnd(slog.LevelError, "err", cause))
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if server.Shutdown(ctx) != nil { // what still runs is cut off
			return server.Close()
		}
		return nil
	})
	g.Go(func() error {
		if p.awaitReady(ctx, ready) {
			isReady.Store(true)
			p.Log.Info("ready", append(log, "http", l.Addr().String())...)
		}
		return nil
	})
}

// certificates are those in use by all servers.
func (p *Program) certificates() (out []tlsutil.Expiry) {
	for _, of := range p.expiring {
		out = append(out, of()...)
	}
	return out
}

func (p *Program) handler(ready *atomic.Bool, next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
	mux.Handle("GET /metrics", p.ForAll(promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{})))
	if next != nil {
		if !p.httpAsked {
			next = p.ForAll(next)
		}
		mux.Handle("/", p.httpAllow.handler(next))
	}
	return mux
}

// awaitReady asks until the answer is nil, and reports whether it came. It logs
// what is in the way.
func (p *Program) awaitReady(ctx context.Context, ready func(context.Context) error) bool {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for err := ready(ctx); err != nil; err = ready(ctx) {
		if err.Error() != last && ctx.Err() == nil {
			last = err.Error()
			p.Log.Warn("not ready yet", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}
