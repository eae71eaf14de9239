package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/thanoskit/thanoskit/store/storetest"
)

// The exit status.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2 // or nobody answers, or there is nothing to look at
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run does what the arguments say, and returns the exit status. Results go to
// out, all else to log.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	c, err := parseArgs(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return statusOK
	}
	status := statusOK
	if err == nil {
		switch {
		case c.list:
			err = list(out)
		case c.fixtureDir != "":
			err = c.writeFixture(ctx, out)
		default:
			status, err = c.check(ctx, out, log)
		}
	}
	if err != nil {
		fmt.Fprintf(log, "storecheck: %v\n", err)
		return statusUsage
	}
	return status
}

// list prints what each check looks at.
func list(out io.Writer) error {
	for _, d := range storetest.Checks() {
		note := ""
		if d.Fixture {
			note = " (Only in tests, by storetest.Run.)"
		}
		if _, err := fmt.Fprintf(out, "%s: %s%s\n", d.Name, d.Doc, note); err != nil {
			return err
		}
	}
	return nil
}

// check checks the store at the address.
//
// Errors: if nothing could be checked.
func (c *command) check(ctx context.Context, out, log io.Writer) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	p, err := c.dial(ctx, log)
	if err != nil {
		return 0, err
	}
	defer p.close()
	opts, err := c.bounds(ctx, p)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(log, "checking %s at %s by series %s\n", p.kind(), c.address, describe(opts))
	results, err := storetest.Check(ctx, p.client, opts)
	if err == nil && c.fixture != nil {
		results = append(results, compareFixture(ctx, p.client, c.fixture)...)
		err = ctx.Err()
	}
	for _, r := range results {
		if _, err := fmt.Fprintln(out, strings.ReplaceAll(r.String(), "\n", " ")); err != nil {
			return 0, err
		}
	}
	return summary(log, results, err), nil
}

// summary says what came of the checks, and returns the exit status. ended is
// what ended them early, or nil.
func summary(log io.Writer, results []storetest.Result, ended error) int {
	n := map[storetest.Status]int{}
	for _, r := range results {
		n[r.Status]++
	}
	fmt.Fprintf(log, "%d ok, %d failed, %d skipped\n", n[storetest.OK], n[storetest.Failed], n[storetest.Skipped])
	if ended != nil {
		fmt.Fprintf(log, "storecheck: not all checks were made: %v\n", ended)
	}
	switch {
	case n[storetest.Failed] == 0 && errors.Is(ended, storetest.ErrNoSeries):
		return statusUsage
	case n[storetest.Failed] > 0 || ended != nil:
		return statusFailed
	}
	return statusOK
}
