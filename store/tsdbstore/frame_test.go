package tsdbstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

// frameWriter takes frames, and keeps them all if told to.
type frameWriter struct {
	keep   bool
	frames []*encoded.Frame
	series int
	chunks int
	err    error
}

func (*frameWriter) Send(*store.Series) error {
	return errors.New("plain series sent to a writer of frames")
}
func (*frameWriter) Warn(err error) error { return err }

func (w *frameWriter) SendFrame(f *encoded.Frame) error {
	w.series += len(f.Series)
	for i := range f.Series {
		w.chunks += len(f.Series[i].Chunks)
	}
	if w.keep {
		f.Retain()
		w.frames = append(w.frames, f)
	}
	return w.err
}

// manySeries is n series with a chunk each and a long one in the middle.
func manySeries(t testing.TB, n int) *fakeDB {
	db := &fakeDB{}
	for i := range n {
		s := fakeSeries{lset: labels.FromStrings("__name__", "metric", "id", fmt.Sprintf("%06d", i), "padding", strings.Repeat("p", i%300))}
		parts := int64(1 + i%3)
		if i == n/2 {
			parts = 15_000
		}
		for c := range parts {
			s.metas = append(s.metas, floats(t, c*1000+int64(i%7), c*1000+500))
		}
		db.series = append(db.series, s)
	}
	return db
}

// TestFrames retains every frame of one answer while others are made, and
// compares them with the plain series of the same answer.
func TestFrames(t *testing.T) {
	t.Parallel()
	db := manySeries(t, 1000)
	s := tsdbstore.New(db, nil)
	req := &store.SeriesRequest{MaxTime: math.MaxInt64}
	kept := &frameWriter{keep: true}
	testutil.Ok(t, s.Series(context.Background(), req, kept))
	for range 3 { // of which the frames come from the pool
		testutil.Ok(t, s.Series(context.Background(), req, &frameWriter{}))
	}
	testutil.Assert(t, len(kept.frames) > 5, "%d frames", len(kept.frames))

	plain := &recorder{}
	testutil.Ok(t, s.Series(context.Background(), req, plain))
	sb := labels.NewScratchBuilder(0)
	i := 0
	for _, f := range kept.frames {
		testutil.Assert(t, f.Size > 0 && f.Size < 1<<20+128<<10, "frame of %d bytes", f.Size)
		size := 0
		for j := range f.Series {
			testutil.Ok(t, encoded.CheckLabels(f.Series[j].Labels))
			got, want := wire.Plain(&f.Series[j], &sb), plain.series[i]
			testutil.Equals(t, want.Labels.String(), got.Labels.String())
			testutil.Equals(t, want.Chunks, got.Chunks)
			size += f.Series[j].Size()
			i++
		}
		testutil.Assert(t, f.Size >= size, "%d bytes counted of %d", f.Size, size)
		f.Release()
	}
	testutil.Equals(t, len(plain.series), i)
	testutil.Equals(t, plain.series[499].Labels.String(), db.series[499].lset.String())

	enough := errors.New("enough")
	testutil.Equals(t, enough, s.Series(context.Background(), req, &frameWriter{err: enough}))
}

// TestPlainSeriesAreOwned overwrites what was sent while more is made.
func TestPlainSeriesAreOwned(t *testing.T) {
	t.Parallel()
	db := manySeries(t, 100)
	s := tsdbstore.New(db, nil)
	first := &recorder{}
	testutil.Ok(t, s.Series(context.Background(), &store.SeriesRequest{MaxTime: 10_000}, first))
	for _, series := range first.series {
		for _, c := range series.Chunks {
			clear(c.Raw.Bytes)
		}
	}
	for _, series := range collectPlain(t, s) {
		for _, c := range series.Chunks {
			checkTimes(t, c)
		}
	}
}

func collectPlain(t *testing.T, s store.Store) []*store.Series {
	w := &recorder{}
	testutil.Ok(t, s.Series(context.Background(), &store.SeriesRequest{MaxTime: 10_000}, w))
	return w.series
}

// TestSkipChunksFrames has series without chunks in every frame.
func TestSkipChunksFrames(t *testing.T) {
	t.Parallel()
	db := manySeries(t, 1000)
	db.series = append(db.series, fakeSeries{lset: labels.FromStrings("z", "late"), metas: []chunks.Meta{floats(t, 1<<50)}})
	w := &frameWriter{}
	testutil.Ok(t, tsdbstore.New(db, nil).Series(context.Background(), &store.SeriesRequest{MaxTime: 1 << 49, SkipChunks: true}, w))
	testutil.Equals(t, 1000, w.series)
	testutil.Equals(t, 0, w.chunks)
}
