package fanout_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// series makes a series with raw chunks of garbage, [mint, maxt, data].
func series(lset string, chunks ...store.Chunk) *store.Series {
	return &store.Series{Labels: labels.FromStrings("__name__", lset), Chunks: chunks}
}

func chunk(mint, maxt int64, data string) store.Chunk {
	return store.Chunk{MinTime: mint, MaxTime: maxt, Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: []byte(data)}}
}

// tracker makes frames, counts those that are alive, and overwrites their bytes
// when they no longer are.
type tracker struct {
	mu          sync.Mutex
	frames      int
	bytes, peak int
}

func (tr *tracker) add(frames, bytes int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.frames += frames
	tr.bytes += bytes
	tr.peak = max(tr.peak, tr.bytes)
}

func (tr *tracker) alive() (frames, bytes, peak int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.frames, tr.bytes, tr.peak
}

func (tr *tracker) noneAlive(t testing.TB) {
	t.Helper()
	frames, bytes, _ := tr.alive()
	testutil.Equals(t, 0, frames, "frames alive")
	testutil.Equals(t, 0, bytes, "bytes alive")
}

// frame copies the series into a frame with memory of its own.
func (tr *tracker) frame(ss ...*store.Series) *encoded.Frame {
	var bufs [][]byte
	own := func(b []byte) []byte {
		b = slices.Clone(b)
		bufs = append(bufs, b)
		return b
	}
	size := 0
	f := encoded.NewFrame(func(f *encoded.Frame) {
		for _, b := range bufs {
			for i := range b {
				b[i] = 0xff
			}
		}
		tr.add(-1, -f.Size)
	})
	for _, s := range ss {
		v, _ := wire.View(nil, s)
		v.Labels = own(v.Labels)
		for i := range v.Chunks {
			c := &v.Chunks[i]
			c.Raw.Bytes = own(c.Raw.Bytes)
			if a := c.Aggregates; a != nil {
				for _, d := range []*encoded.Data{&a.Count, &a.Sum, &a.Min, &a.Max, &a.Counter} {
					d.Bytes = own(d.Bytes)
				}
			}
		}
		f.Series = append(f.Series, v)
		size += v.Size()
	}
	f.Size = size
	tr.add(1, size)
	return f
}

// sendFrame sends the series as one frame, which must be taken as such.
func (tr *tracker) sendFrame(w store.SeriesWriter, ss ...*store.Series) error {
	f := tr.frame(ss...)
	defer f.Release()
	return w.(encoded.Writer).SendFrame(f)
}

// copyOf is for a Store whose answer is sent more than once.
func copyOf(s *store.Series) *store.Series {
	v, _ := wire.View(nil, s)
	sb := labels.NewScratchBuilder(0)
	return wire.Plain(&v, &sb)
}

// sends is a Store that sends the series one by one, whatever it is asked.
func sends(ss ...*store.Series) store.Store {
	return store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, s := range ss {
			if err := w.Send(copyOf(s)); err != nil {
				return err
			}
		}
		return nil
	})
}

// sendsFrames sends them in frames of n.
func sendsFrames(tr *tracker, n int, ss ...*store.Series) store.Store {
	return store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for c := range slices.Chunk(ss, n) {
			if err := tr.sendFrame(w, c...); err != nil {
				return err
			}
		}
		return nil
	})
}

// describing is a Store that is a Describer.
type describing struct {
	store.Store
	info func(context.Context) (store.Info, error)
}

func (d describing) Describe(ctx context.Context) (store.Info, error) { return d.info(ctx) }

func withInfo(s store.Store, info store.Info) store.Store {
	return describing{s, func(context.Context) (store.Info, error) { return info, nil }}
}

// frameReader takes frames and nothing else.
type frameReader struct {
	series   []*store.Series
	warnings []error
	sizes    []int // series per frame
	plain    int
	onFrame  func(*encoded.Frame) error
}

func (r *frameReader) Send(*store.Series) error { r.plain++; return nil }

func (r *frameReader) Warn(err error) error {
	r.warnings = append(r.warnings, err)
	return nil
}

func (r *frameReader) SendFrame(f *encoded.Frame) error {
	sb := labels.NewScratchBuilder(0)
	for i := range f.Series {
		if err := encoded.CheckLabels(f.Series[i].Labels); err != nil {
			return err
		}
		r.series = append(r.series, wire.Plain(&f.Series[i], &sb))
	}
	r.sizes = append(r.sizes, len(f.Series))
	if r.onFrame != nil {
		return r.onFrame(f)
	}
	return nil
}

// plainReader takes plain series.
type plainReader struct {
	series   []*store.Series
	warnings []error
	onSend   func() error
}

func (r *plainReader) Send(s *store.Series) error {
	r.series = append(r.series, s)
	if r.onSend != nil {
		return r.onSend()
	}
	return nil
}

func (r *plainReader) Warn(err error) error {
	r.warnings = append(r.warnings, err)
	return nil
}

// show shows series in one line each, for comparison.
func show(ss []*store.Series) []string {
	out := []string{}
	for _, s := range ss {
		line := []byte(s.Labels.String())
		for _, c := range s.Chunks {
			line = append(append(line, ' '), showChunk(c)...)
		}
		out = append(out, string(line))
	}
	return out
}

func showChunk(c store.Chunk) string {
	b := strconv.AppendInt([]byte{'['}, c.MinTime, 10)
	b = strconv.AppendInt(append(b, ' '), c.MaxTime, 10)
	for i, d := range append([]store.ChunkData{c.Raw}, aggregates(c)...) {
		if !d.IsZero() {
			b = append(b, []string{" ", " count", " sum", " min", " max", " counter"}[i]...)
			b = strconv.AppendInt(b, int64(d.Encoding), 10)
			b = strconv.AppendQuote(append(b, ':'), string(d.Bytes))
		}
	}
	return string(append(b, ']'))
}

func aggregates(c store.Chunk) []store.ChunkData {
	if c.Aggregated == nil {
		return nil
	}
	a := c.Aggregated
	return []store.ChunkData{a.Count, a.Sum, a.Min, a.Max, a.Counter}
}

func newFanout(t testing.TB, opts *fanout.Options, members ...fanout.Member) *fanout.Store {
	t.Helper()
	f, err := fanout.New(fanout.Static(members...), opts)
	testutil.Ok(t, err)
	if *branches {
		return fanout.Branch(f)
	}
	return f
}

// named makes members called a, b, c, ...
func named(stores ...store.Store) []fanout.Member {
	out := make([]fanout.Member, len(stores))
	for i, s := range stores {
		out[i] = fanout.Member{Name: name(i), Store: s}
	}
	return out
}

func name(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return fmt.Sprintf("m%04d", i)
}

// all is a request for everything.
func all() *store.SeriesRequest {
	return &store.SeriesRequest{MinTime: -1 << 62, MaxTime: 1 << 62, Outcome: &store.Outcome{}}
}
