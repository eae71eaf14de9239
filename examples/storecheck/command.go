package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// command is a command line.
type command struct {
	address              string
	timeout, callTimeout time.Duration
	matchers             []*labels.Matcher
	from, to             time.Time // zero if not given
	maxSeries            int
	replicaLabels        []string
	checks               []string
	tls                  *program.ClientTLS
	list                 bool

	fixtureDir  string
	downsampled bool
	fixture     *storetest.Fixture // nil if there is nothing to do with it
}

// For whom -fixture-for writes.
const (
	forPrometheus = "prometheus"
	forGateway    = "gateway"
)

// parseArgs reads the command line. out gets the usage if it is asked for.
func parseArgs(args []string, out io.Writer) (*command, error) {
	c := &command{}
	fs := flag.NewFlagSet("storecheck", flag.ContinueOnError)
	now := time.Now()
	program.Duration(fs, &c.timeout, "timeout", 5*time.Minute, "longest time that everything may take")
	program.Duration(fs, &c.callTimeout, "call-timeout", 20*time.Second, "longest time that one call of the store may take")
	fs.Func("matcher", `selector of the series to look at, such as {job="node"} (default all that have a metric name)`, func(s string) (err error) {
		c.matchers, err = selector(s)
		return err
	})
	timeVar(fs, &c.from, now, "from", "start of the range to look at: RFC 3339, or a negative duration (default an hour before its end)")
	timeVar(fs, &c.to, now, "to", "end of the range to look at, likewise (default the end of what the store announces, or a minute ago)")
	fs.IntVar(&c.maxSeries, "max-series", 1000, "most series to look at, which are held in memory")
	listVar(fs, &c.replicaLabels, "replica-label", "replica label to ask the store to remove (repeatable; default one that series have)")
	listVar(fs, &c.checks, "check", "name of a check to make, as --list prints them (repeatable; default all)")
	fs.BoolVar(&c.list, "list", false, "print the name of each check and what it looks at, and exit")
	c.tls = program.NewClientTLS(fs)
	fixture := newFixtureFlags(fs)

	const usage = "storecheck [flags] ADDRESS\n\nChecks the StoreAPI at ADDRESS: host:port, or another target of gRPC. The exit\nstatus is 0 if no check fails, 1 if one does, and 2 if none can be made: nobody\nanswers, or there are no series to look at."
	addresses, err := program.ParseFlags(fs, args, out, usage)
	if err != nil {
		return nil, err
	}
	c.fixtureDir, c.downsampled = fixture.dir, fixture.reader == forGateway
	if err := c.validate(addresses, fixture.check); err != nil {
		return nil, err
	}
	c.fixture, err = fixture.make()
	return c, err
}

// fixtureFlags are the flags for what is done with the fixture.
type fixtureFlags struct {
	dir, reader string
	check       bool
	external    *labels.Builder
	lacks       []storetest.Feature
}

func newFixtureFlags(fs *flag.FlagSet) *fixtureFlags {
	f := &fixtureFlags{external: labels.NewBuilder(labels.EmptyLabels())}
	fs.StringVar(&f.dir, "fixture", "", "directory to write the fixture to, known data for a store to hold, as TSDB blocks, and exit")
	fs.StringVar(&f.reader, "fixture-for", forPrometheus, "who is to read the fixture: prometheus, or gateway with downsampled data too")
	fs.BoolVar(&f.check, "fixture-check", false, "compare with the fixture, which is all that the store holds")
	fs.Func("fixture-lacks", "what the fixture is to be without, such as 'native histograms' (repeatable)", func(s string) error {
		f.lacks = append(f.lacks, storetest.Feature(s))
		return nil
	})
	fs.Func("external-label", fmt.Sprintf(`NAME="VALUE" that the store adds to the fixture's series (repeatable; default %s)`, storetest.DefaultExternalLabels()), func(s string) error {
		name, quoted, _ := strings.Cut(s, "=")
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return errors.New(`not NAME="VALUE"`)
		}
		f.external.Set(name, value)
		return nil
	})
	return f
}

// make makes the fixture, or nil if there is nothing to do with it.
func (f *fixtureFlags) make() (*storetest.Fixture, error) {
	switch {
	case f.reader != forPrometheus && f.reader != forGateway:
		return nil, fmt.Errorf("-fixture-for is %q, and neither %s nor %s", f.reader, forPrometheus, forGateway)
	case f.dir == "" && !f.check:
		return nil, nil
	}
	return storetest.NewFixture(&storetest.FixtureOptions{ExternalLabels: f.external.Labels(), Lacks: f.lacks})
}

// validate returns what is wrong with the flags as they are together.
func (c *command) validate(addresses []string, fixtureCheck bool) error {
	given := 0
	for _, set := range []bool{c.list, c.fixtureDir != "", len(addresses) > 0} {
		if set {
			given++
		}
	}
	switch {
	case given == 0 || len(addresses) > 1:
		return fmt.Errorf("%d addresses given, want one; see --help", len(addresses))
	case given > 1:
		return errors.New("-list, -fixture and an address exclude each other")
	case c.timeout <= 0 || c.callTimeout <= 0:
		return errors.New("-timeout and -call-timeout have to be positive")
	case c.maxSeries <= 0:
		return errors.New("-max-series has to be positive")
	case !c.from.IsZero() && !c.to.IsZero() && c.from.After(c.to):
		return errors.New("-from is after -to")
	case fixtureCheck && (len(c.matchers) > 0 || !c.from.IsZero() || !c.to.IsZero()):
		return errors.New("-fixture-check chooses series and range itself: not with -matcher, -from or -to")
	}
	known := storetest.Checks()
	for _, name := range c.checks {
		i := slices.IndexFunc(known, func(d storetest.Description) bool { return d.Name == name })
		switch {
		case i < 0:
			return fmt.Errorf("no check is called %q; see -list", name)
		case known[i].Fixture:
			return fmt.Errorf("check %q is made in tests only, by storetest.Run", name)
		}
	}
	if len(addresses) == 1 {
		c.address = addresses[0]
	}
	return c.tls.Check()
}

// selector reads the selector of -matcher, which has to leave out some series.
func selector(s string) ([]*labels.Matcher, error) {
	ms, err := parse.MetricSelector(s)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches("") }) {
		return nil, errors.New("matches series without any label: no store has to answer that")
	}
	return ms, nil
}

// listVar declares a flag that may be given many times, or with many values
// between commas.
func listVar(fs *flag.FlagSet, to *[]string, name, usage string) {
	fs.Func(name, usage, func(s string) error {
		*to = append(*to, strings.Split(s, ",")...)
		return nil
	})
}

// timeVar declares a flag for a time, or an age at now.
func timeVar(fs *flag.FlagSet, to *time.Time, now time.Time, name, usage string) {
	fs.Func(name, usage, func(s string) (err error) {
		if *to, err = time.Parse(time.RFC3339, s); err == nil {
			return nil
		}
		d, err := time.ParseDuration(s)
		if err != nil || d > 0 {
			return errors.New("neither a time in RFC 3339 nor a negative duration")
		}
		*to = now.Add(d)
		return nil
	})
}
