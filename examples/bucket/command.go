package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

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
	if len(args) == 0 {
		usage(stderr)
		return statusUsage
	}
	if slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0]) {
		usage(stdout)
		return statusOK
	}
	var names []string
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], stdout, stderr)
		}
		names = append(names, c.name)
	}
	fmt.Fprintf(stderr, "bucket: %q is no command, want one of %s\n", args[0], strings.Join(names, ", "))
	return statusUsage
}

func usage(to io.Writer) {
	fmt.Fprint(to, "Usage: bucket COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(to, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(to, "\nbucket COMMAND --help tells the flags.\n")
}

func (c command) run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bucket "+c.name, flag.ContinueOnError)
	logging := program.NewLog(flags, stderr, "component", "bucket")
	config := objstore.NewConfig(flags, "objstore")
	do := c.declare(flags)
	operands, err := program.ParseFlags(flags, args, stdout, flags.Name()+" [flags]: "+c.summary)
	if errors.Is(err, flag.ErrHelp) {
		return statusOK
	}
	if err = cmp.Or(err, program.NoOperands(operands), config.Check()); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", flags.Name(), err)
		return statusUsage
	}
	log := logging.Logger()
	err = withBucket(config.OpenExisting, log, func(bkt objectstore.Bucket) error {
		return do(ctx, &tool{bkt: bkt, out: stdout, log: log})
	})
	switch wrong, ok := errors.AsType[*usageError](err); {
	case err == nil:
		return statusOK
	case errors.Is(err, errProblems):
		return statusProblems
	case ok:
		fmt.Fprintf(stderr, "%s: %v\n", flags.Name(), wrong)
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
