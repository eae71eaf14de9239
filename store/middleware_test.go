package store_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

type failingFrames struct{ sink }

func (failingFrames) SendFrame(*encoded.Frame) error { return errSink }

func TestLimits(t *testing.T) {
	a, b := labels.FromStrings("a", "1"), labels.FromStrings("a", "2")
	in := list{a, a, b} // a in two parts
	size := int64(len("chunk 0"))
	a.Range(func(l labels.Label) { size += int64(len(l.Name) + len(l.Value)) })
	wire := int64(len(encoded.AppendLabels(nil, a)) + len("chunk 0"))
	for _, tc := range []struct {
		name   string
		limits store.Limits // Bytes as a multiple of one series with its chunk
		want   int          // series sent
		failed string
	}{
		{"none", store.Limits{}, 3, ""},
		{"just enough", store.Limits{Series: 2, Chunks: 3, Bytes: 3}, 3, ""},
		{"series", store.Limits{Series: 1}, 2, "series limit of 1 exceeded"},
		{"chunks", store.Limits{Chunks: 1}, 1, "chunks limit of 1 exceeded"},
		{"bytes", store.Limits{Bytes: 2}, 2, "bytes limit of"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			check := func(err error, sent int) {
				t.Helper()
				testutil.Equals(t, tc.want, sent)
				if tc.failed == "" {
					testutil.Ok(t, err)
					return
				}
				var le *store.LimitError
				testutil.Assert(t, errors.Is(err, store.ErrLimit) && errors.As(err, &le), "got %v", err)
				testutil.Equals(t, tc.failed, err.Error()[:len(tc.failed)])
			}
			l := tc.limits
			l.Bytes *= size
			var plain sink
			err := store.Wrap(in, store.WithLimits(l)).Series(t.Context(), &store.SeriesRequest{}, &plain)
			check(err, len(plain.got))

			l.Bytes = tc.limits.Bytes * wire
			live := 0
			var frames frameSink
			err = store.Wrap(framed{in, 1, &live}, store.WithLimits(l)).Series(t.Context(), &store.SeriesRequest{}, &frames)
			frames.drain()
			check(err, len(frames.got))
		})
	}
}

func TestLimitsCountASeriesWithoutLabels(t *testing.T) {
	live := 0
	var frames frameSink
	err := store.Wrap(framed{list{labels.EmptyLabels()}, 1, &live}, store.WithLimits(store.Limits{Series: 1})).Series(t.Context(), &store.SeriesRequest{}, &frames)
	testutil.Ok(t, err)
	frames.drain()
	testutil.Equals(t, 1, len(frames.got))
}

func TestRecovery(t *testing.T) {
	cause := errors.New("cause")
	s := store.Wrap(panicking{cause}, store.WithRecovery())
	check := func(err error) {
		t.Helper()
		var p *store.PanicError
		testutil.Assert(t, errors.As(err, &p) && errors.Is(err, cause), "got %v", err)
		testutil.Assert(t, len(p.Stack) > 0)
		testutil.Equals(t, "panic: cause", err.Error())
	}
	check(s.Series(t.Context(), &store.SeriesRequest{}, &sink{}))
	_, err := store.LabelNames(t.Context(), s, &store.LabelNamesRequest{})
	check(err)
	_, err = store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "a"})
	check(err)
	_, err = store.Describe(t.Context(), s)
	check(err)
}

type panicking struct{ cause error }

func (p panicking) Series(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
	panic(p.cause)
}
func (p panicking) Describe(context.Context) (store.Info, error) { panic(p.cause) }

func TestAll(t *testing.T) {
	warning := errors.New("careful")
	returned := false
	s := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		defer func() { returned = true }()
		req.Outcome.AddMember(store.MemberOutcome{Member: "m"})
		if err := w.Warn(warning); err != nil {
			return err
		}
		for range 3 {
			if err := w.Send(&store.Series{}); err != nil {
				testutil.Assert(t, ctx.Err() != nil, "the context should have ended")
				// A Store that does not listen must not bring the loop back to life.
				testutil.NotOk(t, w.Send(&store.Series{}))
				testutil.NotOk(t, w.Warn(warning))
				return err
			}
		}
		return errSink
	})
	var out store.Outcome
	n := 0
	var last error
	for series, err := range store.All(t.Context(), s, &store.SeriesRequest{}, &out) {
		if err != nil {
			testutil.Assert(t, series == nil)
			last = err
			continue
		}
		n++
	}
	testutil.Equals(t, 3, n)
	testutil.Assert(t, errors.Is(last, errSink))
	testutil.Equals(t, []error{warning}, out.Warnings())
	testutil.Equals(t, "m", out.Members()[0].Member)
	testutil.Assert(t, !out.Complete())

	returned = false
	for range store.All(t.Context(), s, &store.SeriesRequest{}, nil) {
		break
	}
	testutil.Assert(t, returned, "the Store should have returned before the loop ended")
}

// TestAllOfAnEndedContext: a Store that then just stops has not sent all there is.
func TestAllOfAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { cancel(); return nil })
	var errs []error
	for _, err := range store.All(ctx, s, &store.SeriesRequest{}, nil) {
		errs = append(errs, err)
	}
	testutil.Assert(t, len(errs) == 1 && errors.Is(errs[0], context.Canceled), "%v", errs)
	_, err := store.LabelNames(ctx, s, &store.LabelNamesRequest{})
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
}

func TestAllPassesOnThePanicOfItsLoop(t *testing.T) {
	defer func() { testutil.Equals(t, "mine", recover()) }()
	for range store.All(t.Context(), store.Wrap(list{labels.FromStrings("a", "b")}, store.WithRecovery()), &store.SeriesRequest{}, nil) {
		panic("mine")
	}
}

func TestOutcomeComplete(t *testing.T) {
	var none *store.Outcome
	none.AddMember(store.MemberOutcome{Status: store.Failed})
	none.AddWarning(errSink)
	none.AddHints(store.Any{})
	testutil.Assert(t, none.Complete())
	testutil.Equals(t, 0, len(none.Members())+len(none.Warnings())+len(none.Hints()))

	for status, want := range map[store.MemberStatus]bool{
		store.Answered: true, store.Pruned: true, store.Failed: false, store.TimedOut: false, store.Canceled: false,
	} {
		var o store.Outcome
		o.AddHints(store.Any{TypeURL: "x"})
		o.AddMember(store.MemberOutcome{Status: status})
		testutil.Equals(t, want, o.Complete(), status.String())
		testutil.Equals(t, 1, len(o.Hints()))
	}
	var o store.Outcome
	o.AddMember(store.MemberOutcome{Warnings: []error{errSink}})
	testutil.Assert(t, !o.Complete())
}

func TestInfoMayHold(t *testing.T) {
	info := store.Info{MinTime: 10, MaxTime: 20, LabelSets: []labels.Labels{labels.FromStrings("cluster", "a"), labels.FromStrings("cluster", "b", "replica", "1")}}
	for _, tc := range []struct {
		name       string
		info       store.Info
		mint, maxt int64
		m          *labels.Matcher
		want       bool
		why        string
	}{
		{"says nothing", store.Info{}, math.MinInt64, math.MinInt64, match(t, labels.MatchEqual, "x", "y"), true, ""},
		{"last millisecond", info, 20, 30, match(t, labels.MatchEqual, "cluster", "a"), true, ""},
		{"first millisecond", info, 0, 10, match(t, labels.MatchEqual, "cluster", "a"), true, ""},
		{"too late", info, 21, 30, match(t, labels.MatchEqual, "cluster", "a"), false, store.PrunedByTime},
		{"too early", info, 0, 9, match(t, labels.MatchEqual, "cluster", "a"), false, store.PrunedByTime},
		{"no such cluster", info, 0, 30, match(t, labels.MatchEqual, "cluster", "c"), false, store.PrunedByLabels},
		{"other label", info, 0, 30, match(t, labels.MatchEqual, "job", "c"), true, ""},
		{"one of the sets does not tell", info, 0, 30, match(t, labels.MatchEqual, "replica", "2"), true, ""},
		{"negative", info, 0, 30, match(t, labels.MatchNotRegexp, "cluster", "a|b"), false, store.PrunedByLabels},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, why := tc.info.MayHold(tc.mint, tc.maxt, []*labels.Matcher{tc.m})
			testutil.Equals(t, tc.want, ok)
			testutil.Equals(t, tc.why, why)
		})
	}
}

// The indices are those of xxhash64 over name, 0xff, value, 0xff; a test in
// interop holds the same code to Thanos' own.
func TestShardMatches(t *testing.T) {
	up := labels.FromStrings("__name__", "up")
	full := labels.FromStrings("__name__", "up", "instance", "a:9090", "job", "node")
	utf8 := labels.FromStrings("__name__", "up", "job", "näh")
	for _, tc := range []struct {
		lset  labels.Labels
		by    bool
		index int64
	}{
		{labels.EmptyLabels(), true, 921},
		{labels.EmptyLabels(), false, 921},
		{up, true, 921},
		{up, false, 688},
		{full, true, 331},
		{full, false, 950},
		{utf8, true, 494},
		{utf8, false, 688},
	} {
		s := &store.Shard{Total: 1000, By: tc.by, Labels: []string{"job"}}
		for s.Index = range s.Total {
			testutil.Equals(t, s.Index == tc.index, s.Matches(tc.lset), "%s by %t in shard %d", tc.lset, tc.by, s.Index)
		}
	}
	var all *store.Shard
	testutil.Assert(t, all.Matches(full))
	testutil.Assert(t, (&store.Shard{}).Matches(full))
}

func TestChunkEncodings(t *testing.T) {
	x := chunkenc.NewXORChunk()
	c, err := store.RawChunk(1, 2, x)
	testutil.Ok(t, err)
	testutil.Assert(t, !c.Raw.IsZero())
	back, err := c.Raw.Chunk()
	testutil.Ok(t, err)
	testutil.Equals(t, chunkenc.EncXOR, back.Encoding())

	_, err = store.RawChunk(1, 2, oddChunk{x})
	testutil.Assert(t, errors.Is(err, store.ErrEncoding), "got %v", err)
	testutil.Equals(t, "chunk encoding 9 (<unknown>) not supported by the StoreAPI", err.Error())
	_, err = store.ChunkData{}.Chunk()
	testutil.Assert(t, errors.Is(err, store.ErrEncoding), "got %v", err)
	err = &store.EncodingError{Encoding: 9, Series: labels.FromStrings("a", "b")}
	testutil.Equals(t, `chunk encoding 9 (<unknown>) not supported by the StoreAPI in series {a="b"}`, err.Error())
}

func TestFloatChunks(t *testing.T) {
	var ts []int64
	var vs []float64
	for i := range 250 {
		ts, vs = append(ts, int64(i)*15000), append(vs, float64(i))
	}
	chunks, err := store.FloatChunks(ts, vs)
	testutil.Ok(t, err)
	testutil.Equals(t, 3, len(chunks))
	var gotT []int64
	var gotV []float64
	for _, c := range chunks {
		data, err := c.Raw.Chunk()
		testutil.Ok(t, err)
		n := len(gotT)
		for it := data.Iterator(nil); it.Next() != chunkenc.ValNone; {
			at, v := it.At()
			gotT, gotV = append(gotT, at), append(gotV, v)
		}
		testutil.Assert(t, c.MinTime == gotT[n] && c.MaxTime == gotT[len(gotT)-1], "bounds %d..%d", c.MinTime, c.MaxTime)
	}
	testutil.Equals(t, ts, gotT)
	testutil.Equals(t, vs, gotV)

	chunks, err = store.FloatChunks(nil, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(chunks))
	_, err = store.FloatChunks([]int64{1}, nil)
	testutil.NotOk(t, err)
	ts[120] = ts[119] // across the cut
	_, err = store.FloatChunks(ts, vs)
	testutil.Assert(t, err != nil && err.Error() == "encode samples: time 1785000 follows 1785000", "got %v", err)
}

type oddChunk struct{ chunkenc.Chunk }

func (oddChunk) Encoding() chunkenc.Encoding { return 9 }

func TestStrings(t *testing.T) {
	testutil.Equals(t, "WARN ABORT PartialResponseStrategy(7)", store.Warn.String()+" "+store.Abort.String()+" "+store.PartialResponseStrategy(7).String())
	testutil.Equals(t, "RAW", store.Aggregates(0).String())
	testutil.Equals(t, "COUNT|COUNTER", (store.AggregateCount | store.AggregateCounter).String())
	testutil.Assert(t, (store.AggregateCount | store.AggregateSum).Has(store.AggregateSum))
	testutil.Equals(t, "answered pruned failed timed out canceled MemberStatus(9)",
		store.Answered.String()+" "+store.Pruned.String()+" "+store.Failed.String()+" "+store.TimedOut.String()+" "+store.Canceled.String()+" "+store.MemberStatus(9).String())
	req := store.SeriesRequest{MinTime: 1, MaxTime: 2, MaxResolution: time.Hour, Matchers: []*labels.Matcher{match(t, labels.MatchEqual, "a", "b"), match(t, labels.MatchNotRegexp, "c", "d")}}
	testutil.Equals(t, `{a="b",c!~"d"}[1..2]`, req.String())
	testutil.Equals(t, "store x: series: cause", (&store.Error{Store: "x", Op: "series", Err: errors.New("cause")}).Error())
}
