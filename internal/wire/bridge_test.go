package wire_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func data(e chunkenc.Encoding, s string) store.ChunkData {
	return store.ChunkData{Encoding: e, Bytes: []byte(s)}
}

// plainSeries has a raw chunk, aggregates with gaps, and a chunk with nothing.
func plainSeries() *store.Series {
	return &store.Series{
		Labels: labels.FromStrings("__name__", "up", "job", "node"),
		Chunks: []store.Chunk{
			{MinTime: -5, MaxTime: 10, Raw: data(chunkenc.EncXOR, "raw")},
			{MinTime: 11, MaxTime: 20, Aggregated: &store.AggregatedChunk{
				Count: data(chunkenc.EncXOR, "count"), Sum: data(chunkenc.EncXOR, "sum"), Counter: data(chunkenc.EncFloatHistogram, "counter"),
			}},
			{MinTime: 21, MaxTime: 30},
			{MinTime: 31, MaxTime: 40, Aggregated: &store.AggregatedChunk{Min: data(chunkenc.EncXOR, "min"), Max: data(chunkenc.EncXOR, "max")}},
		},
	}
}

func requireSameSeries(t testing.TB, want, got *store.Series) {
	t.Helper()
	testutil.Equals(t, want.Labels.String(), got.Labels.String())
	testutil.Equals(t, want.Chunks, got.Chunks)
}

func TestViewAndPlainAreInverse(t *testing.T) {
	for name, s := range map[string]*store.Series{
		"chunks of each kind": plainSeries(),
		"labels only":         {Labels: labels.FromStrings("a", "b")},
		"chunks only":         {Chunks: []store.Chunk{{Raw: data(chunkenc.EncHistogram, "h")}}},
		"empty":               {},
	} {
		t.Run(name, func(t *testing.T) {
			v, dst := wire.View([]byte("kept"), s)
			testutil.Equals(t, "kept", string(dst[:4]))
			testutil.Equals(t, string(dst[4:]), string(v.Labels))
			sb := labels.NewScratchBuilder(0)
			requireSameSeries(t, s, wire.Plain(&v, &sb))
		})
	}
}

func TestPlainSharesNothing(t *testing.T) {
	s := plainSeries()
	v, dst := wire.View(nil, s)
	sb := labels.NewScratchBuilder(0)
	got := wire.Plain(&v, &sb)
	clear(dst)
	for _, c := range s.Chunks {
		clear(c.Raw.Bytes)
		if a := c.Aggregated; a != nil {
			for _, d := range []store.ChunkData{a.Count, a.Sum, a.Min, a.Max, a.Counter} {
				clear(d.Bytes)
			}
		}
	}
	requireSameSeries(t, plainSeries(), got)
	// Chunks lie side by side: appending to one must not run into the next.
	_ = append(got.Chunks[0].Raw.Bytes, "overrun"...)
	requireSameSeries(t, plainSeries(), got)
}

type plainWriter struct {
	got []*store.Series
	err error
}

func (w *plainWriter) Send(s *store.Series) error { w.got = append(w.got, s); return w.err }
func (w *plainWriter) Warn(error) error           { return nil }

type frameWriter struct {
	plainWriter
	frames []*encoded.Frame
}

func (w *frameWriter) SendFrame(f *encoded.Frame) error { w.frames = append(w.frames, f); return w.err }

func TestSend(t *testing.T) {
	v, dst := wire.View(nil, plainSeries())
	w, _ := wire.View(dst, &store.Series{Labels: labels.FromStrings("z", "z")})
	f := encoded.NewFrame(nil)
	f.Series = append(f.Series, v, w)

	pw := &plainWriter{}
	testutil.Ok(t, wire.Send(pw, f))
	testutil.Equals(t, 2, len(pw.got))
	requireSameSeries(t, plainSeries(), pw.got[0])
	testutil.Equals(t, `{z="z"}`, pw.got[1].Labels.String())

	fw := &frameWriter{}
	testutil.Ok(t, wire.Send(fw, f))
	testutil.Equals(t, 1, len(fw.frames))
	testutil.Assert(t, fw.frames[0] == f)
	testutil.Equals(t, 0, len(fw.got))

	stop := errors.New("enough")
	pw = &plainWriter{err: stop}
	testutil.Equals(t, stop, wire.Send(pw, f))
	testutil.Equals(t, 1, len(pw.got))
	testutil.Equals(t, stop, wire.Send(&frameWriter{plainWriter: plainWriter{err: stop}}, f))
}

func TestSameChunk(t *testing.T) {
	xor := func(s string) encoded.Data { return encoded.Data{Encoding: chunkenc.EncXOR, Bytes: []byte(s)} }
	base := func() encoded.Chunk {
		return encoded.Chunk{MinTime: 1, MaxTime: 2, Raw: xor("r"), Aggregates: &encoded.Aggregates{
			Count: xor("a"), Sum: xor("b"), Min: xor("c"), Max: xor("d"), Counter: xor("e"),
		}}
	}
	for name, change := range map[string]func(*encoded.Chunk){
		"min time":      func(c *encoded.Chunk) { c.MinTime++ },
		"max time":      func(c *encoded.Chunk) { c.MaxTime++ },
		"raw bytes":     func(c *encoded.Chunk) { c.Raw = xor("x") },
		"raw encoding":  func(c *encoded.Chunk) { c.Raw.Encoding = chunkenc.EncHistogram },
		"no raw":        func(c *encoded.Chunk) { c.Raw = encoded.Data{} },
		"no aggregates": func(c *encoded.Chunk) { c.Aggregates = nil },
		"count":         func(c *encoded.Chunk) { c.Aggregates.Count = xor("x") },
		"sum":           func(c *encoded.Chunk) { c.Aggregates.Sum = xor("x") },
		"min":           func(c *encoded.Chunk) { c.Aggregates.Min = xor("x") },
		"max":           func(c *encoded.Chunk) { c.Aggregates.Max = xor("x") },
		"counter":       func(c *encoded.Chunk) { c.Aggregates.Counter = encoded.Data{} },
	} {
		a, b := base(), base()
		change(&b)
		testutil.Assert(t, !wire.SameChunk(&a, &b), name)
		testutil.Assert(t, !wire.SameChunk(&b, &a), name)
	}
	a, b := base(), base()
	a.Wire = []byte("written differently")
	testutil.Assert(t, wire.SameChunk(&a, &b))
	a, b = encoded.Chunk{Raw: xor("r")}, encoded.Chunk{Raw: xor("r"), Aggregates: &encoded.Aggregates{}}
	testutil.Assert(t, wire.SameChunk(&a, &b))
	testutil.Assert(t, wire.SameChunk(&b, &a))
	// Data that is there and empty is not the same as none.
	a, b = encoded.Chunk{Raw: xor("")}, encoded.Chunk{}
	testutil.Assert(t, !wire.SameChunk(&a, &b))
}

func ExampleSend() {
	s := &store.Series{Labels: labels.FromStrings("__name__", "up")}
	v, _ := wire.View(nil, s)
	f := encoded.NewFrame(nil)
	defer f.Release()
	f.Series = append(f.Series, v)

	w := &plainWriter{} // any store.SeriesWriter
	if err := wire.Send(w, f); err != nil {
		fmt.Println(err)
	}
	fmt.Println(w.got[0].Labels)
	// Output: {__name__="up"}
}
