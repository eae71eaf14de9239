package thanosstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// recordingStream is the stream of a call of a server.
type recordingStream struct {
	grpc.ServerStream
	ctx      context.Context
	messages []*storepb.SeriesResponse
	fail     func(n int) error // for the n-th message; nil for never
}

func (r *recordingStream) Context() context.Context { return r.ctx }

func (r *recordingStream) Send(m *storepb.SeriesResponse) error {
	if r.fail != nil {
		if err := r.fail(len(r.messages)); err != nil {
			return err
		}
	}
	r.messages = append(r.messages, m)
	return nil
}

// shape shows the kinds of messages, with the number of series and of chunks.
func (r *recordingStream) shape() string {
	var out []string
	for _, m := range r.messages {
		switch x := m.Result.(type) {
		case *storepb.SeriesResponse_Series:
			out = append(out, fmt.Sprintf("series(%d)", len(x.Series.Chunks)))
		case *storepb.SeriesResponse_Batch:
			out = append(out, fmt.Sprintf("batch of %d", len(x.Batch.Series)))
		case *storepb.SeriesResponse_Warning:
			out = append(out, "warning "+x.Warning)
		case *storepb.SeriesResponse_Hints:
			out = append(out, "hints "+x.Hints.TypeUrl)
		}
	}
	return strings.Join(out, ", ")
}

func code(err error) string { return status.Code(err).String() }

// serves sends what it is told to.
func serves(f func(req *store.SeriesRequest, w store.SeriesWriter) error) store.Store {
	return store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error { return f(req, w) })
}

// numbered sends n series with as many chunks of a size each.
func numbered(n, chunks, size int) store.Store {
	return serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error {
		for i := range n {
			data := make([]string, chunks)
			for j := range data {
				data[j] = strings.Repeat("x", size)
			}
			if err := w.Send(plainSeries(labels.FromStrings("n", fmt.Sprintf("%04d", i)), data...)); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestServerMessages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		store store.Store
		batch int64
		want  string
	}{
		{"nothing", numbered(0, 0, 0), 64, ""},
		{"single without batches", numbered(2, 1, 1), 0, "series(1), series(1)"},
		{"single with batches of 1", numbered(2, 1, 1), 1, "series(1), series(1)"},
		{"batches and the rest", numbered(5, 1, 1), 2, "batch of 2, batch of 2, series(1)"},
		{"one batch", numbered(5, 1, 1), 64, "batch of 5"},
		{"no chunks", numbered(1, 0, 0), 64, "series(0)"},
		{"batches cut by bytes", numbered(4, 1, 60<<10), 64, "batch of 2, batch of 2"},
		{"a series cut between chunks", numbered(1, 5, 500<<10), 64, "series(2), series(2), series(1)"},
		{"chunks larger than a message", numbered(1, 2, 2<<20), 64, "series(1), series(1)"},
		{"warnings in their place, hints last", serves(func(req *store.SeriesRequest, w store.SeriesWriter) error {
			req.Outcome.AddHints(store.Any{TypeURL: "h"})
			return errors.Join(
				w.Send(plainSeries(labels.FromStrings("a", "1"), "x")), w.Send(plainSeries(labels.FromStrings("a", "2"), "x")),
				w.Warn(errors.New("in part \xff")), w.Send(plainSeries(labels.FromStrings("a", "2"), "y")))
		}), 64, "batch of 2, warning in part \uFFFD, series(1), hints h"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			stream := &recordingStream{ctx: t.Context()}
			testutil.Ok(t, thanosstore.NewServer(tc.store, nil).Series(&storepb.SeriesRequest{ResponseBatchSize: tc.batch}, stream))
			testutil.Equals(t, tc.want, stream.shape())
		})
	}
}

// Every kind of data arrives as what it is.
func TestServerChunks(t *testing.T) {
	t.Parallel()
	data := func(e chunkenc.Encoding, s string) store.ChunkData {
		return store.ChunkData{Encoding: e, Bytes: []byte(s)}
	}
	s := serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error {
		return w.Send(&store.Series{Labels: labels.FromStrings("a", "1"), Chunks: []store.Chunk{
			{MinTime: -1, MaxTime: 1, Raw: data(chunkenc.EncXOR, "x")},
			{MinTime: 2, MaxTime: 3, Raw: data(chunkenc.EncHistogram, "h")},
			{MinTime: 4, MaxTime: 5, Raw: data(chunkenc.EncFloatHistogram, "f")},
			{MinTime: 6, MaxTime: 7, Aggregated: &store.AggregatedChunk{
				Count: data(chunkenc.EncXOR, "1"), Sum: data(chunkenc.EncXOR, "2"), Min: data(chunkenc.EncXOR, "3"),
				Max: data(chunkenc.EncXOR, "4"), Counter: data(chunkenc.EncXOR, "5"),
			}},
			{MinTime: 8, MaxTime: 9, Aggregated: &store.AggregatedChunk{Sum: data(chunkenc.EncXOR, "")}},
		}})
	})
	stream := &recordingStream{ctx: t.Context()}
	testutil.Ok(t, thanosstore.NewServer(s, nil).Series(&storepb.SeriesRequest{}, stream))
	xor := func(s string) *storepb.Chunk { return &storepb.Chunk{Type: storepb.Chunk_XOR, Data: []byte(s)} }
	testutil.Equals(t, []storepb.AggrChunk{
		{MinTime: -1, MaxTime: 1, Raw: xor("x")},
		{MinTime: 2, MaxTime: 3, Raw: &storepb.Chunk{Type: storepb.Chunk_HISTOGRAM, Data: []byte("h")}},
		{MinTime: 4, MaxTime: 5, Raw: &storepb.Chunk{Type: storepb.Chunk_FLOAT_HISTOGRAM, Data: []byte("f")}},
		{MinTime: 6, MaxTime: 7, Count: xor("1"), Sum: xor("2"), Min: xor("3"), Max: xor("4"), Counter: xor("5")},
		{MinTime: 8, MaxTime: 9, Sum: xor("")},
	}, stream.messages[0].GetSeries().Chunks)

	// And back.
	var got []*store.Series
	for series, err := range store.All(t.Context(), thanosstore.FromServer(thanosstore.NewServer(s, nil), nil), everything(), nil) {
		testutil.Ok(t, err)
		got = append(got, series)
	}
	testutil.Equals(t, 1, len(got))
	testutil.Equals(t, "4", string(got[0].Chunks[3].Aggregated.Max.Bytes))
	testutil.Equals(t, chunkenc.EncFloatHistogram, got[0].Chunks[2].Raw.Encoding)
	testutil.Assert(t, !got[0].Chunks[4].Aggregated.Sum.IsZero() && got[0].Chunks[4].Aggregated.Count.IsZero())
}

// What a Store does wrong, or says, is a status that Thanos understands.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	send := func(lsets ...labels.Labels) store.Store {
		return serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error {
			for _, lset := range lsets {
				if err := w.Send(plainSeries(lset, "x")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	fails := func(err error) store.Store {
		return serves(func(*store.SeriesRequest, store.SeriesWriter) error { return err })
	}
	twice := labels.NewScratchBuilder(0)
	twice.Add("a", "1")
	twice.Add("a", "2")
	for _, tc := range []struct {
		name  string
		store store.Store
		code  codes.Code
		text  string
	}{
		{"out of order", send(labels.FromStrings("a", "2"), labels.FromStrings("a", "1")), codes.Internal, `series out of order: {a="1"} after {a="2"}`},
		{"a name twice", send(twice.Labels()), codes.Internal, "series out of order: labels of"},
		{"encoding", serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error {
			return w.Send(&store.Series{Labels: labels.FromStrings("a", "1"), Chunks: []store.Chunk{{Raw: store.ChunkData{Encoding: 9}}}})
		}), codes.Internal, `{a="1"}`},
		{"invalid", fails(store.ErrInvalidRequest), codes.InvalidArgument, "invalid request"},
		{"limit", fails(&store.LimitError{Limit: "series", Max: 5}), codes.ResourceExhausted, "series limit of 5"},
		{"unavailable", fails(store.ErrUnavailable), codes.Unavailable, ""},
		{"loop", fails(&store.LoopError{Path: []string{"a", "b", "a"}}), codes.FailedPrecondition, "a -> b -> a"},
		{"incomplete", fails(&store.IncompleteError{}), codes.Aborted, ""},
		{"canceled", fails(context.Canceled), codes.Canceled, ""},
		{"deadline", fails(context.DeadlineExceeded), codes.DeadlineExceeded, ""},
		{"a member's status", fails(&store.Error{Store: "x", Op: "series", Err: status.Error(codes.PermissionDenied, "no")}), codes.PermissionDenied, "store x"},
		{"anything, in bytes that are no text", fails(errors.New("\xff")), codes.Unknown, "\uFFFD"},
		{"a text too long for a header", fails(errors.New(strings.Repeat("ä", 5000))), codes.Unknown, "ä..."},
		{"panic", serves(func(*store.SeriesRequest, store.SeriesWriter) error { panic("oops") }), codes.Internal, "panic: oops"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := thanosstore.NewServer(tc.store, nil).Series(&storepb.SeriesRequest{}, &recordingStream{ctx: t.Context()})
			testutil.Equals(t, tc.code, status.Code(err))
			testutil.Assert(t, strings.Contains(err.Error(), tc.text) && len(err.Error()) < 3000, "%v", err)
		})
	}
}

// What was sent before an error arrives, in batches too.
func TestServerSendsWhatItHas(t *testing.T) {
	t.Parallel()
	s := serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error {
		if err := w.Send(plainSeries(labels.FromStrings("a", "1"), "x")); err != nil {
			return err
		}
		return errors.New("disk on fire")
	})
	stream := &recordingStream{ctx: t.Context()}
	err := thanosstore.NewServer(s, nil).Series(&storepb.SeriesRequest{ResponseBatchSize: 64}, stream)
	testutil.Equals(t, codes.Unknown, status.Code(err))
	testutil.Equals(t, "series(1)", stream.shape())
}

// The error of a stream ends the call, and is returned as it is, whatever the
// Store makes of it.
func TestServerStreamErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	for _, tc := range []struct {
		name  string
		store store.Store
		at    int
	}{
		{"at a series", numbered(5, 1, 1), 2},
		{"at the last batch", serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error {
			return w.Send(plainSeries(labels.FromStrings("a", "1"), "x"))
		}), 0},
		{"hidden by the Store", serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error {
			for i := range 3 {
				_ = w.Send(plainSeries(labels.FromStrings("a", fmt.Sprint(i)), "x"))
			}
			return nil
		}), 1},
		{"at a warning", serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error { return w.Warn(errors.New("x")) }), 0},
		{"at hints", serves(func(req *store.SeriesRequest, _ store.SeriesWriter) error {
			req.Outcome.AddHints(store.Any{TypeURL: "h"})
			return nil
		}), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			stream := &recordingStream{ctx: t.Context(), fail: func(n int) error {
				if n < tc.at {
					return nil
				}
				calls++
				return broken
			}}
			for _, batch := range []int64{0, 2} {
				calls, stream.messages = 0, nil
				err := thanosstore.NewServer(tc.store, nil).Series(&storepb.SeriesRequest{ResponseBatchSize: batch}, stream)
				testutil.Equals(t, broken, err)
				testutil.Equals(t, 1, calls)
			}
		})
	}
}

func TestServerLogsPanics(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	srv := thanosstore.NewServer(serves(func(*store.SeriesRequest, store.SeriesWriter) error { panic("oops") }),
		&thanosstore.ServerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := srv.LabelValues(t.Context(), &storepb.LabelValuesRequest{Label: "a"})
	testutil.Equals(t, codes.Internal, status.Code(err))
	testutil.Assert(t, strings.Contains(log.String(), "store panicked") && strings.Contains(log.String(), "server_test.go"), log.String())
}

// warned is a LabelQuerier and a Describer that has something to say.
type warned struct {
	recorder
	info store.Info
	err  error
}

func (w *warned) LabelNames(_ context.Context, req *store.LabelNamesRequest) ([]string, error) {
	req.Outcome.AddWarning(errors.New("in part"))
	req.Outcome.AddHints(store.Any{TypeURL: "h", Value: []byte("v")})
	return []string{"a", "b"}, w.err
}

func (w *warned) Describe(context.Context) (store.Info, error) { return w.info, w.err }

func TestServerLabelsAndInfo(t *testing.T) {
	t.Parallel()
	s := &warned{info: store.Info{
		LabelSets: []labels.Labels{labels.FromStrings("cluster", "a", "replica", "0")}, MinTime: 5, MaxTime: 10,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true,
		TSDBs: []store.TSDBInfo{{Labels: labels.FromStrings("cluster", "a"), MinTime: 6, MaxTime: 7}},
	}}
	srv := thanosstore.NewServer(s, &thanosstore.ServerOptions{Component: "sidecar"})
	names, err := srv.LabelNames(t.Context(), &storepb.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b"}, names.Names)
	testutil.Equals(t, []string{"in part"}, names.Warnings)
	testutil.Equals(t, "h", names.Hints.TypeUrl)

	info, err := srv.Info(t.Context(), &infopb.InfoRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, "sidecar", info.ComponentType)
	testutil.Equals(t, "replica", info.LabelSets[0].Labels[1].Name)
	testutil.Equals(t, int64(10), info.Store.MaxTime)
	testutil.Assert(t, info.Store.SupportsSharding && info.Store.SupportsWithoutReplicaLabels && info.Rules == nil)
	testutil.Equals(t, int64(7), info.Store.TsdbInfos[0].MaxTime)

	// A server that announces itself is described by itself.
	back, err := store.Describe(t.Context(), thanosstore.FromServer(srv, nil))
	testutil.Ok(t, err)
	want := s.info
	want.Component = "sidecar"
	testutil.Equals(t, fmt.Sprint(want), fmt.Sprint(back))

	s.err = store.ErrUnavailable
	_, err = srv.Info(t.Context(), &infopb.InfoRequest{})
	testutil.Equals(t, codes.Unavailable, status.Code(err))
	_, err = srv.LabelNames(t.Context(), &storepb.LabelNamesRequest{})
	testutil.Equals(t, codes.Unavailable, status.Code(err))
}
