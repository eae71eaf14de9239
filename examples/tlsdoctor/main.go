package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
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
	status, err := diagnose(ctx, args, out)
	if errors.Is(err, flag.ErrHelp) {
		return statusOK
	}
	if err != nil {
		fmt.Fprintf(log, "tlsdoctor: %v\n", err)
		return statusUsage
	}
	return status
}

func diagnose(ctx context.Context, args []string, out io.Writer) (int, error) {
	flags := flag.NewFlagSet("tlsdoctor", flag.ContinueOnError)
	var timeout time.Duration
	program.Duration(flags, &timeout, "timeout", time.Minute, "longest time for all addresses together")
	tls := program.NewClientTLS(flags)
	const usage = "tlsdoctor [flags] HOST:PORT...\n\nLooks at gRPC servers as a client with these flags would, in plain text without\n--grpc-client-tls-secure. The exit status is 0 if all is well, 1 if something is\nwrong, and 2 for wrong arguments."
	targets, err := program.ParseFlags(flags, args, out, usage)
	if err != nil {
		return 0, err
	}
	if len(targets) == 0 {
		return 0, errors.New("no HOST:PORT to look at; see --help")
	}
	for _, target := range targets {
		if _, _, err := net.SplitHostPort(target); err != nil {
			return 0, fmt.Errorf("%q is not HOST:PORT", target)
		}
	}
	profile, err := tls.Options()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status := statusOK
	for _, target := range targets {
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
