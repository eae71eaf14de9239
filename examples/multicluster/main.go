package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/thanoskit/thanoskit/examples/internal/program"
)

func main() {
	opts, err := parseArgs(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "multicluster:", err)
		os.Exit(2)
	}
	if err := untilSignal(opts); err != nil {
		fmt.Fprintln(os.Stderr, "multicluster:", err)
		os.Exit(1)
	}
}

// parseArgs reads the command line; out gets the usage if it is asked for.
func parseArgs(args []string, out io.Writer) (options, error) {
	opts := options{scale: fullScale}
	flags := flag.NewFlagSet("multicluster", flag.ContinueOnError)
	flags.StringVar(&opts.broken, "break", "", "break the topology, so that a proof fails, in one of these ways: "+strings.Join(breaks, ", "))
	flags.Var((*address)(&opts.http), "serve", "keep the topology up, and serve Prometheus' HTTP API on 127.0.0.1:9090, or on the `address` in -serve=address")
	operands, err := program.ParseFlags(flags, args, out, "multicluster [flags]\n\nProves that queries across clusters answer right: see the package documentation.")
	if err == nil {
		err = program.NoOperands(operands)
	}
	return opts, err
}

func untilSignal(opts options) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	return run(ctx, os.Stdout, opts)
}

// run starts the topology, proves everything, and serves if asked to.
func run(ctx context.Context, w io.Writer, opts options) (err error) {
	if opts.broken != "" && !slices.Contains(breaks, opts.broken) {
		return fmt.Errorf("unknown way to break %q, want one of %s", opts.broken, strings.Join(breaks, ", "))
	}
	dir, err := os.MkdirTemp("", "multicluster")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	began := time.Now()
	t, err := startTopology(ctx, dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	t.describe(w)
	fmt.Fprintf(w, "started            in %s\n", time.Since(began).Round(time.Millisecond))
	failed := t.proveAll(w)
	all := len(opts.scale.proofs())
	fmt.Fprintf(w, "\n%d of %d proofs hold, in %s\n", all-len(failed), all, time.Since(began).Round(time.Millisecond))
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d proofs failed: %s", len(failed), all, strings.Join(failed, ", "))
	}
	if opts.http != "" {
		fmt.Fprintf(w, "serving Prometheus' HTTP API on http://%s until interrupted\n", t.observer.addr())
		<-ctx.Done()
	}
	return nil
}

// proveAll returns the names of the proofs that failed.
func (t *topology) proveAll(w io.Writer) (failed []string) {
	for _, p := range t.scale.proofs() {
		fmt.Fprintln(w)
		if err := p.prove(t.ctx, t, w); err != nil {
			failed = append(failed, p.name)
			fmt.Fprintf(w, "FAILED    %s: %s: %v\n", p.name, p.claim, err)
			continue
		}
		fmt.Fprintf(w, "proved    %s: %s\n", p.name, p.claim)
	}
	return failed
}

// address is a flag that may be given without a value.
type address string

func (a *address) String() string   { return string(*a) }
func (a *address) IsBoolFlag() bool { return true }

func (a *address) Set(v string) error {
	if v == "true" {
		v = "127.0.0.1:9090"
	}
	*a = address(v)
	return nil
}
