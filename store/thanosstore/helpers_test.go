package thanosstore_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// everything asks for all that there is.
func everything() *store.SeriesRequest {
	return &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}
}

// fakeServer is a StoreServer of Thanos that a test writes.
type fakeServer struct {
	series func(*storepb.SeriesRequest, storepb.Store_SeriesServer) error
	names  func(context.Context, *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error)
	values func(context.Context, *storepb.LabelValuesRequest) (*storepb.LabelValuesResponse, error)
	info   func(context.Context, *infopb.InfoRequest) (*infopb.InfoResponse, error)
}

func (f *fakeServer) Series(r *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
	return f.series(r, s)
}

func (f *fakeServer) LabelNames(ctx context.Context, r *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error) {
	return f.names(ctx, r)
}

func (f *fakeServer) LabelValues(ctx context.Context, r *storepb.LabelValuesRequest) (*storepb.LabelValuesResponse, error) {
	return f.values(ctx, r)
}

func (f *fakeServer) Info(ctx context.Context, r *infopb.InfoRequest) (*infopb.InfoResponse, error) {
	return f.info(ctx, r)
}

// sends is a server that sends messages and returns the first error, or err.
func sends(err error, messages ...*storepb.SeriesResponse) *fakeServer {
	return &fakeServer{series: func(_ *storepb.SeriesRequest, s storepb.Store_SeriesServer) error {
		for _, m := range messages {
			if err := s.Send(m); err != nil {
				return err
			}
		}
		return err
	}}
}

// thanosSeries is a series with a raw chunk for each of the data, from time 0,
// 10 ms each.
func thanosSeries(lset []storepb.Label, data ...string) *storepb.Series {
	s := &storepb.Series{Labels: lset}
	for i, d := range data {
		s.Chunks = append(s.Chunks, storepb.AggrChunk{
			MinTime: int64(10 * i), MaxTime: int64(10*i + 9), Raw: &storepb.Chunk{Type: storepb.Chunk_XOR, Data: []byte(d), Hash: 7},
		})
	}
	return s
}

// lset makes Thanos' labels of pairs, in any order and with duplicates.
func lset(pairs ...string) (out []storepb.Label) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, storepb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

// plainSeries is what thanosSeries is for us.
func plainSeries(lset labels.Labels, data ...string) *store.Series {
	s := &store.Series{Labels: lset}
	for i, d := range data {
		s.Chunks = append(s.Chunks, store.Chunk{
			MinTime: int64(10 * i), MaxTime: int64(10*i + 9), Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: []byte(d)},
		})
	}
	return s
}

// show renders a series.
func show(s *store.Series) string {
	out := s.Labels.String()
	for _, c := range s.Chunks {
		out += " " + string(c.Raw.Bytes)
	}
	return out
}

// plainWriter records what it is given, in order; it takes plain series only.
type plainWriter struct {
	lines []string
	errs  []error // the warnings
	err   error   // to answer series with
}

func (w *plainWriter) Send(s *store.Series) error {
	w.lines = append(w.lines, show(s))
	return w.err
}

func (w *plainWriter) Warn(err error) error {
	w.lines, w.errs = append(w.lines, "warning: "+err.Error()), append(w.errs, err)
	return w.err
}

// frameWriter keeps the frames that it is given.
type frameWriter struct {
	plainWriter
	frames []*encoded.Frame
}

func (w *frameWriter) SendFrame(f *encoded.Frame) error {
	f.Retain()
	w.frames = append(w.frames, f)
	return w.err
}

// release shows the series of all frames, and lets go of them.
func (w *frameWriter) release() []string {
	var out []string
	sb := labels.NewScratchBuilder(0)
	for _, f := range w.frames {
		for i := range f.Series {
			out = append(out, show(wire.Plain(&f.Series[i], &sb)))
		}
		f.Release()
	}
	w.frames = nil
	return out
}

// ask runs one call and shows what came.
func ask(t *testing.T, s store.Store, req *store.SeriesRequest) (string, error) {
	t.Helper()
	var w plainWriter
	err := s.Series(t.Context(), req, &w)
	return strings.Join(w.lines, "\n"), err
}
