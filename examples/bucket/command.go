package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/client_golang/prometheus"
	objectstore "github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/examples/internal/objstore"
	"github.com/thanoskit/thanoskit/examples/internal/program"
)

// What the program ends with.
const (
	statusOK = iota
	statusFailed
	statusUsage
	statusProblems
)

// errProblems says that verify found something, which it has printed.
var errProblems = errors.New("blocks have problems")

// A command declares its flags, and returns what is done once they were read.
type command struct {
	name, summary string
	declare       func(flags *flag.FlagSet) func(ctx context.Context, t *tool) error
}

func commands() []command {
	return []command{
		{"ls", "list blocks", ls},
		{"inspect", "print a table of blocks", inspect},
		{"verify", "download blocks and look for what is wrong with them", verify},
		{"mark", "mark blocks, for deletion or as not to be compacted or downsampled", mark},
		{"unmark", "take marks away", unmark},
		{"replicate", "copy blocks to another bucket", replicate},
		{"downsample", "make 5m and 1h of the blocks that are due, again and again", downsampleBlocks},
		{"rewrite", "write blocks anew, without some series or with other labels", rewrite},
	}
}

// tool is what commands work with.
type tool struct {
	bkt objectstore.Bucket
	out io.Writer
	log *slog.Logger
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(ctx, args[1:], stdout, stderr)
			}
		}
		fmt.Fprintf(stderr, "%q is no command\n", args[0])
	}
	fmt.Fprintln(stderr, "usage: bucket COMMAND [flags]; bucket COMMAND --help tells the flags")
	for _, c := range commands() {
		fmt.Fprintf(stderr, "  %-10s %s\n", c.name, c.summary)
	}
	return statusUsage
}

func (c command) run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bucket "+c.name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	logging := program.NewLog(flags, stderr, "component", "bucket")
	config := objstore.NewConfig(flags, "objstore")
	do := c.declare(flags)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil: // Parse has said what.
		return statusUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%q is no flag\n", flags.Arg(0))
		return statusUsage
	}
	log := logging.Logger()
	err = withBucket(config.OpenExisting, log, func(bkt objectstore.Bucket) error {
		return do(ctx, &tool{bkt: bkt, out: stdout, log: log})
	})
	var usage *usageError
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, errProblems):
		return statusProblems
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, usage)
		return statusUsage
	}
	log.Error("command ended", "command", c.name, "err", err)
	return statusFailed
}

// usageError is a command line that is wrong.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// opener is one of the ways in which a bucket is opened.
type opener func(component string, log *slog.Logger, reg prometheus.Registerer) (objectstore.Bucket, error)

func withBucket(open opener, log *slog.Logger, do func(objectstore.Bucket) error) (err error) {
	bkt, err := open("bucket", log, nil)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, bkt.Close, "close bucket")
	return do(bkt)
}

// view returns the blocks of the bucket. It logs what cannot be read; with strict,
// blocks about which nothing is known are an error.
func (t *tool) view(ctx context.Context, strict bool) (*block.View, error) {
	f, err := block.NewFetcher(t.bkt, "", &block.FetcherOptions{Logger: t.log})
	if err != nil {
		return nil, err
	}
	v, err := f.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	for id, err := range v.Partial {
		t.log.Warn("no block that can be read", "block", id, "err", err)
	}
	if v.Incomplete != nil {
		if strict {
			return nil, v.Incomplete
		}
		t.log.Warn("not all blocks are known", "err", v.Incomplete)
	}
	return v, nil
}
