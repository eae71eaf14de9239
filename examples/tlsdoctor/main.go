package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// The exit status.
const (
	statusOK    = 0
	statusFound = 1
	statusUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run looks at the targets in the arguments and returns the exit status.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	status, err := diagnose(ctx, args, out, log)
	if errors.Is(err, flag.ErrHelp) {
		return statusOK
	}
	if err != nil {
		fmt.Fprintf(log, "tlsdoctor: %v\n", err)
		return statusUsage
	}
	return status
}

func diagnose(ctx context.Context, args []string, out, log io.Writer) (int, error) {
	flags := flag.NewFlagSet("tlsdoctor", flag.ContinueOnError)
	flags.SetOutput(log)
	timeout := flags.Duration("timeout", time.Minute, "time for all targets together")
	tls := program.NewClientTLS(flags)
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if flags.NArg() == 0 {
		return 0, errors.New("no HOST:PORT to look at")
	}
	profile, err := tls.Options()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	status := statusOK
	for _, target := range flags.Args() {
		d, err := tlsutil.Doctor(ctx, target, profile)
		if err != nil {
			return 0, err
		}
		if len(d.Findings) > 0 {
			status = statusFound
		}
		if _, err := fmt.Fprintf(out, "%s\n%s", target, d); err != nil {
			return 0, err
		}
	}
	return status, nil
}
