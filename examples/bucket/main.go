package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(untilSignal()) }

func untilSignal() int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
