package query_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// sample is a float, or a histogram of which the sum tells it from others.
type sample struct {
	t    int64
	v    float64
	kind chunkenc.ValueType
}

func (s sample) String() string {
	if s.kind != chunkenc.ValFloat {
		return fmt.Sprintf("%d:%s(%v)", s.t, s.kind, s.v)
	}
	return fmt.Sprintf("%d:%v", s.t, s.v)
}

func (s sample) same(o sample) bool {
	return s.t == o.t && s.kind == o.kind && math.Float64bits(s.v) == math.Float64bits(o.v)
}

// floats makes samples of times and values that follow each other.
func floats(tv ...float64) (out []sample) {
	for i := 0; i < len(tv); i += 2 {
		out = append(out, sample{int64(tv[i]), tv[i+1], chunkenc.ValFloat})
	}
	return out
}

// every makes n float samples from t on, step apart, with values from v on.
func every(step, t int64, n int, v, by float64) (out []sample) {
	for i := range n {
		out = append(out, sample{t + step*int64(i), v + by*float64(i), chunkenc.ValFloat})
	}
	return out
}

// data encodes samples of one kind.
func data(tb testing.TB, ss []sample) store.ChunkData {
	c, err := promcompat.NewChunk(ss[0].kind)
	testutil.Ok(tb, err)
	app, err := promcompat.NewAppender(c)
	testutil.Ok(tb, err)
	for _, s := range ss {
		var next chunkenc.Chunk
		switch s.kind {
		case chunkenc.ValHistogram:
			next, _, err = app.AppendHistogram(nil, s.t, integerHistogram(s.v), true)
		case chunkenc.ValFloatHistogram:
			next, _, err = app.AppendFloatHistogram(nil, s.t, integerHistogram(s.v).ToFloat(nil), true)
		default:
			app.Append(s.t, s.v)
		}
		testutil.Ok(tb, err)
		testutil.Assert(tb, next == nil, "samples do not fit one chunk")
	}
	return store.ChunkData{Encoding: c.Encoding(), Bytes: c.Bytes()}
}

func integerHistogram(sum float64) *histogram.Histogram {
	return &histogram.Histogram{Count: uint64(sum), Sum: sum, ZeroThreshold: 1e-128, ZeroCount: 0, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{int64(sum)}}
}

// raw makes a raw chunk.
func raw(tb testing.TB, ss []sample) store.Chunk {
	return store.Chunk{MinTime: ss[0].t, MaxTime: ss[len(ss)-1].t, Raw: data(tb, ss)}
}

func series(name string, chunks ...store.Chunk) *store.Series {
	return &store.Series{Labels: labels.FromStrings("__name__", name), Chunks: chunks}
}

// plainStore sends what it has, to whatever is asked for.
func plainStore(ss ...*store.Series) store.Store {
	return store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, s := range ss {
			c := *s
			if err := w.Send(&c); err != nil {
				return err
			}
		}
		return nil
	})
}

// frameStore sends what it has in frames of perFrame series. The bytes of a frame
// are overwritten when it is released for the last time.
type frameStore struct {
	series   []*store.Series
	perFrame int
	frames   atomic.Int64 // that are not free
	sent     atomic.Int64
}

func (s *frameStore) Series(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	fw, ok := w.(encoded.Writer)
	if !ok {
		return fmt.Errorf("%T takes no frames", w)
	}
	for from := 0; from < len(s.series); from += s.perFrame {
		if err := s.send(fw, s.series[from:min(from+s.perFrame, len(s.series))]); err != nil {
			return err
		}
	}
	return nil
}

func (s *frameStore) send(w encoded.Writer, ss []*store.Series) error {
	var memory [][]byte
	f := encoded.NewFrame(func(f *encoded.Frame) {
		for _, b := range memory {
			for i := range b {
				b[i] = 0xdd
			}
		}
		for i := range f.Series {
			for j := range f.Series[i].Chunks {
				f.Series[i].Chunks[j] = encoded.Chunk{MinTime: -1, MaxTime: -1}
			}
			f.Series[i] = encoded.Series{}
		}
		s.frames.Add(-1)
	})
	own := func(d *encoded.Data) {
		d.Bytes = append([]byte(nil), d.Bytes...)
		memory = append(memory, d.Bytes)
	}
	for _, ps := range ss {
		v, buf := wire.View(nil, ps)
		memory = append(memory, buf)
		for i := range v.Chunks {
			c := &v.Chunks[i]
			own(&c.Raw)
			if a := c.Aggregates; a != nil {
				for _, d := range []*encoded.Data{&a.Count, &a.Sum, &a.Min, &a.Max, &a.Counter} {
					own(d)
				}
			}
		}
		f.Series = append(f.Series, v)
	}
	s.frames.Add(1)
	s.sent.Add(1)
	defer f.Release()
	return w.SendFrame(f)
}

func newQuerier(tb testing.TB, s store.Store, opts *query.Options) *query.Querier {
	q, err := query.New(s, opts)
	testutil.Ok(tb, err)
	return q
}

func equals(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

// read selects and reads all series of a querier from mint to maxt.
func read(tb testing.TB, q *query.Querier, mint, maxt int64, hints *storage.SelectHints, opts *query.QueryOptions) map[string][]sample {
	out, err := tryRead(tb, q, mint, maxt, hints, opts)
	testutil.Ok(tb, err)
	return out
}

func tryRead(tb testing.TB, q *query.Querier, mint, maxt int64, hints *storage.SelectHints, opts *query.QueryOptions) (map[string][]sample, error) {
	sq, err := q.Queryable(opts).Querier(mint, maxt)
	testutil.Ok(tb, err)
	defer func() { testutil.Ok(tb, sq.Close()) }()
	set := sq.Select(context.Background(), true, hints, equals("__name__", "up"))
	out := map[string][]sample{}
	var it chunkenc.Iterator
	last := labels.EmptyLabels()
	for set.Next() {
		s := set.At()
		testutil.Assert(tb, len(out) == 0 || labels.Compare(last, s.Labels()) < 0, "%s after %s", s.Labels(), last)
		last = s.Labels()
		it = s.Iterator(it)
		ss := []sample{}
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			ss = append(ss, at(it, vt))
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
		out[s.Labels().String()] = ss
	}
	return out, set.Err()
}

// at reads the current sample of an iterator.
func at(it chunkenc.Iterator, vt chunkenc.ValueType) sample {
	s := sample{t: it.AtT(), kind: vt}
	switch vt {
	case chunkenc.ValFloat:
		_, s.v = it.At()
	case chunkenc.ValHistogram:
		_, h := it.AtHistogram(nil)
		s.v = h.Sum
	case chunkenc.ValFloatHistogram:
		_, h := it.AtFloatHistogram(nil)
		s.v = h.Sum
	}
	return s
}

func containsText(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}
