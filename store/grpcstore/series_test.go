package grpcstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/snappy"
)

func plain(s *encoded.Series) *store.Series {
	sb := labels.NewScratchBuilder(0)
	return wire.Plain(s, &sb)
}

// describe shows series as text, which compares alike under every layout of
// labels.Labels.
func describe(ss []*store.Series) []string {
	var out []string
	for _, s := range ss {
		var b strings.Builder
		b.WriteString(s.Labels.String())
		for _, c := range s.Chunks {
			fmt.Fprintf(&b, " [%d..%d", c.MinTime, c.MaxTime)
			data := []store.ChunkData{c.Raw}
			if a := c.Aggregated; a != nil {
				data = append(data, a.Count, a.Sum, a.Min, a.Max, a.Counter)
			}
			for _, d := range data {
				fmt.Fprintf(&b, " %d:%d:%x", d.Encoding, len(d.Bytes), xxhash.Sum64(d.Bytes))
			}
			b.WriteString("]")
		}
		out = append(out, b.String())
	}
	return out
}

func requireSeries(t testing.TB, want, got []*store.Series) {
	t.Helper()
	testutil.Equals(t, "", cmp.Diff(describe(want), describe(got)))
}

// servers are the two kinds of grpc.Server that a Store can be on.
var servers = map[string]func() []grpc.ServerOption{
	"our options": func() []grpc.ServerOption { return grpcstore.GRPCServerOptions(nil) },
	"plain":       func() []grpc.ServerOption { return []grpc.ServerOption{grpc.MaxSendMsgSize(math.MaxInt32)} },
}

var everything = &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}

// mixedSeries has every kind of chunk, a series without any, and one without
// labels.
func mixedSeries() []*store.Series {
	data := func(e chunkenc.Encoding, s string) store.ChunkData {
		return store.ChunkData{Encoding: e, Bytes: []byte(s)}
	}
	return []*store.Series{
		{},
		{Labels: labels.FromStrings("__name__", "a", "ütf", "wërt\U0001f600")},
		{Labels: labels.FromStrings("__name__", "b"), Chunks: []store.Chunk{
			{MinTime: -5, MaxTime: 7, Raw: data(chunkenc.EncXOR, "xor")},
			{MinTime: 8, MaxTime: 9, Raw: data(chunkenc.EncHistogram, "histogram")},
			{MinTime: math.MinInt64, MaxTime: math.MaxInt64, Raw: data(chunkenc.EncFloatHistogram, "float histogram")},
		}},
		{Labels: labels.FromStrings("__name__", "c"), Chunks: []store.Chunk{
			{MinTime: 1, MaxTime: 2, Aggregated: &store.AggregatedChunk{Count: data(chunkenc.EncXOR, "count"), Counter: data(chunkenc.EncFloatHistogram, "counter")}},
			{MinTime: 1, MaxTime: 2, Aggregated: &store.AggregatedChunk{Sum: data(chunkenc.EncXOR, "sum"), Min: data(chunkenc.EncXOR, ""), Max: data(chunkenc.EncXOR, "max")}},
		}},
		{Labels: labels.FromStrings("__name__", "c"), Chunks: []store.Chunk{{MinTime: 3, MaxTime: 4, Raw: data(chunkenc.EncXOR, "more of c")}}},
	}
}

func TestSeriesArriveAsSent(t *testing.T) {
	inputs := map[string][]*store.Series{"usual": seriesOf(t, 300, 3), "mixed": mixedSeries(), "none": nil}
	for kind, gopts := range servers {
		for _, compression := range []string{"", snappy.Name} {
			for _, batch := range []int{1, 2, 64, 10_000} {
				for name, ss := range inputs {
					t.Run(fmt.Sprintf("%s/%s/%d/%s", kind, compression, batch, name), func(t *testing.T) {
						t.Parallel()
						for _, s := range []store.Store{plainStore(ss), framesOf(ss, 100)} {
							c := overMemory(t, s, nil, &grpcstore.ClientOptions{BatchSize: batch, Compression: compression}, gopts()...)
							var got collector
							testutil.Ok(t, c.Series(t.Context(), everything, &got))
							requireSeries(t, ss, got.series)
							testutil.Equals(t, 0, len(got.warnings))

							var frames keepFrames
							testutil.Ok(t, c.Series(t.Context(), everything, &frames))
							requireSeries(t, ss, frames.plain())
							frames.release()
						}
					})
				}
			}
		}
	}
}

// keepFrames is a writer that keeps every frame until release.
type keepFrames struct {
	collector
	frames []*encoded.Frame
}

func (k *keepFrames) SendFrame(f *encoded.Frame) error {
	f.Retain()
	k.frames = append(k.frames, f)
	return k.err
}

func (k *keepFrames) plain() []*store.Series {
	var out []*store.Series
	for _, f := range k.frames {
		for i := range f.Series {
			out = append(out, plain(&f.Series[i]))
		}
	}
	return out
}

func (k *keepFrames) release() {
	for _, f := range k.frames {
		f.Release()
	}
	k.frames = nil
}

func TestEveryFieldOfASeriesRequestArrives(t *testing.T) {
	full := &store.SeriesRequest{
		MinTime: -1, MaxTime: math.MaxInt64,
		Matchers: []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"), labels.MustNewMatcher(labels.MatchNotEqual, "a", ""),
			labels.MustNewMatcher(labels.MatchRegexp, "b", "x.*|y"), labels.MustNewMatcher(labels.MatchNotRegexp, "ünï", "(z)+"),
		},
		MaxResolution: 5 * time.Minute, Aggregates: store.AggregateCount | store.AggregateSum | store.AggregateMin | store.AggregateMax | store.AggregateCounter,
		Strategy: store.Abort, SkipChunks: true, WithoutReplicaLabels: []string{"replica", "prometheus_replica"},
		Shard: &store.Shard{Index: 2, Total: 3, By: true, Labels: []string{"pod", "job"}}, Limit: 17,
		Hints: &store.QueryHints{Step: 15 * time.Second, Func: "rate", Grouping: []string{"job"}, By: true, Range: time.Minute,
			ProjectionLabels: []string{"job", "le"}, ProjectionInclude: true, SeriesHashLabel: "__hash__"},
		StoreHints: &store.Any{TypeURL: "type.googleapis.com/hintspb.SeriesRequestHints", Value: []byte{1, 2, 3}},
	}
	for kind, gopts := range servers {
		for name, req := range map[string]*store.SeriesRequest{"full": full, "zero": {}, "everything": everything} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				var got *store.SeriesRequest
				c := overMemory(t, store.Func(func(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
					got = req
					return nil
				}), nil, nil, gopts()...)
				testutil.Ok(t, c.Series(t.Context(), req, &collector{}))
				testutil.Assert(t, got.Outcome != nil, "no outcome for the store to add to")
				got.Outcome = nil
				testutil.Equals(t, req.String(), got.String())
				want, have := *req, *got
				want.Matchers, have.Matchers = nil, nil
				testutil.Equals(t, want, have)
			})
		}
	}
}

// script is a Store that does one step after another.
type script []func(req *store.SeriesRequest, w store.SeriesWriter) error

func (s script) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	for _, step := range s {
		if err := step(req, w); err != nil {
			return err
		}
	}
	return nil
}

func send(ss ...*store.Series) func(*store.SeriesRequest, store.SeriesWriter) error {
	return func(_ *store.SeriesRequest, w store.SeriesWriter) error { return plainStore(ss).Series(nil, nil, w) } //nolint:staticcheck // no context is used
}

func warn(text string) func(*store.SeriesRequest, store.SeriesWriter) error {
	return func(_ *store.SeriesRequest, w store.SeriesWriter) error { return w.Warn(errors.New(text)) }
}

func hint(h store.Any) func(*store.SeriesRequest, store.SeriesWriter) error {
	return func(req *store.SeriesRequest, _ store.SeriesWriter) error {
		req.Outcome.AddHints(h)
		return nil
	}
}

func TestMessages(t *testing.T) {
	ss := seriesOf(t, 130, 1)
	size := wire.SeriesSize(&framesOf(ss[:1], 1)[0].Series[0])
	big := *ss[5]
	big.Chunks = nil
	for i := range 50 {
		big.Chunks = append(big.Chunks, store.Chunk{MinTime: int64(i), MaxTime: int64(i), Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: make([]byte, 100_000)}})
	}
	huge := *ss[6]
	huge.Chunks = []store.Chunk{{Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: make([]byte, 5<<20)}}}
	five := *ss[7]
	five.Chunks = slices.Repeat(ss[7].Chunks, 5)
	hints := store.Any{TypeURL: "t", Value: []byte("v")}

	for _, tc := range []struct {
		name   string
		store  store.Store
		batch  int
		opts   *grpcstore.ServerOptions
		counts string // kinds and numbers of series of the messages
	}{
		{"batch size 0", plainStore(ss[:3]), 0, nil, "s1 s1 s1"},
		{"batch size 1", plainStore(ss[:3]), 1, nil, "s1 s1 s1"},
		{"batch size 2", plainStore(ss[:5]), 2, nil, "b2 b2 s1"},
		{"batch size 64", plainStore(ss), 64, nil, "b64 b64 b2"},
		{"batch size 64, frames", framesOf(ss, 50), 64, nil, "b64 b64 b2"},
		{"cut by bytes", plainStore(ss[:25]), 64, &grpcstore.ServerOptions{FrameSize: 10*size + size/2}, "b10 b10 b5"},
		{"every series too large for a frame", plainStore(ss[:3]), 64, &grpcstore.ServerOptions{FrameSize: 10}, "s1 s1 s1"},
		{"messages bounded", plainStore(ss[:25]), 64, &grpcstore.ServerOptions{MaxSendSize: 10*size + size/2}, "b10 b10 b5"},
		{"messages bounded, large series", plainStore{&five}, 64, &grpcstore.ServerOptions{MaxSendSize: 3 * size}, "s1 s1"},
		{"warnings between", script{send(ss[:2]...), warn("one"), warn("two"), send(ss[2:5]...), warn("three")}, 64, nil, "b2 wone wtwo b3 wthree"},
		{"warnings only", script{warn("one")}, 64, nil, "wone"},
		{"hints come last", script{hint(hints), send(ss[:2]...), hint(hints)}, 64, nil, "b2 h h"},
		{"5 MB in parts", plainStore{ss[4], &big, ss[7]}, 64, nil, "s1 s1 s1 s1 s1 s1 s1"},
		{"5 MiB in one chunk", plainStore{ss[4], &huge, ss[7]}, 64, nil, "s1 s1 s1"},
		{"5 MB, one at a time", plainStore{ss[4], &big, ss[7]}, 0, nil, "s1 s1 s1 s1 s1 s1 s1"},
	} {
		for kind, gopts := range servers {
			t.Run(tc.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				messages, err := rawSeries(t, tc.store, tc.opts, wire.AppendSeriesRequest(nil, everything, tc.batch), gopts()...)
				testutil.Ok(t, err)
				var counts []string
				largest := 0
				for _, m := range decode(t, messages) {
					switch m.kind {
					case wire.KindSeries:
						counts = append(counts, fmt.Sprint("s", m.series))
					case wire.KindBatch:
						counts = append(counts, fmt.Sprint("b", m.series))
					case wire.KindWarning:
						counts = append(counts, "w"+m.warning)
					case wire.KindHints:
						testutil.Equals(t, hints, m.hints)
						counts = append(counts, "h")
					case wire.KindUnknown:
						t.Fatal("a message that says nothing")
					}
					largest = max(largest, m.size)
				}
				testutil.Equals(t, tc.counts, strings.Join(counts, " "))
				if !strings.Contains(tc.name, "one chunk") {
					testutil.Assert(t, largest <= 1<<20+100, "a message of %d bytes", largest)
				}
			})
		}
	}
}

func TestLargeSeriesArriveWhole(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	chunk := func(i, size int) store.Chunk {
		b := make([]byte, size)
		r.Read(b)
		return store.Chunk{MinTime: int64(i), MaxTime: int64(i), Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: b}}
	}
	parts := &store.Series{Labels: labels.FromStrings("a", "1")}
	for i := range 60 {
		parts.Chunks = append(parts.Chunks, chunk(i, 90_000))
	}
	one := &store.Series{Labels: labels.FromStrings("a", "2"), Chunks: []store.Chunk{chunk(0, 5<<20)}}
	after := &store.Series{Labels: labels.FromStrings("a", "3"), Chunks: []store.Chunk{chunk(0, 10)}}
	want := []*store.Series{parts, one, after}
	for kind, gopts := range servers {
		for _, compression := range []string{"", snappy.Name} {
			t.Run(kind+"/"+compression, func(t *testing.T) {
				c := overMemory(t, plainStore(want), nil, &grpcstore.ClientOptions{Compression: compression}, gopts()...)
				var got collector
				testutil.Ok(t, c.Series(t.Context(), everything, &got))
				var joined []*store.Series
				for _, s := range got.series {
					if n := len(joined); n > 0 && labels.Equal(joined[n-1].Labels, s.Labels) {
						joined[n-1].Chunks = append(joined[n-1].Chunks, s.Chunks...)
						continue
					}
					joined = append(joined, s)
				}
				requireSeries(t, want, joined)
			})
		}
	}
}

func TestWarningsAndHintsArrive(t *testing.T) {
	ss := seriesOf(t, 4, 1)
	hints := []store.Any{{TypeURL: "a", Value: []byte("1")}, {TypeURL: "b"}}
	s := script{send(ss[:2]...), warn("disk on fire"), hint(hints[0]), send(ss[2:]...), warn("bad \xff text"), hint(hints[1])}
	c := overMemory(t, s, nil, &grpcstore.ClientOptions{Name: "eu"}, grpcstore.GRPCServerOptions(nil)...)
	req := *everything
	req.Outcome = new(store.Outcome)
	var got collector
	testutil.Ok(t, c.Series(t.Context(), &req, &got))
	requireSeries(t, ss, got.series)
	testutil.Equals(t, 2, len(got.warnings))
	var e *store.Error
	testutil.Assert(t, errors.As(got.warnings[0], &e), "%v", got.warnings[0])
	testutil.Equals(t, "store eu: series: disk on fire", e.Error())
	testutil.Equals(t, "store eu: series: bad \uFFFD text", got.warnings[1].Error())
	testutil.Equals(t, hints, req.Outcome.Hints())
	// Without an outcome hints go nowhere.
	testutil.Ok(t, c.Series(t.Context(), everything, &collector{}))
}
