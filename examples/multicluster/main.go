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
)

func main() {
	broken := flag.String("break", "", "break the topology, so that a proof fails: "+strings.Join(breaks, ", "))
	serve := flag.String("serve", "", "keep the topology up, and serve Prometheus' HTTP API on this address (such as 127.0.0.1:9090)")
	flag.Parse()
	if err := untilSignal(*broken, *serve); err != nil {
		fmt.Fprintln(os.Stderr, "multicluster:", err)
		os.Exit(1)
	}
}

func untilSignal(broken, serve string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	return run(ctx, os.Stdout, broken, serve)
}

// run starts the topology, proves everything, and serves if asked to.
func run(ctx context.Context, w io.Writer, broken, addr string) (err error) {
	if broken != "" && !slices.Contains(breaks, broken) {
		return fmt.Errorf("unknown way to break %q, want one of %s", broken, strings.Join(breaks, ", "))
	}
	dir, err := os.MkdirTemp("", "multicluster")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t, err := startTopology(ctx, dir, broken)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	t.describe(w)
	failed := 0
	for i := range proofs {
		p := &proofs[i]
		if err := t.prove(t.ctx, w, p); err != nil {
			failed++
			fmt.Fprintf(w, "FAILED    %s: %v\n", p.claim, err)
			continue
		}
		fmt.Fprintf(w, "proved    %s\n", p.claim)
	}
	fmt.Fprintf(w, "\n%d of %d proofs hold\n", len(proofs)-failed, len(proofs))
	if failed > 0 {
		return fmt.Errorf("%d of %d proofs failed", failed, len(proofs))
	}
	if addr != "" {
		return t.serveHTTP(w, addr)
	}
	return nil
}
