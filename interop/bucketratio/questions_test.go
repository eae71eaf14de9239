package bucketratio_test

import (
	"context"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
	kit "github.com/thanoskit/thanoskit/store/thanosstore"
)

// question is something that both gateways are asked.
type question struct {
	name string
	req  store.SeriesRequest
	// series is how many there are in the answer.
	series int
}

func equal(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

// one asks for one series, of a kind, by its name and where it comes from, over
// the last hours.
func (s shape) one(kind string, hours int64) question {
	i := s.series / 2
	for kinds[kindOf(i)].name != kind {
		i++
	}
	mint, maxt := s.span()
	return question{"one " + kind, store.SeriesRequest{
		MinTime: max(mint, maxt+1-hours*hour), MaxTime: maxt, Matchers: []*labels.Matcher{
			equal("__name__", lset(i).Get("__name__")), equal("instance", lset(i).Get("instance")),
		},
	}, 1}
}

// scattered asks for a hundredth of all series, which lie anywhere.
func (s shape) scattered(hours int64) question {
	const percent = "17"
	mint, maxt := s.span()
	q := question{"a hundredth", store.SeriesRequest{
		MinTime: max(mint, maxt+1-hours*hour), MaxTime: maxt, Matchers: []*labels.Matcher{equal("percent", percent)},
	}, 0}
	for i := range s.series {
		if lset(i).Get("percent") == percent {
			q.series++
		}
	}
	return q
}

// all asks for all series.
func (s shape) all(skipChunks bool) question {
	mint, maxt := s.span()
	q := question{"all", store.SeriesRequest{
		MinTime: mint, MaxTime: maxt, Matchers: []*labels.Matcher{equal("job", "kubernetes-pods")}, SkipChunks: skipChunks,
	}, s.series}
	if skipChunks {
		q.name = "all, labels only"
	}
	return q
}

// counter counts what a gateway answers, as cheaply as that can be done. It is
// what both servers hand their answers to before these are encoded.
type counter struct {
	storepb.Store_SeriesServer // for what is not called
	ctx                        context.Context
	series, chunks, bytes      int
}

func (c *counter) Context() context.Context { return c.ctx }

// Send takes a series or a batch of them.
func (c *counter) Send(r *storepb.SeriesResponse) error {
	if s := r.GetSeries(); s != nil {
		c.count(s)
	}
	if b := r.GetBatch(); b != nil {
		for _, s := range b.Series {
			c.count(s)
		}
	}
	return nil
}

func (c *counter) count(s *storepb.Series) {
	c.series++
	c.chunks += len(s.Chunks)
	for i := range s.Chunks {
		c.bytes += len(s.Chunks[i].Raw.Data)
	}
}

// frameCounter is a counter of frames.
type frameCounter struct{ series, chunks, bytes int }

func (c *frameCounter) Send(s *store.Series) error { panic("frames are wanted") }
func (c *frameCounter) Warn(err error) error       { return err }
func (c *frameCounter) SendFrame(f *encoded.Frame) error {
	c.series += len(f.Series)
	for i := range f.Series {
		c.chunks += len(f.Series[i].Chunks)
		for j := range f.Series[i].Chunks {
			c.bytes += len(f.Series[i].Chunks[j].Raw.Bytes)
		}
	}
	return nil
}

// askThanos asks for batches of 64 series, as Thanos' querier does.
func askThanos(ctx context.Context, t testing.TB, s *thanosstore.BucketStore, q *question) (c counter) {
	ms, err := storepb.PromMatchersToMatchers(q.req.Matchers...)
	testutil.Ok(t, err)
	c.ctx = ctx
	testutil.Ok(t, s.Series(&storepb.SeriesRequest{
		MinTime: q.req.MinTime, MaxTime: q.req.MaxTime, Matchers: ms, SkipChunks: q.req.SkipChunks,
		Aggregates:        []storepb.Aggr{storepb.Aggr_RAW},
		ResponseBatchSize: thanosstore.DefaultResponseBatchSize,
	}, &c))
	testutil.Equals(t, q.series, c.series, q.name)
	return c
}

func askUs(ctx context.Context, t testing.TB, s *bucketstore.Store, q *question) (c frameCounter) {
	testutil.Ok(t, s.Series(ctx, &q.req, &c))
	testutil.Equals(t, q.series, c.series, q.name)
	return c
}

// sameAnswers requires both to send the same, chunk for chunk.
func sameAnswers(ctx context.Context, t testing.TB, thanos *thanosstore.BucketStore, ours *bucketstore.Store, q *question) {
	t.Helper()
	want, got := collect(ctx, t, kit.FromServer(thanos, nil), q), collect(ctx, t, ours, q)
	testutil.Equals(t, q.series, len(want), q.name)
	testutil.Equals(t, len(want), len(got), q.name)
	for i := range want {
		testutil.Assert(t, labels.Equal(want[i].Labels, got[i].Labels), "%s: %s is not %s", q.name, got[i].Labels, want[i].Labels)
		testutil.Assert(t, slices.EqualFunc(want[i].Chunks, got[i].Chunks, sameChunk), "%s: chunks of %s", q.name, got[i].Labels)
	}
}

func sameChunk(a, b store.Chunk) bool {
	return a.MinTime == b.MinTime && a.MaxTime == b.MaxTime && a.Raw.Encoding == b.Raw.Encoding && string(a.Raw.Bytes) == string(b.Raw.Bytes)
}

func collect(ctx context.Context, t testing.TB, s store.Store, q *question) (out []*store.Series) {
	t.Helper()
	req, outcome := q.req, &store.Outcome{}
	for series, err := range store.All(ctx, s, &req, outcome) {
		testutil.Ok(t, err)
		out = append(out, series)
	}
	testutil.Equals(t, 0, len(outcome.Warnings()), "%v", outcome.Warnings())
	return out
}
