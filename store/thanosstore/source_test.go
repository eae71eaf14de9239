package thanosstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

func series(s *storepb.Series) *storepb.SeriesResponse { return storepb.NewSeriesResponse(s) }

func TestSourceMessages(t *testing.T) {
	t.Parallel()
	a, b := lset("a", "1"), lset("a", "1", "b", "2")
	future := new(storepb.SeriesResponse)
	hints := new(storepb.SeriesResponse)
	testutil.Ok(t, hints.Unmarshal([]byte("\x1a\x03\x0a\x01h")))
	for _, tc := range []struct {
		name     string
		messages []*storepb.SeriesResponse
		want     string
	}{
		{"nothing", nil, ``},
		{"an empty message and an empty batch", []*storepb.SeriesResponse{future, storepb.NewBatchResponse(nil)}, ``},
		{"single series, one in parts", []*storepb.SeriesResponse{series(thanosSeries(a, "x")), series(thanosSeries(a, "y")), series(thanosSeries(b))},
			"{a=\"1\"} x\n{a=\"1\"} y\n{a=\"1\", b=\"2\"}"},
		{"a batch, a single, a batch", []*storepb.SeriesResponse{
			storepb.NewBatchResponse([]*storepb.Series{thanosSeries(a, "x"), thanosSeries(b, "y", "z")}), series(thanosSeries(b, "1")),
			storepb.NewBatchResponse([]*storepb.Series{thanosSeries(lset("a", "2"))}),
		}, "{a=\"1\"} x\n{a=\"1\", b=\"2\"} y z\n{a=\"1\", b=\"2\"} 1\n{a=\"2\"}"},
		{"labels by name", []*storepb.SeriesResponse{series(thanosSeries(lset("b", "2", "a", "1")))}, `{a="1", b="2"}`},
		{"no labels", []*storepb.SeriesResponse{series(thanosSeries(nil, "x"))}, `{} x`},
		{"warnings and hints in their place", []*storepb.SeriesResponse{storepb.NewWarnSeriesResponse(errors.New("in part")), hints, series(thanosSeries(a))},
			"warning: store thanos: series: in part\n{a=\"1\"}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			fake := sends(nil, tc.messages...)
			for _, s := range []store.Store{thanosstore.FromServer(fake, nil), thanosstore.FromClient(serverAsClient(fake), nil)} {
				got, err := ask(t, s, everything())
				testutil.Ok(t, err)
				testutil.Equals(t, tc.want, got)
			}
		})
	}
}

// Encodings, aggregates and their absence arrive as they are.
func TestSourceChunks(t *testing.T) {
	t.Parallel()
	x := func(typ storepb.Chunk_Encoding, s string) *storepb.Chunk {
		return &storepb.Chunk{Type: typ, Data: []byte(s)}
	}
	s := thanosstore.FromServer(sends(nil, series(&storepb.Series{Labels: lset("a", "1"), Chunks: []storepb.AggrChunk{
		{MinTime: -5, MaxTime: 5, Raw: x(storepb.Chunk_XOR, "x")},
		{Raw: x(storepb.Chunk_HISTOGRAM, "h")},
		{Raw: x(storepb.Chunk_FLOAT_HISTOGRAM, "f")},
		{Count: x(0, "1"), Sum: x(0, "2"), Min: x(0, "3"), Max: x(0, "4"), Counter: x(0, "5")},
		{Sum: x(0, "2")},
	}})), nil)
	for got, err := range store.All(t.Context(), s, everything(), nil) {
		testutil.Ok(t, err)
		testutil.Equals(t, []int64{-5, 5}, []int64{got.Chunks[0].MinTime, got.Chunks[0].MaxTime})
		var encodings []chunkenc.Encoding
		for _, c := range got.Chunks[:3] {
			testutil.Assert(t, c.Aggregated == nil)
			encodings = append(encodings, c.Raw.Encoding)
		}
		testutil.Equals(t, []chunkenc.Encoding{chunkenc.EncXOR, chunkenc.EncHistogram, chunkenc.EncFloatHistogram}, encodings)
		agg := got.Chunks[3].Aggregated
		testutil.Assert(t, got.Chunks[3].Raw.IsZero())
		testutil.Equals(t, "12345", string(slices.Concat(agg.Count.Bytes, agg.Sum.Bytes, agg.Min.Bytes, agg.Max.Bytes, agg.Counter.Bytes)))
		testutil.Assert(t, got.Chunks[4].Aggregated.Count.IsZero() && !got.Chunks[4].Aggregated.Sum.IsZero())
	}
}

// scribbler sends one message after the other from the same memory.
func scribbler(n int) *fakeServer {
	return &fakeServer{series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
		m := series(thanosSeries(lset("n", ""), "...."))
		out := m.GetSeries()
		for i := range n {
			out.Labels[0].Value = fmt.Sprintf("%04d", i)
			copy(out.Chunks[0].Raw.Data, out.Labels[0].Value)
			if err := s.Send(m); err != nil {
				return err
			}
			out.Labels[0] = storepb.Label{Name: "overwritten"}
			copy(out.Chunks[0].Raw.Data, "!!!!")
			out.Labels[0].Name = "n"
		}
		return nil
	}}
}

// What a server does with its messages afterwards does not reach who keeps what
// was in them, and nor do later calls, which use memory again.
func TestSourceMemory(t *testing.T) {
	t.Parallel()
	const n = 300
	s := thanosstore.FromServer(scribbler(n), nil)
	var plain plainWriter
	var frames, later frameWriter
	testutil.Ok(t, s.Series(t.Context(), everything(), &plain))
	testutil.Ok(t, s.Series(t.Context(), everything(), &frames))
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf(`{n="%04d"} %04[1]d`, i))
	}
	testutil.Equals(t, want, plain.lines)
	for _, f := range frames.frames {
		testutil.Assert(t, f.Size > 0)
	}
	testutil.Ok(t, s.Series(t.Context(), everything(), &later)) // while the frames are held
	testutil.Equals(t, want, frames.release())
	testutil.Ok(t, s.Series(t.Context(), everything(), &plainWriter{}))
	testutil.Equals(t, want, later.release())
}

// A chunk that nobody looks at keeps the form that it came in, hash and all.
func TestSourceHashes(t *testing.T) {
	t.Parallel()
	var w frameWriter
	s := thanosstore.FromServer(sends(nil, series(thanosSeries(lset("a", "1"), "x"))), nil)
	testutil.Ok(t, s.Series(t.Context(), everything(), &w))
	var c storepb.AggrChunk
	testutil.Ok(t, c.Unmarshal(w.frames[0].Series[0].Chunks[0].Wire))
	testutil.Equals(t, uint64(7), c.Raw.Hash)
	w.release()
}

func TestSourceErrors(t *testing.T) {
	t.Parallel()
	tooFar := thanosSeries(lset("a", "1"), "x")
	tooFar.Chunks[0].Raw.Type = 7
	for _, tc := range []struct {
		name string
		srv  *fakeServer
		is   error
		text string
	}{
		{"out of order", sends(nil, series(thanosSeries(lset("a", "2"))), series(thanosSeries(lset("a", "1")))),
			store.ErrUnsorted, `store thanos: series: series out of order: {a="1"} after {a="2"}`},
		{"out of order in a batch", sends(nil, storepb.NewBatchResponse([]*storepb.Series{thanosSeries(lset("a", "2")), thanosSeries(lset("a", "1"))})), store.ErrUnsorted, ""},
		{"a name twice", sends(nil, series(thanosSeries(lset("a", "1", "a", "2")))), store.ErrMalformed, "duplicate label name"},
		{"an encoding of the future", sends(nil, series(tooFar)), store.ErrEncoding, `{a="1"}`},
		{"a batch with a hole", sends(nil, storepb.NewBatchResponse([]*storepb.Series{nil})), nil, "panic"},
		{"limit", sends(status.Error(codes.ResourceExhausted, "too much")), store.ErrLimit, "too much"},
		{"invalid", sends(status.Error(codes.InvalidArgument, "no matchers")), store.ErrInvalidRequest, ""},
		{"unavailable", sends(status.Error(codes.Unavailable, "x")), store.ErrUnavailable, ""},
		{"aborted", sends(status.Error(codes.Aborted, "x")), store.ErrIncomplete, ""},
		{"anything", sends(errors.New("disk on fire")), nil, "store thanos: series: disk on fire"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range []store.Store{thanosstore.FromServer(tc.srv, nil), thanosstore.FromClient(serverAsClient(tc.srv), nil)} {
				_, err := ask(t, s, everything())
				testutil.NotOk(t, err)
				testutil.Assert(t, tc.is == nil || errors.Is(err, tc.is), "%v", err)
				testutil.Assert(t, strings.Contains(err.Error(), tc.text), "%v", err)
			}
		})
	}
}

// hides is a server that tells nobody of the error of Send.
func hides(sent *int) *fakeServer {
	return &fakeServer{series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
		for i := range 5 {
			if s.Send(series(thanosSeries(lset("n", fmt.Sprint(i))))) != nil {
				*sent = i
			}
		}
		return nil
	}}
}

func TestSourceWriterErrors(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	var last int
	for name, srv := range map[string]*fakeServer{
		"hidden": hides(&last),
		"as text": {series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
			if err := s.Send(series(thanosSeries(nil))); err != nil {
				return status.Error(codes.Unknown, err.Error())
			}
			return nil // in process, Send of Thanos never fails
		}},
		"of a warning": {series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
			return s.Send(storepb.NewWarnSeriesResponse(errors.New("x")))
		}},
	} {
		w := plainWriter{err: enough}
		err := thanosstore.FromServer(srv, nil).Series(t.Context(), everything(), &w)
		testutil.Equals(t, enough, err, name)
		testutil.Equals(t, 1, len(w.lines), name)
		w = plainWriter{err: enough}
		err = thanosstore.FromClient(serverAsClient(srv), nil).Series(t.Context(), everything(), &w)
		testutil.Equals(t, enough, err, name)
		testutil.Equals(t, 1, len(w.lines), name)
	}
	testutil.Equals(t, 4, last) // each Send after the first was refused

	// A loop that breaks ends the call, and the context of the server.
	ended := make(chan error, 1)
	waits := &fakeServer{series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
		_ = s.Send(series(thanosSeries(nil)))
		<-s.Context().Done()
		ended <- s.Context().Err()
		return nil
	}}
	for range store.All(t.Context(), thanosstore.FromServer(waits, nil), everything(), nil) {
		break
	}
	testutil.Equals(t, context.Canceled, <-ended)
}

// A panic is an error of the call: of the server, and of a writer under a server
// that turns panics into warnings, as one of Thanos' does.
func TestSourcePanics(t *testing.T) {
	t.Parallel()
	panics := &fakeServer{
		series: func(*storepb.SeriesRequest, storepb.Store_SeriesServer) error { panic("oops") },
		names: func(context.Context, *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error) {
			panic("oops")
		},
	}
	s := thanosstore.FromServer(panics, nil)
	_, err := ask(t, s, everything())
	p, ok := errors.AsType[*store.PanicError](err)
	testutil.Assert(t, ok && p.Value == "oops", "%v", err)
	_, err = store.LabelNames(t.Context(), s, &store.LabelNamesRequest{})
	_, ok = errors.AsType[*store.PanicError](err)
	testutil.Assert(t, ok, "%v", err)

	recovers := &fakeServer{series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
		defer func() {
			if v := recover(); v != nil {
				_ = s.Send(storepb.NewWarnSeriesResponse(fmt.Errorf("panic %v", v)))
			}
		}()
		return s.Send(series(thanosSeries(nil)))
	}}
	defer func() { testutil.Equals(t, "mine", recover()) }()
	for range store.All(t.Context(), thanosstore.FromServer(recovers, nil), everything(), nil) {
		panic("mine")
	}
}

// A server that just stops when the context ends has not answered whole.
func TestSourceContext(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]error{
		"silently": nil, "with a status": status.Error(codes.Internal, "context canceled"),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		srv := &fakeServer{series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
			cancel()
			<-s.Context().Done()
			return result
		}}
		err := thanosstore.FromServer(srv, nil).Series(ctx, everything(), &plainWriter{})
		testutil.Assert(t, errors.Is(err, context.Canceled), "%s: %v", name, err)
		var e *store.Error
		testutil.Assert(t, errors.As(err, &e) && e.Op == "series", "%s: %v", name, err)
	}
}

// Nobody is written to when the call is over.
func TestSourceSendAfterTheEnd(t *testing.T) {
	t.Parallel()
	var kept storepb.Store_SeriesServer
	s := thanosstore.FromServer(&fakeServer{series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
		kept = s
		return s.SendMsg(series(thanosSeries(nil, "x")))
	}}, nil)
	got, err := ask(t, s, everything())
	testutil.Ok(t, err)
	testutil.Equals(t, "{} x", got)
	testutil.NotOk(t, kept.Send(series(thanosSeries(nil))))
	testutil.NotOk(t, kept.SendMsg("text"))
	testutil.NotOk(t, kept.RecvMsg(nil))
	testutil.Ok(t, errors.Join(kept.SetHeader(nil), kept.SendHeader(nil)))
}

func TestSourceLabels(t *testing.T) {
	t.Parallel()
	fake := &fakeServer{
		names: func(context.Context, *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error) {
			return &storepb.LabelNamesResponse{Names: []string{"b", "a", "b"}, Warnings: []string{"in part", "PromQL info: mixed"}}, nil
		},
		values: func(_ context.Context, r *storepb.LabelValuesRequest) (*storepb.LabelValuesResponse, error) {
			if r.Label == "bad" {
				return nil, status.Error(codes.Unavailable, "restarting")
			}
			return &storepb.LabelValuesResponse{Values: []string{r.Label + "2", r.Label + "1", r.Label + "3"}}, nil
		},
	}
	s := thanosstore.FromServer(fake, &thanosstore.Options{Name: "x"})
	out := new(store.Outcome)
	names, err := store.LabelNames(t.Context(), s, &store.LabelNamesRequest{Outcome: out})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b"}, names)
	testutil.Equals(t, "store x: label names: in part", out.Warnings()[0].Error())
	testutil.Assert(t, !store.IsAnnotation(out.Warnings()[0]) && store.IsAnnotation(out.Warnings()[1]))

	values, err := store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "v", Limit: 2})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"v1", "v2"}, values)
	_, err = store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "bad"})
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
}

func TestSourceInfo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		info func(context.Context) (*infopb.InfoResponse, error)
		want store.Info
		is   error
	}{
		{name: "nothing known"},
		{name: "announced", info: func(context.Context) (*infopb.InfoResponse, error) {
			return &infopb.InfoResponse{ComponentType: "rule", Store: &infopb.StoreInfo{MinTime: 1, MaxTime: 2, SupportsSharding: true}}, nil
		}, want: store.Info{Component: "rule", MinTime: 1, MaxTime: 2, SupportsSharding: true}},
		{name: "no StoreAPI", info: func(context.Context) (*infopb.InfoResponse, error) { return &infopb.InfoResponse{}, nil }, is: store.ErrUnavailable},
		{name: "failing", info: func(context.Context) (*infopb.InfoResponse, error) {
			return nil, status.Error(codes.DeadlineExceeded, "x")
		}, is: context.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := thanosstore.FromClient(serverAsClient(sends(nil)), &thanosstore.Options{Info: tc.info})
			info, err := store.Describe(t.Context(), s)
			testutil.Assert(t, errors.Is(err, tc.is), "%v", err)
			testutil.Equals(t, fmt.Sprint(tc.want), fmt.Sprint(info))
		})
	}
}
