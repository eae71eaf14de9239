package promstore_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// both runs a test with a Prometheus that streams and one that does not know
// how.
func both(t *testing.T, test func(t *testing.T, samplesOnly bool)) {
	t.Helper()
	for _, samplesOnly := range []bool{false, true} {
		t.Run(map[bool]string{false: "streamed", true: "sampled"}[samplesOnly], func(t *testing.T) {
			t.Parallel()
			test(t, samplesOnly)
		})
	}
}

func TestSeriesSendsEverySample(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t)
		f.samplesOnly = samplesOnly
		f.kinds(t)
		s := f.store(t, promstore.Options{})
		for _, rng := range [][2]int64{
			{math.MinInt64, math.MaxInt64}, {0, scrapes * scrape}, {80 * scrape, 200 * scrape}, {7*scrape + 1, 8 * scrape}, {8 * scrape, 8 * scrape},
		} {
			req := &store.SeriesRequest{MinTime: rng[0], MaxTime: rng[1], Matchers: matchers(t, `kind`)}
			want := f.held(t, rng[0], rng[1], req.Matchers...)
			testutil.Equals(t, 8, len(want))
			series := collect(t, s, req)
			testutil.Equals(t, want, sent(t, series, rng[0], rng[1]))
			for _, se := range series {
				for _, c := range se.Chunks {
					chk, err := c.Raw.Chunk()
					testutil.Ok(t, err)
					if samplesOnly {
						testutil.Assert(t, chk.NumSamples() <= store.SamplesPerChunk, "%d samples in a chunk", chk.NumSamples())
					}
				}
			}
		}
	})
}

func TestSeriesKeepsWhatHistogramsKnowOfResets(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t)
		f.samplesOnly = samplesOnly
		f.kinds(t)
		s := f.store(t, promstore.Options{})
		for _, se := range collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64, Matchers: matchers(t, `kind{kind=~"counter|float"}`)}) {
			for _, c := range se.Chunks {
				var header chunkenc.CounterResetHeader
				chk, err := c.Raw.Chunk()
				testutil.Ok(t, err)
				switch chk := chk.(type) {
				case *chunkenc.HistogramChunk:
					header = chk.GetCounterResetHeader()
				case *chunkenc.FloatHistogramChunk:
					header = chk.GetCounterResetHeader()
				}
				reset := c.MinTime == 131*scrape || c.MinTime == 261*scrape
				testutil.Equals(t, reset, header == chunkenc.CounterReset, "%s: chunk at scrape %d", se.Labels, c.MinTime/scrape)
			}
		}
	})
}

func TestSeriesCustomBuckets(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.customBuckets(t)
	s := f.store(t, promstore.Options{})
	req := &store.SeriesRequest{MaxTime: math.MaxInt64}
	testutil.Equals(t, f.held(t, 0, math.MaxInt64, matchers(t, "custom")...), sent(t, collect(t, s, req), 0, math.MaxInt64))

	// Prometheus leaves the bounds out of samples: buckets without them are not
	// data.
	f.samplesOnly = true
	err := s.Series(t.Context(), req, &counter{})
	testutil.Assert(t, errors.Is(err, promstore.ErrBucketBounds), "%v", err)
	var se *store.Error
	testutil.Assert(t, errors.As(err, &se) && se.Op == "series", "%v", err)
	testutil.Assert(t, strings.Contains(err.Error(), `{__name__="custom", kind="float"}`), "%v", err)
}

func TestSeriesOrder(t *testing.T) {
	t.Parallel()
	lsets := []labels.Labels{
		labels.FromStrings("__name__", "m", "a", "1"),
		labels.FromStrings("__name__", "m", "a", "1", "b", "2"),
		labels.FromStrings("__name__", "m", "a", "1", "zone", "x"),
		labels.FromStrings("__name__", "m", "cluster", "own"),
		labels.FromStrings("__name__", "m", "cluster", "own", "z", "1"),
		labels.FromStrings("__name__", "m", "instance", "i1", "z", "1"),
		labels.FromStrings("__name__", "m", "instance", "i2"),
		labels.FromStrings("__name__", "n"),
		labels.FromStrings("a", "no name"),
		labels.FromStrings("z", "no name"),
		labels.FromStrings("__name__", "höhe", "größe", "ß", "http.status", "200"),
	}
	externals := [][]string{
		nil,
		{"cluster", "c1", "replica", "a"},
		{"A", "before names"},
		{"zz", "after all"},
		{"a", "over series labels", "instance", "too"},
		{"__name__", "even this"},
	}
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t)
		f.samplesOnly = samplesOnly
		f.floats(t, 3, lsets...)
		for _, external := range externals {
			f.setExternal(external...)
			s := f.store(t, promstore.Options{})
			for _, drop := range [][]string{nil, {"replica"}, {"instance", "cluster"}, {"A", "a", "__name__"}} {
				for _, skip := range []bool{false, true} {
					var want []string
					for _, lset := range lsets {
						b := labels.NewBuilder(lset)
						labels.FromStrings(external...).Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
						if got := b.Del(drop...).Labels(); !got.IsEmpty() {
							want = append(want, got.String())
						}
					}
					slices.Sort(want)
					got := names(collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64, WithoutReplicaLabels: drop, SkipChunks: skip}))
					slices.Sort(got)
					testutil.Equals(t, slices.Compact(want), got, "external %v, without %v, skip %t", external, drop, skip)
				}
			}
		}
	})
}

func TestSeriesShards(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t, "cluster", "c1", "replica", "a")
		f.samplesOnly = samplesOnly
		f.floats(t, 2, many(100)...)
		s := f.store(t, promstore.Options{})
		for _, skip := range []bool{false, true} {
			req := store.SeriesRequest{MaxTime: math.MaxInt64, WithoutReplicaLabels: []string{"replica"}, SkipChunks: skip}
			want := names(collect(t, s, &req))
			testutil.Equals(t, 100, len(want))
			var got []string
			for i := range int64(3) {
				req.Shard = &store.Shard{Index: i, Total: 3, By: true, Labels: []string{"instance"}}
				part := collect(t, s, &req)
				testutil.Assert(t, len(part) > 10, "shard %d has %d series", i, len(part))
				for _, se := range part {
					testutil.Assert(t, req.Shard.Matches(se.Labels))
				}
				got = append(got, names(part)...)
			}
			slices.Sort(got)
			testutil.Equals(t, want, got)
		}
	})
}

// many returns n label sets, in order.
func many(n int) []labels.Labels {
	out := make([]labels.Labels, n)
	for i := range out {
		out[i] = labels.FromStrings("__name__", fmt.Sprintf("metric_%02d", i/50), "instance", fmt.Sprintf("host-%03d", i), "job", "many")
	}
	return out
}

func TestSeriesMatchers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t, "cluster", "c1", "replica", "a")
		f.samplesOnly = samplesOnly
		f.floats(t, 2,
			labels.FromStrings("__name__", "up", "job", "a"),
			labels.FromStrings("__name__", "up", "job", "b"),
			labels.FromStrings("__name__", "up", "job", "c", "cluster", "own"),
			labels.FromStrings("__name__", "up.utf8", "http.status", "200"),
			labels.FromStrings("job", "no name"),
		)
		s := f.store(t, promstore.Options{})
		for selector, want := range map[string]int{
			``:                                   5,
			`{}`:                                 5,
			`{cluster="c1"}`:                     5,
			`{cluster=~"c.+",replica!="b"}`:      5,
			`{cluster="c2"}`:                     0,
			`{cluster="own"}`:                    0, // external labels override
			`{cluster!="c1"}`:                    0,
			`{cluster=""}`:                       0,
			`up`:                                 3,
			`up{job="a"}`:                        1,
			`up{job!="a"}`:                       2,
			`up{job=~"a|b",cluster="c1"}`:        2,
			`{job!~"a|b"}`:                       3,
			`{job!="a"}`:                         4, // may match everything, so that the APIs refuse it
			`{job=""}`:                           1,
			`{nonexistent=""}`:                   5,
			`{nonexistent!=""}`:                  0,
			`{__name__=""}`:                      1,
			`{__name__=~".*"}`:                   5,
			`{__name__=~".+"}`:                   4,
			`{"http.status"="200"}`:              1,
			`{"http.status"=~"2.."}`:             1,
			`{"up.utf8"}`:                        1,
			`{job="quote \" backslash \\ \xff"}`: 0,
		} {
			for _, skip := range []bool{false, true} {
				got := collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64, Matchers: matchers(t, selector), SkipChunks: skip})
				testutil.Equals(t, want, len(got), "%s, skip %t: %v", selector, skip, names(got))
				for _, se := range got {
					testutil.Equals(t, skip, len(se.Chunks) == 0)
				}
			}
		}
	})
}

func TestSeriesOnlyInRange(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t, "cluster", "c1")
		f.samplesOnly = samplesOnly
		f.floats(t, 10, labels.FromStrings("__name__", "short"))
		f.floats(t, 300, labels.FromStrings("__name__", "long"))
		s := f.store(t, promstore.Options{})
		for _, tc := range []struct {
			mint, maxt int64
			want       []string
		}{
			{1 * scrape, 10 * scrape, []string{`{__name__="long", cluster="c1"}`, `{__name__="short", cluster="c1"}`}},
			{10 * scrape, 10 * scrape, []string{`{__name__="long", cluster="c1"}`, `{__name__="short", cluster="c1"}`}},
			{11 * scrape, 20 * scrape, []string{`{__name__="long", cluster="c1"}`}},
			{301 * scrape, 400 * scrape, []string{}},
			{math.MinInt64, 0, []string{}},
			{20 * scrape, 10 * scrape, []string{}},
		} {
			for _, skip := range []bool{false, true} {
				got := names(collect(t, s, &store.SeriesRequest{MinTime: tc.mint, MaxTime: tc.maxt, Matchers: matchers(t, `{__name__=~"short|long"}`), SkipChunks: skip}))
				testutil.Equals(t, tc.want, got, "%d to %d, skip %t", tc.mint, tc.maxt, skip)
			}
		}
	})
}

func TestSeriesInParts(t *testing.T) {
	t.Parallel()
	f := newFake(t, "cluster", "c1")
	f.maxFrame = 1 // each chunk in a frame of its own
	f.floats(t, 600, many(20)...)
	s := f.store(t, promstore.Options{})
	parts := 0
	for _, err := range store.All(t.Context(), s, &store.SeriesRequest{MaxTime: math.MaxInt64}, nil) {
		testutil.Ok(t, err)
		parts++
	}
	testutil.Assert(t, parts > 80, "%d parts", parts)
	got := collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64, WithoutReplicaLabels: []string{"cluster"}})
	testutil.Equals(t, f.held(t, 0, math.MaxInt64, matchers(t, `{job="many"}`)...), sent(t, got, 0, math.MaxInt64))

	got = collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64, Limit: 3})
	testutil.Equals(t, 3, len(got))
	for _, se := range got {
		testutil.Assert(t, len(se.Chunks) >= 5, "%d chunks", len(se.Chunks))
	}
}

func TestSeriesLimit(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		for _, external := range [][]string{nil, {"cluster", "c1"}} {
			f := newFake(t, external...)
			f.samplesOnly = samplesOnly
			f.floats(t, 2, many(100)...)
			s := f.store(t, promstore.Options{})
			for _, skip := range []bool{false, true} {
				all := names(collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64, SkipChunks: skip}))
				for _, limit := range []int{1, 7, 100, 1000} {
					got := names(collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64, SkipChunks: skip, Limit: limit}))
					testutil.Equals(t, all[:min(limit, 100)], got)
				}
			}
		}
	})
}

func TestSeriesThousand(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t, "cluster", "c1")
		f.samplesOnly = samplesOnly
		lsets := many(1000)
		f.floats(t, 3, lsets...)
		s := f.store(t, promstore.Options{})
		// What is kept must survive the reuse of buffers by later runs.
		first := collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64})
		testutil.Equals(t, len(lsets), len(first))
		before := sent(t, first, 0, math.MaxInt64)
		for range 3 {
			again := collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64})
			testutil.Equals(t, before, sent(t, again, 0, math.MaxInt64))
		}
		testutil.Equals(t, before, sent(t, first, 0, math.MaxInt64))
	})
}

// keeper retains every frame until the end.
type keeper struct {
	counter
	frames []*encoded.Frame
}

func (k *keeper) SendFrame(f *encoded.Frame) error {
	f.Retain()
	k.frames = append(k.frames, f)
	return nil
}

func TestFramesLiveWhileRetained(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.floats(t, 120, many(1000)...)
	s := f.store(t, promstore.Options{})
	want := names(collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64}))

	var kept [2]keeper
	for i := range kept {
		testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{MaxTime: math.MaxInt64}, &kept[i]))
	}
	for i := range kept {
		var got []string
		sb := labels.NewScratchBuilder(0)
		for _, f := range kept[i].frames {
			testutil.Assert(t, f.Size >= len(f.Series)*100, "%d bytes for %d series", f.Size, len(f.Series))
			for j := range f.Series {
				testutil.Equals(t, 1, len(f.Series[j].Chunks))
				got = append(got, encoded.Labels(f.Series[j].Labels, &sb).String())
			}
		}
		testutil.Assert(t, len(kept[i].frames) > 3, "%d frames", len(kept[i].frames))
		testutil.Equals(t, want, got)
		for _, f := range kept[i].frames {
			f.Release()
		}
	}
}

// drained is a transport that counts answers, and those of them that were closed
// before they were read to their end, which costs their connection.
type drained struct {
	next         http.RoundTripper
	answers, cut atomic.Int32
}

func (d *drained) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	d.answers.Add(1)
	d.cut.Add(1)
	resp.Body = &drainedBody{ReadCloser: resp.Body, of: d}
	return resp, nil
}

type drainedBody struct {
	io.ReadCloser
	of   *drained
	once sync.Once
}

func (b *drainedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.once.Do(func() { b.of.cut.Add(-1) })
	}
	return n, err
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t, "cluster", "c1")
		f.samplesOnly = samplesOnly
		f.floats(t, 100, many(500)...)
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		d := &drained{next: transport}
		s := f.store(t, promstore.Options{Client: &http.Client{Transport: d}})
		for range 3 {
			testutil.Equals(t, 500, len(collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64})))
			testutil.Equals(t, 500, len(collect(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64, Matchers: matchers(t, `{job="many"}`), SkipChunks: true})))
			_, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: math.MaxInt64})
			testutil.Ok(t, err)
			f.refuse.Store(true)
			_, err = s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "job", MaxTime: math.MaxInt64})
			testutil.NotOk(t, err)
			f.refuse.Store(false)
			testutil.Ok(t, s.Sync(t.Context()))
		}
		testutil.Assert(t, d.answers.Load() >= 3*5, "%d answers", d.answers.Load())
		testutil.Equals(t, int32(0), d.cut.Load())
	})
}

func TestSpans(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorder))
	s := synced(t, answers{contentType: "text/html"}, promstore.Options{Name: "prom", AllowNoExternalLabels: true, TracerProvider: provider})
	testutil.NotOk(t, s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1}, &counter{}))
	_, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MinTime: 1})
	testutil.Ok(t, err)
	_, err = s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "a", MinTime: 1})
	testutil.Ok(t, err)
	var got []string
	for _, span := range recorder.Ended() {
		got = append(got, fmt.Sprint(span.Name(), " ", span.Attributes()[0].Value.AsString(), " ", span.Status().Code))
	}
	testutil.Equals(t, []string{"promstore.Series prom Error", "promstore.LabelNames prom Unset", "promstore.LabelValues prom Unset"}, got)
}

func TestSeriesAsksForNoMoreThanIsThere(t *testing.T) {
	t.Parallel()
	f := newFake(t, "cluster", "c1")
	f.floats(t, 100, labels.FromStrings("__name__", "up"))
	for _, tc := range []struct {
		name string
		opts promstore.Options
		mint int64 // of the request
		want int64
	}{
		{"lowest timestamp", promstore.Options{}, math.MinInt64, scrape},
		{"request", promstore.Options{}, 50*scrape + 1, 50*scrape + 1},
		{"option", promstore.Options{MinTime: 60 * scrape}, math.MinInt64, 60 * scrape},
		{"option below lowest", promstore.Options{MinTime: -5}, math.MinInt64, scrape},
	} {
		s := f.store(t, tc.opts)
		for _, skip := range []bool{false, true} {
			got := collect(t, s, &store.SeriesRequest{MinTime: tc.mint, MaxTime: 200 * scrape, Matchers: matchers(t, "up"), SkipChunks: skip})
			testutil.Equals(t, 1, len(got))
			if skip {
				testutil.Equals(t, tc.want, parseTime(f.last(t, "series").form.Get("start")), tc.name)
			} else {
				testutil.Equals(t, tc.want, f.last(t, "read").read.Queries[0].StartTimestampMs, tc.name)
			}
		}
		_, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MinTime: tc.mint, MaxTime: 200 * scrape})
		testutil.Ok(t, err)
		testutil.Equals(t, tc.want, parseTime(f.last(t, "labels").form.Get("start")), tc.name)
		info, err := s.Describe(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, max(scrape, tc.opts.MinTime), info.MinTime, tc.name)
	}
}

func TestSeriesRequestOnTheWire(t *testing.T) {
	t.Parallel()
	f := newFake(t, "cluster", "c1")
	s := f.store(t, promstore.Options{})
	req := &store.SeriesRequest{MinTime: -1, MaxTime: math.MaxInt64, Matchers: matchers(t, `up{a="1",b!="2",c=~"3",d!~"4",cluster="c1"}`)}
	testutil.Equals(t, 0, len(collect(t, s, req)))
	want := &prompb.ReadRequest{
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES},
		Queries: []*prompb.Query{{
			StartTimestampMs: -1, EndTimestampMs: math.MaxInt64,
			Matchers: []*prompb.LabelMatcher{
				{Type: prompb.LabelMatcher_EQ, Name: "a", Value: "1"},
				{Type: prompb.LabelMatcher_NEQ, Name: "b", Value: "2"},
				{Type: prompb.LabelMatcher_RE, Name: "c", Value: "3"},
				{Type: prompb.LabelMatcher_NRE, Name: "d", Value: "4"},
				{Type: prompb.LabelMatcher_EQ, Name: "__name__", Value: "up"},
			},
		}},
	}
	testutil.Equals(t, want.String(), f.last(t, "read").read.String())
	testutil.Equals(t, 6, len(req.Matchers)) // the request is the caller's
}
