package query_test

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// The tests that run Prometheus' own scripts do not run in parallel, since they set
// switches of the parser for all; the scripts of each do.

func TestPromQLScripts(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	promqltest.RunBuiltinTestsWithStorage(allOf(t), engine, inProcess)
}

func TestPromQLScriptsOverGRPC(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	promqltest.RunBuiltinTestsWithStorage(allOf(t), engine, overGRPC)
}

// TestPromQLScriptsOnReplicas runs on a fan-out of two replicas, of which one
// misses the first sample of every series, so that no two chunks are the same.
// It has all of http_requests_nan: a counter that is raised over its resets, for
// Penalty, loses what is not a number, in Thanos as here.
func TestPromQLScriptsOnReplicas(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	promqltest.RunBuiltinTestsWithStorage(allOf(t), engine, onReplicas)
}

// TestPromQLScriptsFollowing runs on two replicas that are the same, and on one with
// holes, which is followed where it has samples, before a complete one, merged by
// Follow: nothing is missing and nothing is altered, NaN included.
func TestPromQLScriptsFollowing(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	t.Run("identical", func(t *testing.T) { promqltest.RunBuiltinTestsWithStorage(allOf(t), engine, identicalFollowed) })
	t.Run("holes", func(t *testing.T) { promqltest.RunBuiltinTestsWithStorage(allOf(t), engine, holesFollowed) })
}

// inProcess and the like are generic because the type of the argument
// differs between versions of Prometheus; it is a *testing.T.

func inProcess[T any](t T) storage.Storage {
	mem := &memstore.Store{}
	return newScriptStorage(t, nil, mem, func() error { return nil }, mem)
}

func overGRPC[T any](t T) storage.Storage {
	mem := &memstore.Store{}
	var s store.Store = mem
	if os.Getenv(corruptEnv) != "" {
		s = corrupt(mem)
	}
	client, stop := serve(asTB(t), s)
	return newScriptStorage(t, nil, client, stop, mem)
}

func onReplicas[T any](t T) storage.Storage {
	return newReplicas(t, &query.Options{})
}

// newReplicas makes a fan-out of two replicas.
func newReplicas(t any, opts *query.Options) *scriptStorage {
	// Open-ended, since a fan-out asks a member for its bounds once.
	mems := []*memstore.Store{memstore.New(&memstore.Options{OpenEnd: true}), memstore.New(&memstore.Options{OpenEnd: true})}
	members := make([]fanout.Member, len(mems))
	for i, mem := range mems {
		name := string(rune('a' + i))
		members[i] = fanout.Member{Name: name, Store: store.Wrap(mem, store.WithExternalLabels(labels.FromStrings("the_replica", name)))}
	}
	f, err := fanout.New(fanout.Static(members...), nil)
	testutil.Ok(asTB(t), err)
	opts.ReplicaLabels = []string{"the_replica"}
	return newScriptStorage(t, opts, f, func() error { return nil }, mems...)
}

func asTB(t any) testing.TB { return t.(testing.TB) }

// scriptStorage is what a script is loaded into, and read from through a Querier.
type scriptStorage struct {
	storage.Storage // nil: scripts use nothing else
	queryable       storage.Queryable
	mems            []*memstore.Store
	skipped         map[string]bool // series of which the second replica missed a sample
	// missing says which samples of each series the first replica misses; nil is the
	// first one of the second replica.
	missing  func(n int) bool
	appended map[string]int
	stop     func() error
}

func identicalFollowed[T any](t T) storage.Storage {
	return newFollowed(t, func(int) bool { return false })
}

func holesFollowed[T any](t T) storage.Storage {
	return newFollowed(t, func(n int) bool { return n%5 < 2 })
}

func newFollowed(t any, missing func(n int) bool) storage.Storage {
	s := newReplicas(t, &query.Options{Algorithm: dedup.Follow{}})
	s.missing, s.appended = missing, map[string]int{}
	return s
}

// seriesCalls counts calls of Series by test.
var seriesCalls sync.Map

// withoutSelectors are scripts that read no series at all.
const withoutSelectors = "literals.test"

func newScriptStorage(t any, opts *query.Options, s store.Store, stop func() error, mems ...*memstore.Store) *scriptStorage {
	tb := asTB(t)
	n, seen := seriesCalls.LoadOrStore(tb.Name(), &atomic.Int64{})
	calls := n.(*atomic.Int64)
	if !seen { // one script has several storages
		tb.Cleanup(func() {
			if calls.Load() == 0 && !strings.HasSuffix(tb.Name(), withoutSelectors) {
				tb.Error("the script asked the store for nothing")
			}
			seriesCalls.Delete(tb.Name())
		})
	}
	q, err := query.New(counting{s, calls}, opts)
	testutil.Ok(tb, err)
	return &scriptStorage{queryable: q.Queryable(nil), mems: mems, skipped: map[string]bool{}, stop: stop}
}

// counting counts what a store is asked.
type counting struct {
	store.Store
	calls *atomic.Int64
}

func (c counting) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	c.calls.Add(1)
	return c.Store.Series(ctx, req, w)
}

func (s *scriptStorage) Querier(mint, maxt int64) (storage.Querier, error) {
	return s.queryable.Querier(mint, maxt)
}
func (s *scriptStorage) Appender(context.Context) storage.Appender { return &appender{s: s} }
func (s *scriptStorage) Close() error                              { return s.stop() }

type appender struct {
	storage.Appender // nil: scripts append nothing else
	s                *scriptStorage
}

func (a *appender) Append(_ storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	return 0, a.each(l, func(m *memstore.Store) error { return m.Append(l, t, v) })
}

func (a *appender) AppendHistogram(_ storage.SeriesRef, l labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, a.each(l, func(m *memstore.Store) error {
		if h != nil {
			return m.AppendHistogram(l, t, h)
		}
		return m.AppendFloatHistogram(l, t, fh)
	})
}

func (a *appender) Commit() error { return nil }

func (a *appender) each(l labels.Labels, f func(*memstore.Store) error) error {
	n := a.s.appended[l.String()]
	if a.s.missing != nil {
		a.s.appended[l.String()] = n + 1
	}
	for i, m := range a.s.mems {
		if a.s.missing != nil {
			if i == 0 && a.s.missing(n) {
				continue
			}
		} else if i > 0 && !a.s.skipped[l.String()] && l.Get(labels.MetricName) != "http_requests_nan" {
			a.s.skipped[l.String()] = true
			continue
		}
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}

// serve puts gRPC on an in-memory listener before a store.
func serve(tb testing.TB, s store.Store) (_ *grpcstore.Client, stop func() error) {
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpcstore.GRPCServerOptions(nil)...)
	testutil.Ok(tb, grpcstore.Register(server, s, nil))
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	client, err := grpcstore.Dial("passthrough:///store", &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
	}})
	testutil.Ok(tb, err)
	return client, func() error {
		err := client.Close()
		server.Stop()
		return errors.Join(err, <-served)
	}
}

// corruptEnv makes TestPromQLScriptsOverGRPC fail.
const corruptEnv = "THANOSKIT_TEST_CORRUPT"

// corrupt changes the last sample of the first chunk of floats that a store sends
// in each answer.
func corrupt(s store.Store) store.Store {
	return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		return s.Series(ctx, req, &corruptingWriter{SeriesWriter: w})
	})
}

type corruptingWriter struct {
	store.SeriesWriter
	done bool
}

func (w *corruptingWriter) Send(s *store.Series) error {
	for i := range s.Chunks {
		c := &s.Chunks[i]
		if w.done || c.Raw.Encoding != chunkenc.EncXOR {
			continue
		}
		ch, err := c.Raw.Chunk()
		if err != nil {
			return err
		}
		out := chunkenc.NewXORChunk()
		app, err := out.Appender()
		if err != nil {
			return err
		}
		n, it := ch.NumSamples(), ch.Iterator(nil)
		for k := 1; it.Next() != chunkenc.ValNone; k++ {
			t, v := it.At()
			if k == n {
				v = math.Abs(v) + 17
			}
			app.Append(t, v)
		}
		c.Raw.Bytes, w.done = out.Bytes(), true
	}
	return w.SeriesWriter.Send(s)
}

// TestCorruptSampleFailsScripts shows that the scripts look at what the server
// sends: with one sample of each answer changed there, they fail.
func TestCorruptSampleFailsScripts(t *testing.T) {
	t.Parallel()
	const script = "TestPromQLScriptsOverGRPC/testdata/selectors.test"
	run := func(env ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(script, "/", "$/^")+"$", "-test.v")
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run()
	testutil.Assert(t, err == nil && strings.Contains(out, "--- PASS: "+script), "%v\n%s", err, out)
	out, err = run(corruptEnv + "=1")
	var failed *exec.ExitError
	testutil.Assert(t, errors.As(err, &failed) && strings.Contains(out, "--- FAIL: "+script), "%v\n%s", err, out)
}
