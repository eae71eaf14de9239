package thanosstore_test

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc/metadata"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/via"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// A request that goes to Thanos' types and comes back is the same.
func TestRequestsGoThereAndBack(t *testing.T) {
	t.Parallel()
	r := random{rand.New(rand.NewSource(1))}
	seen := new(recorder)
	options := &thanosstore.ServerOptions{MetadataKeys: []string{"request-id", "other"}}
	for direction, s := range map[string]store.Store{
		"server": thanosstore.FromServer(thanosstore.NewServer(seen, options), nil),
		"client": thanosstore.FromClient(thanosstore.NewClient("", seen, options), nil),
	} {
		for i := range 500 {
			series, names, values := r.seriesRequest(), r.namesRequest(), r.valuesRequest()
			testutil.Ok(t, s.Series(t.Context(), series, &plainWriter{}))
			equal(t, fmt.Sprint(direction, i), series, seen.series)
			_, err := store.LabelNames(t.Context(), s, names)
			testutil.Ok(t, err)
			equal(t, fmt.Sprint(direction, i), names, seen.names)
			_, err = store.LabelValues(t.Context(), s, values)
			testutil.Ok(t, err)
			equal(t, fmt.Sprint(direction, i), values, seen.values)
		}
	}
}

// equal compares requests by all fields but the Outcome, which is the server's.
func equal[T any](t *testing.T, name string, want, got *T) {
	t.Helper()
	d := cmp.Diff(want, got,
		cmp.Comparer(func(a, b *labels.Matcher) bool { return a.String() == b.String() }),
		cmp.Comparer(func(a, b *store.Outcome) bool { return true }))
	testutil.Assert(t, d == "", "%s: %s", name, d)
}

// recorder is a Store that keeps the last requests.
type recorder struct {
	series *store.SeriesRequest
	names  *store.LabelNamesRequest
	values *store.LabelValuesRequest
	ctx    context.Context
}

func (r *recorder) Series(ctx context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
	r.ctx, r.series = ctx, req
	return nil
}

func (r *recorder) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	r.ctx, r.names = ctx, req
	return nil, nil
}

func (r *recorder) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	r.ctx, r.values = ctx, req
	return nil, nil
}

// random makes requests. Slices and maps that are empty are nil: on the wire the
// two are the same.
type random struct{ *rand.Rand }

func (r random) bool() bool { return r.Intn(2) == 0 }

func (r random) time() int64 {
	return []int64{0, 1, -1, math.MinInt64, math.MaxInt64, r.Int63()}[r.Intn(6)]
}

func (r random) millis() time.Duration { return time.Duration(r.Intn(1<<30)) * time.Millisecond }

func (r random) text() string {
	return []string{"", "a", "job", "ünicode", "x\x00y", "a|b"}[r.Intn(6)]
}

func (r random) texts() (out []string) {
	for range r.Intn(3) {
		out = append(out, r.text())
	}
	return out
}

func (r random) matchers() (out []*labels.Matcher) {
	for range r.Intn(4) {
		out = append(out, labels.MustNewMatcher(labels.MatchType(r.Intn(4)), r.text(), r.text()))
	}
	return out
}

func (r random) any() *store.Any {
	if r.bool() {
		return nil
	}
	return &store.Any{TypeURL: r.text(), Value: append([]byte("v"), r.text()...)}
}

func (r random) metadata() map[string][]string {
	if r.bool() {
		return nil
	}
	return map[string][]string{"request-id": {"1", "2"}, "other": {"x"}}
}

func (r random) seriesRequest() *store.SeriesRequest {
	out := &store.SeriesRequest{
		MinTime: r.time(), MaxTime: r.time(), Matchers: r.matchers(), MaxResolution: r.millis(),
		Aggregates: store.Aggregates(r.Intn(1 << 5)), Strategy: store.PartialResponseStrategy(r.Intn(2)), SkipChunks: r.bool(),
		WithoutReplicaLabels: r.texts(), Limit: r.Intn(100), StoreHints: r.any(), Tenant: r.text(), Metadata: r.metadata(),
	}
	if r.bool() {
		out.Shard = &store.Shard{Index: r.time(), Total: r.time(), By: r.bool(), Labels: r.texts()}
	}
	if r.bool() {
		out.Hints = &store.QueryHints{
			Step: r.millis(), Func: r.text(), Grouping: r.texts(), By: r.bool(), Range: r.millis(),
			ProjectionLabels: r.texts(), ProjectionInclude: r.bool(),
		}
	}
	return out
}

func (r random) namesRequest() *store.LabelNamesRequest {
	return &store.LabelNamesRequest{
		MinTime: r.time(), MaxTime: r.time(), Matchers: r.matchers(), Strategy: store.PartialResponseStrategy(r.Intn(2)),
		WithoutReplicaLabels: r.texts(), Limit: r.Intn(100), StoreHints: r.any(), Tenant: r.text(), Metadata: r.metadata(),
	}
}

func (r random) valuesRequest() *store.LabelValuesRequest {
	return &store.LabelValuesRequest{
		Label: "job", MinTime: r.time(), MaxTime: r.time(), Matchers: r.matchers(), Strategy: store.PartialResponseStrategy(r.Intn(2)),
		WithoutReplicaLabels: []string{"replica"}, Limit: r.Intn(100), StoreHints: r.any(), Tenant: r.text(), Metadata: r.metadata(),
	}
}

// What Thanos sees of a request, field by field.
func TestRequestToThanos(t *testing.T) {
	t.Parallel()
	var got *storepb.SeriesRequest
	s := thanosstore.FromServer(&fakeServer{series: func(r *storepb.SeriesRequest, _ storepb.Store_SeriesServer) error {
		got = r
		return nil
	}}, nil)
	req := &store.SeriesRequest{
		MinTime: 1, MaxTime: 2, MaxResolution: 5 * time.Minute, Aggregates: store.AggregateCount | store.AggregateCounter,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotRegexp, "job", "a|b")}, Strategy: store.Abort, SkipChunks: true,
		WithoutReplicaLabels: []string{"replica"}, Limit: 3, Hints: &store.QueryHints{Step: time.Minute, Func: "rate", Range: time.Hour},
		StoreHints: &store.Any{TypeURL: "x", Value: []byte("y")},
	}
	testutil.Ok(t, s.Series(t.Context(), req, &plainWriter{}))
	testutil.Equals(t, int64(1), got.MinTime)
	testutil.Equals(t, int64(2), got.MaxTime)
	testutil.Equals(t, int64(300_000), got.MaxResolutionWindow)
	testutil.Equals(t, []storepb.Aggr{storepb.Aggr_COUNT, storepb.Aggr_COUNTER}, got.Aggregates)
	testutil.Equals(t, []storepb.LabelMatcher{{Type: storepb.LabelMatcher_NRE, Name: "job", Value: "a|b"}}, got.Matchers)
	testutil.Equals(t, storepb.PartialResponseStrategy_ABORT, got.PartialResponseStrategy)
	testutil.Assert(t, got.SkipChunks && got.ShardInfo == nil)
	testutil.Equals(t, []string{"replica"}, got.WithoutReplicaLabels)
	testutil.Equals(t, int64(3), got.Limit)
	testutil.Equals(t, int64(60_000), got.QueryHints.StepMillis)
	testutil.Equals(t, "rate", got.QueryHints.Func.Name)
	testutil.Equals(t, int64(3_600_000), got.QueryHints.Range.Millis)
	testutil.Equals(t, "x", got.Hints.TypeUrl)
	testutil.Equals(t, int64(64), got.ResponseBatchSize)
}

// Of one shard, single series are asked for, whatever the options say.
func TestBatchesAskedFor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		option int
		shard  *store.Shard
		want   int64
	}{
		{0, nil, 64}, {5, nil, 5}, {-1, nil, 0}, {0, &store.Shard{Total: 2}, 0},
	} {
		var got int64
		s := thanosstore.FromServer(&fakeServer{series: func(r *storepb.SeriesRequest, _ storepb.Store_SeriesServer) error {
			got = r.ResponseBatchSize
			return nil
		}}, &thanosstore.Options{BatchSize: tc.option})
		testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{Shard: tc.shard}, &plainWriter{}))
		testutil.Equals(t, tc.want, got, "%+v", tc)
	}
}

// What Thanos asks for in ways that it has given up is understood.
func TestDeprecatedRequests(t *testing.T) {
	t.Parallel()
	seen := new(recorder)
	srv := thanosstore.NewServer(seen, nil)
	stream := &recordingStream{ctx: t.Context()}
	testutil.Ok(t, srv.Series(&storepb.SeriesRequest{PartialResponseDisabled: true, Step: 5, Range: 6, Aggregates: []storepb.Aggr{storepb.Aggr_RAW, storepb.Aggr_SUM}}, stream))
	testutil.Equals(t, store.Abort, seen.series.Strategy)
	testutil.Equals(t, store.AggregateSum, seen.series.Aggregates)
	testutil.Assert(t, seen.series.Hints == nil)
	_, err := srv.LabelNames(t.Context(), &storepb.LabelNamesRequest{PartialResponseDisabled: true})
	testutil.Ok(t, err)
	testutil.Equals(t, store.Abort, seen.names.Strategy)
}

// The tenant, further metadata and the path of fan-outs reach a server that is
// called directly, and one behind a client of it.
func TestMetadata(t *testing.T) {
	t.Parallel()
	var in, out metadata.MD
	fake := &fakeServer{series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
		in, _ = metadata.FromIncomingContext(s.Context())
		out, _ = metadata.FromOutgoingContext(s.Context())
		return nil
	}}
	ctx := metadata.NewIncomingContext(via.With(t.Context(), "top"), metadata.Pairs("thanos-tenant", "outer", "cookie", "secret"))
	ctx = metadata.AppendToOutgoingContext(ctx, "set-by", "caller")
	req := &store.SeriesRequest{Tenant: "a", Metadata: map[string][]string{"request-id": {"1"}}}
	testutil.Ok(t, thanosstore.FromServer(fake, nil).Series(ctx, req, &plainWriter{}))
	want := metadata.Pairs("thanos-tenant", "a", "request-id", "1", "set-by", "caller", "thanoskit-via-bin", "top")
	testutil.Equals(t, want, in)
	testutil.Equals(t, want, out)

	// Without a tenant, that of whoever asked us is nobody's.
	testutil.Ok(t, thanosstore.FromServer(fake, nil).Series(ctx, &store.SeriesRequest{}, &plainWriter{}))
	testutil.Equals(t, 0, len(in.Get("thanos-tenant")))

	// A path that came as metadata goes on in the context, once.
	seen := new(recorder)
	srv := thanosstore.NewServer(seen, nil)
	stream := &recordingStream{ctx: metadata.NewIncomingContext(t.Context(), metadata.Pairs("thanoskit-via-bin", "x", "thanos-tenant", "b"))}
	testutil.Ok(t, srv.Series(&storepb.SeriesRequest{}, stream))
	testutil.Equals(t, []string{"x"}, via.From(seen.ctx))
	testutil.Equals(t, "b", seen.series.Tenant)
	testutil.Ok(t, thanosstore.FromServer(srv, nil).Series(via.With(t.Context(), "y"), &store.SeriesRequest{}, &plainWriter{}))
	testutil.Equals(t, []string{"y"}, via.From(seen.ctx))
}

func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	srv := thanosstore.NewServer(new(recorder), nil)
	bad := []storepb.LabelMatcher{{Type: storepb.LabelMatcher_RE, Name: "a", Value: "("}}
	_, names := srv.LabelNames(t.Context(), &storepb.LabelNamesRequest{Matchers: bad})
	_, values := srv.LabelValues(t.Context(), &storepb.LabelValuesRequest{Matchers: bad, Label: "a"})
	_, noLabel := srv.LabelValues(t.Context(), &storepb.LabelValuesRequest{})
	for name, err := range map[string]error{
		"series": srv.Series(&storepb.SeriesRequest{Matchers: bad}, &recordingStream{ctx: t.Context()}),
		"type":   srv.Series(&storepb.SeriesRequest{Matchers: []storepb.LabelMatcher{{Type: 9}}}, &recordingStream{ctx: t.Context()}),
		"names":  names, "values": values, "no label": noLabel,
	} {
		testutil.Equals(t, "InvalidArgument", code(err), name)
	}
}
