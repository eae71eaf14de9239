package grpcstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

func text(v ...any) string { return fmt.Sprint(v...) }

// TestErrorsCrossTheWire sends an error through a server and a client, and
// through a second pair behind them, as in a tree of queriers.
func TestErrorsCrossTheWire(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		is   error // nil for none
		code codes.Code
	}{
		{"invalid request", fmt.Errorf("step is negative: %w", store.ErrInvalidRequest), store.ErrInvalidRequest, codes.InvalidArgument},
		{"limit", &store.LimitError{Limit: "series", Max: 5}, store.ErrLimit, codes.ResourceExhausted},
		{"unavailable", fmt.Errorf("%w: restarting", store.ErrUnavailable), store.ErrUnavailable, codes.Unavailable},
		{"a loop", &store.LoopError{Path: []string{"a", "b", "a"}}, store.ErrLoop, codes.FailedPrecondition},
		{"incomplete", &store.IncompleteError{Members: []store.MemberOutcome{{Err: context.DeadlineExceeded}}}, store.ErrIncomplete, codes.Aborted},
		{"no stores", store.ErrNoStores, store.ErrUnavailable, codes.Unavailable},
		{"canceled", fmt.Errorf("a member: %w", context.Canceled), context.Canceled, codes.Canceled},
		{"deadline", context.DeadlineExceeded, context.DeadlineExceeded, codes.DeadlineExceeded},
		{"unsorted member", store.ErrUnsorted, nil, codes.Internal},
		{"malformed member", store.ErrMalformed, nil, codes.Internal},
		{"panic", &store.PanicError{Value: "oops"}, nil, codes.Internal},
		{"anything", errors.New("disk on fire"), nil, codes.Unknown},
		{"a status", status.Error(codes.Aborted, "partial response"), nil, codes.Aborted},
		{"a wrapped status", &store.Error{Store: "x", Op: "series", Err: status.Error(codes.PermissionDenied, "no")}, nil, codes.PermissionDenied},
		{"a condition beside a status", fmt.Errorf("%w: %w", store.ErrLimit, status.Error(codes.Unknown, "x")), store.ErrLimit, codes.ResourceExhausted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			failing := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return tc.err })
			near := overMemory(t, failing, nil, &grpcstore.ClientOptions{Name: "near"}, grpcstore.GRPCServerOptions(nil)...)
			far := overMemory(t, near, nil, &grpcstore.ClientOptions{Name: "far"}, grpcstore.GRPCServerOptions(nil)...)
			for name, c := range map[string]*grpcstore.Client{"near": near, "far": far} {
				err := c.Series(t.Context(), everything, &collector{})
				var e *store.Error
				testutil.Assert(t, errors.As(err, &e), "%v", err)
				testutil.Equals(t, name+"/series", e.Store+"/"+e.Op)
				testutil.Equals(t, tc.code, status.Code(err))
				testutil.Assert(t, strings.Contains(err.Error(), "code = "+tc.code.String()), "%v", err)
				if tc.is != nil {
					testutil.Assert(t, errors.Is(err, tc.is), "%v", err)
				}
				for _, other := range []error{store.ErrInvalidRequest, store.ErrLimit, store.ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
					testutil.Assert(t, !errors.Is(err, other) || errors.Is(other, tc.is), "%v is %v", err, other)
				}
			}
		})
	}
}

func TestALongErrorFitsIntoAHeader(t *testing.T) {
	long := strings.Repeat("\xffü\U0001f600", 10_000)
	c := overMemory(t, script{func(*store.SeriesRequest, store.SeriesWriter) error { return errors.New(long) }}, nil, nil, grpcstore.GRPCServerOptions(nil)...)
	err := c.Series(t.Context(), everything, &collector{})
	testutil.Equals(t, codes.Unknown, status.Code(err))
	testutil.Assert(t, len(err.Error()) > 2000 && len(err.Error()) < 2200, "%d bytes", len(err.Error()))
	testutil.Assert(t, utf8.ValidString(err.Error()) && strings.HasSuffix(err.Error(), "..."), "%v", err)
}

func TestWhatCameBeforeAnErrorArrives(t *testing.T) {
	ss := seriesOf(t, 5, 1)
	s := script{send(ss...), func(*store.SeriesRequest, store.SeriesWriter) error { return store.ErrUnavailable }}
	c := overMemory(t, s, nil, nil, grpcstore.GRPCServerOptions(nil)...)
	var got collector
	err := c.Series(t.Context(), everything, &got)
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	requireSeries(t, ss, got.series)
}

func TestAPanicIsAnErrorOfItsCall(t *testing.T) {
	var log strings.Builder
	s := &panicking{}
	c := overMemory(t, s, &grpcstore.ServerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil, grpcstore.GRPCServerOptions(nil)...)
	calls := map[string]func() error{
		"series": func() error { return c.Series(t.Context(), everything, &collector{}) },
		"names":  func() error { _, err := c.LabelNames(t.Context(), &store.LabelNamesRequest{}); return err },
		"values": func() error {
			_, err := c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "a"})
			return err
		},
		"info": func() error { _, err := c.Describe(t.Context()); return err },
	}
	for name, call := range calls {
		log.Reset()
		err := call()
		testutil.Equals(t, codes.Internal, status.Code(err), name)
		testutil.Assert(t, strings.Contains(err.Error(), "panic: index out of luck"), "%v", err)
		testutil.Assert(t, strings.Contains(log.String(), "store panicked") && strings.Contains(log.String(), "stack="), "%s", log.String())
	}
}

type panicking struct{}

func (panicking) Series(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
	panic("index out of luck")
}
func (panicking) LabelNames(context.Context, *store.LabelNamesRequest) ([]string, error) {
	panic("index out of luck")
}
func (panicking) LabelValues(context.Context, *store.LabelValuesRequest) ([]string, error) {
	panic("index out of luck")
}
func (panicking) Describe(context.Context) (store.Info, error) { panic("index out of luck") }

func TestAWritersErrorIsReturnedAsItIs(t *testing.T) {
	enough := errors.New("enough")
	c := overMemory(t, plainStore(seriesOf(t, 1000, 1)), nil, nil, grpcstore.GRPCServerOptions(nil)...)
	got := &collector{err: enough}
	testutil.Equals(t, enough, c.Series(t.Context(), everything, got))
	testutil.Equals(t, 1, len(got.series))
	frames := &keepFrames{collector: collector{err: enough}}
	testutil.Equals(t, enough, c.Series(t.Context(), everything, frames))
	testutil.Equals(t, 1, len(frames.frames))
	frames.release()
}

func TestUnsortedSeriesAreRefused(t *testing.T) {
	a, b := &store.Series{Labels: labels.FromStrings("x", "a")}, &store.Series{Labels: labels.FromStrings("x", "b")}
	twice := labels.NewScratchBuilder(2)
	twice.Add("x", "c")
	twice.Add("x", "d")
	for _, tc := range []struct {
		name string
		ss   []*store.Series
		text string // empty if they are fine
	}{
		{"swapped", []*store.Series{b, a}, `{x="a"} after {x="b"}`},
		{"repeated", []*store.Series{a, a, b}, ""},
		{"resumed", []*store.Series{a, b, a}, `{x="a"} after {x="b"}`},
		{"label twice", []*store.Series{a, b, {Labels: twice.Labels()}}, `labels of {`},
	} {
		t.Run("by the server/"+tc.name, func(t *testing.T) {
			c := overMemory(t, plainStore(tc.ss), nil, nil, grpcstore.GRPCServerOptions(nil)...)
			err := c.Series(t.Context(), everything, &collector{})
			if tc.text == "" {
				testutil.Ok(t, err)
				return
			}
			testutil.Equals(t, codes.Internal, status.Code(err))
			testutil.Assert(t, strings.Contains(err.Error(), "series out of order") && strings.Contains(err.Error(), tc.text), "%v", err)
		})
		if tc.name == "label twice" {
			continue // the decoder's to refuse
		}
		for _, perMessage := range []int{1, 2, 10} {
			t.Run(fmt.Sprintf("by the client/%s/%d in a message", tc.name, perMessage), func(t *testing.T) {
				c := dialRaw(t, rawPeer{series: func(_ context.Context, _ []byte, send func([]byte) error) error {
					for _, f := range framesOf(tc.ss, perMessage) {
						if err := send(response(f)); err != nil {
							return err
						}
					}
					return nil
				}}, &grpcstore.ClientOptions{Name: "eu"})
				err := c.Series(t.Context(), everything, &collector{})
				if tc.text == "" {
					testutil.Ok(t, err)
					return
				}
				testutil.Assert(t, errors.Is(err, store.ErrUnsorted), "%v", err)
				testutil.Equals(t, "store eu: series: series out of order: "+tc.text, err.Error())
			})
		}
	}
	t.Run("by the server at the seam of frames", func(t *testing.T) {
		frames := append(framesOf([]*store.Series{a, b}, 2), framesOf([]*store.Series{a}, 1)...)
		c := overMemory(t, frames, nil, nil, grpcstore.GRPCServerOptions(nil)...)
		err := c.Series(t.Context(), everything, &collector{})
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), "series out of order"), "%v", err)
	})
}

// response is the frame as a message.
func response(f *encoded.Frame) []byte {
	var e wire.Encoder
	for i := range f.Series {
		if err := e.Add(&f.Series[i]); err != nil {
			panic(err)
		}
	}
	return e.Response()
}

func TestAnEncodingThatCannotBeSent(t *testing.T) {
	s := &store.Series{Labels: labels.FromStrings("x", "a"), Chunks: []store.Chunk{{Raw: store.ChunkData{Encoding: chunkenc.Encoding(7), Bytes: []byte("x")}}}}
	c := overMemory(t, plainStore{s}, nil, nil, grpcstore.GRPCServerOptions(nil)...)
	err := c.Series(t.Context(), everything, &collector{})
	testutil.Equals(t, codes.Internal, status.Code(err))
	testutil.Assert(t, strings.Contains(err.Error(), `encoding 7`) && strings.Contains(err.Error(), `{x="a"}`), "%v", err)
}

func TestHostileAnswers(t *testing.T) {
	good := response(framesOf(seriesOf(t, 3, 1), 3)[0])
	for name, tc := range map[string]struct {
		answer []byte
		opts   grpcstore.ClientOptions
		is     error
	}{
		"cut short":      {good[:len(good)-1], grpcstore.ClientOptions{}, store.ErrMalformed},
		"not protobuf":   {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), grpcstore.ClientOptions{}, store.ErrMalformed},
		"label twice":    {[]byte("\x0a\x0e\x0a\x05\x0a\x01a\x12\x00\x0a\x05\x0a\x01a\x12\x00"), grpcstore.ClientOptions{}, store.ErrMalformed},
		"large message":  {good, grpcstore.ClientOptions{MaxRecvSize: 500}, store.ErrLimit},
		"many series":    {good, grpcstore.ClientOptions{Limits: store.Limits{Series: 2}}, store.ErrLimit},
		"many chunks":    {good, grpcstore.ClientOptions{Limits: store.Limits{Chunks: 2}}, store.ErrLimit},
		"many bytes":     {good, grpcstore.ClientOptions{Limits: store.Limits{Bytes: 500}}, store.ErrLimit},
		"within limits":  {good, grpcstore.ClientOptions{MaxRecvSize: len(good), Limits: store.Limits{Series: 3, Chunks: 3, Bytes: int64(len(good))}}, nil},
		"empty message":  {nil, grpcstore.ClientOptions{}, nil},
		"unknown result": {[]byte("\x7a\x01x"), grpcstore.ClientOptions{}, nil},
		"empty batch":    {[]byte("\x22\x00"), grpcstore.ClientOptions{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.opts.Name = "eu"
			c := dialRaw(t, rawPeer{series: func(_ context.Context, _ []byte, send func([]byte) error) error { return send(tc.answer) }}, &tc.opts)
			for _, w := range []store.SeriesWriter{&collector{}, &countFrames{}} {
				err := c.Series(t.Context(), everything, w)
				if tc.is == nil {
					testutil.Ok(t, err)
					continue
				}
				testutil.Assert(t, errors.Is(err, tc.is), "%v", err)
				testutil.Assert(t, strings.HasPrefix(err.Error(), "store eu: series: "), "%v", err)
			}
		})
	}
}

func TestHostileRequests(t *testing.T) {
	_, err := rawSeries(t, plainStore(nil), nil, []byte{0x0a, 0x7f}, grpcstore.GRPCServerOptions(nil)...)
	testutil.Equals(t, codes.InvalidArgument, status.Code(err))
	// A matcher with a regular expression that does not compile.
	_, err = rawSeries(t, plainStore(nil), nil, []byte("\x1a\x08\x08\x02\x12\x01a\x1a\x01("), grpcstore.GRPCServerOptions(nil)...)
	testutil.Equals(t, codes.InvalidArgument, status.Code(err))
	big := wire.AppendSeriesRequest(nil, &store.SeriesRequest{WithoutReplicaLabels: []string{strings.Repeat("x", 1000)}}, 0)
	_, err = rawSeries(t, plainStore(nil), nil, big, grpcstore.GRPCServerOptions(&grpcstore.ServerOptions{MaxRecvSize: 500})...)
	testutil.Equals(t, codes.ResourceExhausted, status.Code(err))
	_, err = rawSeries(t, plainStore(seriesOf(t, 1, 5)), nil, nil, grpcstore.GRPCServerOptions(&grpcstore.ServerOptions{MaxSendSize: 500})...)
	testutil.Equals(t, codes.ResourceExhausted, status.Code(err))
}

func TestCallsEndWithTheirContext(t *testing.T) {
	block := store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		if err := w.Warn(errors.New("started")); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	c := overMemory(t, block, nil, nil, grpcstore.GRPCServerOptions(nil)...)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Series(ctx, everything, warnFunc(func(error) error { cancel(); return nil }))
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = c.Series(ctx, everything, &collector{})
	testutil.Assert(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
	_, err = c.LabelNames(ctx, &store.LabelNamesRequest{})
	testutil.Assert(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
	_, err = c.Describe(ctx)
	testutil.Assert(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
}

// warnFunc is a writer for warnings only.
type warnFunc func(error) error

func (f warnFunc) Warn(err error) error     { return f(err) }
func (warnFunc) Send(s *store.Series) error { return nil }

func TestAnUnreachablePeer(t *testing.T) {
	c, err := grpcstore.Dial("127.0.0.1:1", nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	err = c.Series(t.Context(), everything, &collector{})
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	testutil.Equals(t, "127.0.0.1:1", c.Name())
	testutil.Assert(t, strings.HasPrefix(err.Error(), "store 127.0.0.1:1: series: "), "%v", err)
}
