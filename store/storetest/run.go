package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// Harness is a kind of Store for Run to check.
type Harness struct {
	// New returns a Store that holds the series of f and nothing else, with f's
	// external labels: f.Series() and f.Downsampled() in a Store that applies
	// them itself or is wrapped in store.WithExternalLabels, f.Sent() in one that
	// knows no external labels, or f.Append into a database behind it. It is
	// called several times, for a fixture of large series too. What it starts it
	// stops with t.Cleanup.
	New func(t testing.TB, f *Fixture) store.Store
	// Lacks says what the Store cannot hold, and why. The fixture comes without.
	Lacks map[Feature]string
	// Skip names checks that the Store is known to fail, and why. A check of a
	// capability that the Store's Info announces cannot be skipped.
	Skip map[string]string
	// ExternalLabels are those of the fixture; the zero value is
	// DefaultExternalLabels.
	ExternalLabels labels.Labels
	// Patience is that of Options: for how long the Store may take to notice that
	// a call was canceled; 10 s if 0.
	Patience time.Duration
}

// Run checks a kind of Store against the fixture and against itself: twice, as
// it is and behind a gRPC server. Every check is a subtest, "direct/NAME" and
// "grpc/NAME".
//
// What is skipped says why. A check that finds nothing in the Store to look at
// fails: the fixture has something for each.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if err := h.validate(); err != nil {
		t.Fatalf("check harness: %v", err)
	}
	f, err := h.fixture()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("direct", func(t *testing.T) {
		h.run(t, f, func(t testing.TB, f *Fixture) (store.Store, grpc.ClientConnInterface) { return h.New(t, f), nil })
	})
	t.Run("grpc", func(t *testing.T) {
		h.run(t, f, func(t testing.TB, f *Fixture) (store.Store, grpc.ClientConnInterface) {
			conn := serve(t, h.New(t, f))
			client, err := grpcstore.NewClient(conn, "under test", nil)
			if err != nil {
				t.Fatal(err)
			}
			return client, conn
		})
	})
}

// fixture makes the fixture that the Store is to hold.
func (h *Harness) fixture() (*Fixture, error) {
	return NewFixture(&FixtureOptions{ExternalLabels: h.ExternalLabels, Lacks: slices.Collect(maps.Keys(h.Lacks))})
}

func (h *Harness) validate() error {
	var errs []error
	if h.New == nil {
		errs = append(errs, errors.New("no New given"))
	}
	for f, why := range h.Lacks {
		if why == "" {
			errs = append(errs, fmt.Errorf("feature %q lacks without a reason", f))
		}
	}
	for name, why := range h.Skip {
		if !slices.ContainsFunc(all(), func(c check) bool { return c.name == name }) {
			errs = append(errs, fmt.Errorf("no check is called %q", name))
		}
		if why == "" {
			errs = append(errs, fmt.Errorf("check %q skipped without a reason", name))
		}
	}
	_, err := h.options().withDefaults()
	return errors.Join(append(errs, err)...)
}

func (h *Harness) options() *Options {
	return &Options{Patience: h.Patience, ReplicaLabels: []string{labelReplica}}
}

// run makes all checks as subtests.
func (h *Harness) run(t *testing.T, f *Fixture, open func(testing.TB, *Fixture) (store.Store, grpc.ClientConnInterface)) {
	s, conn := open(t, f)
	p, err := h.probe(s, f, conn)
	if err != nil {
		t.Fatal(err)
	}
	p.large = func() (store.Store, *Fixture, error) {
		f, err := newLargeFixture(h.ExternalLabels, manyBytes, manySamples)
		if err != nil {
			return nil, nil, err
		}
		s, _ := open(t, f)
		return s, f, nil
	}
	for _, c := range all() {
		if c.conn && conn == nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			switch r := h.result(t.Context(), p, &c); r.Status {
			case OK:
			case Failed:
				t.Error(r.Reason)
			case Skipped:
				t.Skip(r.Reason) //nolint:forbidigo // The harness or the Store's Info gives the reason.
			}
		})
	}
}

// probe returns what asks a Store that holds a fixture.
func (h *Harness) probe(s store.Store, f *Fixture, conn grpc.ClientConnInterface) (*probe, error) {
	o, err := h.options().withDefaults()
	if err != nil {
		return nil, err
	}
	o.Conn = conn
	o.MinTime, o.MaxTime = f.TimeRange()
	o.MinTime, o.MaxTime = o.MinTime-margin, o.MaxTime+margin
	p := newProbe(s, o, f)
	p.lacks = maps.Clone(h.Lacks)
	if why, ok := h.Lacks[NativeHistograms]; ok {
		p.lacks[CustomBuckets] = why
	}
	return p, nil
}

// margin is how much more than the fixture is asked for, in milliseconds.
const margin = 60_000

// result makes a check, unless the harness has it skipped and may.
func (h *Harness) result(ctx context.Context, p *probe, c *check) Result {
	if why, ok := h.Skip[c.name]; ok {
		if c.announced == 0 {
			return Result{c.name, Skipped, why}
		}
		info, err := p.describe(ctx)
		if err != nil {
			return Result{c.name, Failed, err.Error()}
		}
		if !c.announced.announced(info) {
			return Result{c.name, Skipped, why}
		}
		return Result{c.name, Failed, fmt.Sprintf("cannot be skipped: the store announces %s", c.announced)}
	}
	return p.run(ctx, c)
}

// serve serves a Store in memory until the test ends.
func serve(t testing.TB, s store.Store, opts ...grpc.ServerOption) grpc.ClientConnInterface {
	t.Helper()
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{GRPC: opts})
	if err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, l) }()
	conn, err := grpc.NewClient("passthrough:///store", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}
