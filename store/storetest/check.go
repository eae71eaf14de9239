package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/store"
)

// Status is what came of a check.
type Status uint8

const (
	// OK means that the Store does what the check looks at.
	OK Status = iota
	// Failed means that it does not.
	Failed
	// Skipped means that the check could not be made.
	Skipped
)

// String returns "ok", "FAIL" or "skip".
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Failed:
		return "FAIL"
	case Skipped:
		return "skip"
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// Result is what came of one check.
type Result struct {
	// Check is the check's name.
	Check  string
	Status Status
	// Reason says what is wrong, or why the check was skipped; empty if OK.
	Reason string
}

// String returns "STATUS NAME: REASON", or without reason "ok NAME".
func (r Result) String() string {
	if r.Reason == "" {
		return r.Status.String() + " " + r.Check
	}
	return r.Status.String() + " " + r.Check + ": " + r.Reason
}

// Options of Check. The zero value, and nil, are good.
type Options struct {
	// Matchers choose the series that are looked at; nil is all that have a
	// metric name.
	Matchers []*labels.Matcher
	// MinTime and MaxTime are the range that is looked at, in milliseconds, both
	// inclusive. Both zero are what the Store's Info announces, but not later
	// than a minute ago. Nothing is to be appended to the range, or deleted from
	// it, while the checks run.
	MinTime, MaxTime int64
	// MaxSeries is how many series Matchers and range may choose; 10000 if 0.
	// They are held in memory with their samples.
	MaxSeries int
	// ReplicaLabels are the labels to ask the Store to remove. If there are none,
	// one is chosen that the series have.
	ReplicaLabels []string
	// Conn is the connection behind the Store if it is a grpcstore.Client, or
	// nil. What is on the wire is looked at with it.
	Conn grpc.ClientConnInterface
	// Patience is for how long the Store may take to notice that a call was
	// canceled; 10 s if 0.
	Patience time.Duration
	// Checks are the names of the checks to make; all if empty.
	Checks []string
}

// Defaults of Options.
const (
	defaultMaxSeries = 10_000
	defaultPatience  = 10 * time.Second
	settled          = time.Minute
)

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	if out.MinTime > out.MaxTime {
		errs = append(errs, fmt.Errorf("option MinTime %d is after MaxTime %d", out.MinTime, out.MaxTime))
	}
	if out.MaxSeries < 0 {
		errs = append(errs, fmt.Errorf("option MaxSeries is negative: %d", out.MaxSeries))
	}
	if out.MaxSeries == 0 {
		out.MaxSeries = defaultMaxSeries
	}
	if out.Patience < 0 {
		errs = append(errs, fmt.Errorf("option Patience is negative: %s", out.Patience))
	}
	if out.Patience == 0 {
		out.Patience = defaultPatience
	}
	if len(out.Matchers) == 0 {
		out.Matchers = []*labels.Matcher{anyMetric()}
	}
	for _, name := range out.Checks {
		if !slices.ContainsFunc(all(), func(c check) bool { return c.name == name }) {
			errs = append(errs, fmt.Errorf("no check is called %q", name))
		}
	}
	return out, errors.Join(errs...)
}

// Description says what a check looks at.
type Description struct {
	Name string
	// Doc says in a sentence what a Store does that passes.
	Doc string
	// Fixture says that only Run makes the check, because what is right does not
	// follow from what the Store says itself.
	Fixture bool
}

// Checks describes all checks, in the order in which they are made.
func Checks() []Description {
	var out []Description
	for _, c := range all() {
		out = append(out, Description{Name: c.name, Doc: c.doc, Fixture: c.fixture})
	}
	return out
}

// check is one check. Its function returns nil, what is wrong, or a skip.
type check struct {
	name, doc string
	fixture   bool       // needs the fixture
	conn      bool       // needs a connection
	feature   Feature    // needs a Store that can hold it; empty for none
	announced capability // needs a Store that announces it; 0 for none
	run       func(ctx context.Context, p *probe) error
}

// capability is what a Store announces in its Info.
type capability uint8

const (
	canShard capability = iota + 1
	canRemoveReplicaLabels
)

func (c capability) announced(i *store.Info) bool {
	switch c {
	case canShard:
		return i.SupportsSharding
	case canRemoveReplicaLabels:
		return i.SupportsWithoutReplicaLabels
	}
	return true
}

func (c capability) String() string {
	switch c {
	case canShard:
		return "sharding"
	case canRemoveReplicaLabels:
		return "the removal of replica labels"
	}
	return "nothing"
}

// skip is the error of a check that finds nothing in the Store to look at.
type skip string

func (s skip) Error() string { return string(s) }

func skipf(format string, args ...any) error { return skip(fmt.Sprintf(format, args...)) }

// unable is the error of a check that is not to be made, whatever the Store
// holds.
type unable string

func (u unable) Error() string { return string(u) }

func unablef(format string, args ...any) error { return unable(fmt.Sprintf(format, args...)) }

// ErrNoSeries says that a Store has no series in the range and for the matchers of
// the options, so that little of it was checked.
var ErrNoSeries = errors.New("store has no series that are wanted: most checks had nothing to look at")

// Check makes, on any Store, in process or behind an address, the checks whose
// expectation follows from the Store's own answers and Info: that the answer to
// a narrower request is what the answer to a wider one says.
//
// A Store that fails one check is not doomed to fail others by it: what depends
// on something that has failed is skipped.
//
// Output: one result for each check that does not need the fixture, in the order
// of Checks.
//
// Errors: if an option is out of range; if the Store has more series than
// opts.MaxSeries, or sends more than 256 MiB of them; the context's; and, beside
// the results, ErrNoSeries.
//
// Concurrency: safe. Cost: some 350 calls of Series, eight of them at the same
// time, many of which read all series that the options choose; and one of
// LabelValues for each label name.
func Check(ctx context.Context, s store.Store, opts *Options) ([]Result, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("check options: %w", err)
	}
	return newProbe(s, o, nil).check(ctx)
}

// check makes the checks that need no fixture.
func (p *probe) check(ctx context.Context) ([]Result, error) {
	if _, err := p.all(ctx); tooMuch(err) {
		return nil, fmt.Errorf("read series: %w: choose fewer by Matchers, MinTime and MaxTime", err)
	}
	var out []Result
	for _, c := range all() {
		if c.fixture || len(p.opts.Checks) > 0 && !slices.Contains(p.opts.Checks, c.name) {
			continue
		}
		r := p.run(ctx, &c)
		if err := ctx.Err(); err != nil {
			return out, fmt.Errorf("check %s: %w", c.name, err)
		}
		out = append(out, r)
	}
	if p.empty != nil {
		return out, ErrNoSeries
	}
	return out, nil
}

// all returns the checks in the order in which they are made.
func all() []check {
	return slices.Concat(basicChecks(), orderChecks(), infoChecks(), dataChecks(), matcherChecks(), boundsChecks(), labelChecks(),
		replicaChecks(), shardChecks(), aggregateChecks(), hintChecks(), wireChecks(), callChecks())
}
