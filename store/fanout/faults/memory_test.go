package faults_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

var hugeBytes = flag.Int64("faults.bytes", 300<<20, "how much the member of TestHugeAnswer sends")

// synthetic sends series without end, or as many bytes of chunks as it is told, in
// chunks of one size. Only their labels differ.
type synthetic struct {
	cluster   string
	bytes     int64 // 0: without end
	chunk     int
	perSeries int // chunks
	sent      atomic.Int64
}

func (s *synthetic) Describe(context.Context) (store.Info, error) {
	return store.Info{LabelSets: []labels.Labels{labels.FromStrings("cluster", s.cluster)}}, nil
}

func (*synthetic) LabelNames(context.Context, *store.LabelNamesRequest) ([]string, error) {
	return []string{"__name__", "a", "cluster"}, nil
}

func (*synthetic) LabelValues(context.Context, *store.LabelValuesRequest) ([]string, error) {
	return nil, nil
}

func (s *synthetic) Series(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	for i := 0; s.bytes == 0 || s.sent.Load() < s.bytes; i++ {
		out := &store.Series{Labels: labels.FromStrings("__name__", "up", "a", fmt.Sprintf("%08d", i), "cluster", s.cluster)}
		for j := range s.perSeries {
			// Memory that is written to, as that of a real answer is.
			out.Chunks = append(out.Chunks, store.Chunk{
				MinTime: int64(j), MaxTime: int64(j), Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: bytes.Repeat([]byte{byte(i)}, s.chunk)},
			})
		}
		if err := w.Send(out); err != nil {
			return err
		}
		s.sent.Add(int64(s.chunk * s.perSeries))
	}
	return ctx.Err()
}

// liveHeap is the bytes that are alive after a collection. Two free what pools
// keep.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// sink takes frames and forgets them.
type sink struct {
	series, bytes int64
	onFrame       func() error
}

func (s *sink) Send(*store.Series) error { return errors.New("plain series") }
func (s *sink) Warn(err error) error     { return err }
func (s *sink) SendFrame(f *encoded.Frame) error {
	s.series += int64(len(f.Series))
	for i := range f.Series {
		s.bytes += int64(f.Series[i].Size())
	}
	if s.onFrame == nil {
		return nil
	}
	return s.onFrame()
}

// What is alive beside frames: what both ends of a connection of gRPC keep to read
// and write with, and what is no member's.
const (
	buffers      = 256 << 10
	constantHeap = 6 << 20
	// maxWindow is that of each call, which grpcstore.Dial sets by default.
	maxWindow = 4 << 20
)

// TestHugeAnswer: a member sends gigabytes, over gRPC. What is alive does not grow
// with it, and the others are whole.
func TestHugeAnswer(t *testing.T) {
	const budget, chunk = 8 << 20, 64 << 10
	huge := &synthetic{cluster: "bad", bytes: *hugeBytes, chunk: chunk, perSeries: 8}
	small := []*synthetic{{cluster: "eu", bytes: 1 << 20, chunk: 1 << 10, perSeries: 1}, {cluster: "us", bytes: 1 << 20, chunk: 1 << 10, perSeries: 1}}
	members := []fanout.Member{{Name: "bad", Store: overLoopback(t, huge)}}
	for _, s := range small {
		members = append(members, fanout.Member{Name: s.cluster, Store: overLoopback(t, s)})
	}
	f, err := fanout.New(fanout.Static(members...), &fanout.Options{BufferBytes: budget, InfoTimeout: patient.InfoTimeout})
	testutil.Ok(t, err)
	testutil.Ok(t, f.Sync(t.Context()))

	before := liveHeap()
	var most, next int64
	r := &sink{}
	r.onFrame = func() error {
		if r.bytes >= next {
			next = r.bytes + max(*hugeBytes/20, 8<<20)
			// While this does not return, everybody comes to a stop: what was allocated
			// during a collection is gone after a later one.
			most = max(most, min(liveHeap(), liveHeap(), liveHeap(), liveHeap())-before)
		}
		return nil
	}
	req := everything()
	testutil.Ok(t, f.Series(t.Context(), req, r))
	testutil.Equals(t, "bad answered, eu answered, us answered", statuses(req.Outcome))
	testutil.Assert(t, r.bytes >= *hugeBytes+2<<20, "only %d bytes came", r.bytes)
	testutil.Equals(t, (huge.sent.Load()/(8*chunk))+2*(1<<10), r.series)
	// Its messages are in buffers of 1 MiB: a frame, and one on its way at each end,
	// where its series is too; and as many as gRPC's window takes.
	bound := int64(budget + 4<<20 + maxWindow + len(members)*(3*(128<<10)+buffers) + constantHeap)
	t.Logf("of %d MiB, at most %.1f MiB were alive; the bound is %.1f MiB", *hugeBytes>>20, float64(most)/(1<<20), float64(bound)/(1<<20))
	testutil.Assert(t, most <= bound, "%d bytes are alive, the bound is %d", most, bound)
}

// TestHugeAnswerIsRefused by the limit of its client, while the others are whole.
func TestHugeAnswerIsRefused(t *testing.T) {
	t.Parallel()
	endless := &synthetic{cluster: "bad", chunk: 64 << 10, perSeries: 8}
	l := listen(t)
	serve(t, endless, l)
	c, err := grpcstore.Dial(l.Addr().String(), &grpcstore.ClientOptions{Limits: store.Limits{Bytes: 8 << 20}})
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	r := newRig(t, patient, fanout.Member{Store: c}, overLoopback)
	for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
		req, w := everything(), &warned{}
		req.Strategy = strategy
		err := r.Series(t.Context(), req, w)
		want := fate{status: store.Failed, is: store.ErrLimit, text: []string{"bytes limit of 8388608 exceeded"}}
		if strategy == store.Abort {
			want.blames(t, err)
			continue
		}
		testutil.Ok(t, err)
		testutil.Equals(t, "bad failed, eu answered, us answered, ap answered", statuses(req.Outcome))
		want.blames(t, req.Outcome.Members()[0].Err)
		testutil.Equals(t, 1, len(w.warnings))
		testutil.Assert(t, w.series >= 3*seriesEach+8, "%d series", w.series)
		r.leavesNothing(t)
	}
}

// warned is a sink that takes warnings.
type warned struct {
	sink
	warnings []error
}

func (w *warned) Warn(err error) error {
	w.warnings = append(w.warnings, err)
	return nil
}

// TestBudgetSmallerThanAFrame: 100 members over gRPC, none of whose frames fits
// into the budget, do not wait for each other.
func TestBudgetSmallerThanAFrame(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"in process", "gRPC"} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			h := hub{}
			for i := range 100 {
				h[clusterOf(i)] = hold(t, 3+i%7, clusterOf(i), "common")
			}
			client := func(name string) remote { return h[name] }
			if over == "gRPC" {
				client = h.serve(t, 20)
			}
			want := data{}
			var alive atomic.Int64
			var members []fanout.Member
			for i := range 100 {
				name := clusterOf(i)
				want = all(want, dataOf(t, h[name]))
				members = append(members, fanout.Member{Name: name, Store: tracked{client(name), &alive, nil}})
			}
			for _, budget := range []int64{1, 300, 5000} {
				r := fanWith(t, fanout.Options{BufferBytes: budget, InfoTimeout: patient.InfoTimeout}, members...)
				for range 2 {
					a := r.ask(t, store.Abort)
					testutil.Ok(t, a.err)
					a.data.holds(t, want, data{})
				}
				testutil.Equals(t, int64(0), alive.Load())
			}
		})
	}
}
