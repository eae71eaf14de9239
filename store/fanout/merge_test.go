package fanout_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// randomChunk draws from few, so that members have some in common. Their data
// is garbage: nothing must try to decode it.
func randomChunk(r *rand.Rand) store.Chunk {
	c := store.Chunk{MinTime: int64(r.Intn(6))}
	c.MaxTime = c.MinTime + int64(r.Intn(3))
	data := func() store.ChunkData {
		e := []chunkenc.Encoding{chunkenc.EncNone, chunkenc.EncXOR, chunkenc.EncHistogram, chunkenc.EncFloatHistogram}[r.Intn(4)]
		if e == chunkenc.EncNone {
			return store.ChunkData{}
		}
		return store.ChunkData{Encoding: e, Bytes: []byte{byte(r.Intn(3)), 0xfe, byte(r.Intn(2))}}
	}
	if r.Intn(3) == 0 {
		c.Aggregated = &store.AggregatedChunk{Count: data(), Sum: data(), Min: data(), Max: data(), Counter: data()}
		return c
	}
	c.Raw = data()
	return c
}

// randomSeries is sorted. It has series in several parts, and one that is long.
func randomSeries(r *rand.Rand) []*store.Series {
	var out []*store.Series
	sb := labels.NewScratchBuilder(4)
	for range r.Intn(150) {
		sb.Reset()
		for _, n := range []string{"__name__", "a", "b", "c"} {
			if r.Intn(3) > 0 {
				sb.Add(n, fmt.Sprint(r.Intn(4)))
			}
		}
		s := &store.Series{Labels: sb.Labels()}
		for range r.Intn(8) {
			s.Chunks = append(s.Chunks, randomChunk(r))
		}
		if r.Intn(4) > 0 {
			slices.SortFunc(s.Chunks, func(a, b store.Chunk) int {
				return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.MaxTime, b.MaxTime))
			})
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b *store.Series) int { return labels.Compare(a.Labels, b.Labels) })
	return out
}

// mixed sends the series as frames of random sizes and one by one, in turns.
func mixed(tr *tracker, seed int64, ss []*store.Series) store.Store {
	return store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		r := rand.New(rand.NewSource(seed))
		for i := 0; i < len(ss); {
			n := min(1+r.Intn(20), len(ss)-i)
			if r.Intn(2) == 0 {
				if err := tr.sendFrame(w, ss[i:i+n]...); err != nil {
					return err
				}
				i += n
				continue
			}
			for range n {
				if err := w.Send(copyOf(ss[i])); err != nil {
					return err
				}
				i++
			}
		}
		return nil
	})
}

// model is what merging must come to: for each label set the set of its chunks.
type model map[string]map[string]bool

func (m model) add(t *testing.T, s *store.Series, once bool) {
	key := s.Labels.String()
	if m[key] == nil {
		m[key] = map[string]bool{}
	}
	for _, c := range s.Chunks {
		line := showChunk(c)
		if once && m[key][line] {
			t.Fatalf("chunk twice in %s: %s", key, line)
		}
		m[key][line] = true
	}
}

func checkMerged(t *testing.T, got []*store.Series, members ...[]*store.Series) {
	t.Helper()
	want, have := model{}, model{}
	for _, ss := range members {
		for _, s := range ss {
			want.add(t, s, false)
		}
	}
	for i, s := range got {
		if i > 0 && labels.Compare(got[i-1].Labels, s.Labels) >= 0 {
			t.Fatalf("series %d: %s after %s", i, s.Labels, got[i-1].Labels)
		}
		testutil.Assert(t, slices.IsSortedFunc(s.Chunks, func(a, b store.Chunk) int {
			return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.MaxTime, b.MaxTime))
		}), "chunks of %s", s.Labels)
		have.add(t, s, true)
	}
	testutil.Equals(t, want, have)
}

// checkDepartures fails if a frame does not depart as it says.
func checkDepartures(t *testing.T) func(*encoded.Frame) error {
	return func(f *encoded.Frame) error {
		testutil.Assert(t, f.Departs)
		for i := 1; i < len(f.Series); i++ {
			_, want := encoded.Depart(f.Series[i-1].Labels, f.Series[i].Labels, 0)
			testutil.Equals(t, want, f.Series[i].From)
		}
		return nil
	}
}

func TestMergeEqualsModel(t *testing.T) {
	t.Parallel()
	for seed := range int64(40) {
		r := rand.New(rand.NewSource(seed))
		tr := &tracker{}
		var answers [][]*store.Series
		var stores []store.Store
		for i := range r.Intn(12) + 1 {
			ss := randomSeries(r)
			if i > 0 && r.Intn(3) == 0 {
				ss = answers[i-1] // a replica
			}
			answers = append(answers, ss)
			stores = append(stores, mixed(tr, seed*100+int64(i), ss))
		}
		opts := &fanout.Options{BufferBytes: []int64{1, 500, 0}[r.Intn(3)]}
		f := newFanout(t, opts, named(stores...)...)

		fr := &frameReader{onFrame: checkDepartures(t)}
		req := all()
		testutil.Ok(t, f.Series(context.Background(), req, fr))
		checkMerged(t, fr.series, answers...)
		testutil.Equals(t, 0, fr.plain, "series were sent plain to a reader that takes frames")
		testutil.Equals(t, 0, len(fr.warnings))
		testutil.Assert(t, req.Outcome.Complete())
		for i, m := range req.Outcome.Members() {
			testutil.Equals(t, int64(len(answers[i])), m.Series)
		}
		tr.noneAlive(t)

		pr := &plainReader{}
		testutil.Ok(t, f.Series(context.Background(), all(), pr))
		testutil.Equals(t, show(fr.series), show(pr.series))
		tr.noneAlive(t)

		// A fan-out over fan-outs comes to the same.
		half := len(stores) / 2
		top := newFanout(t, opts,
			fanout.Member{Name: "x", Store: newFanout(t, opts, named(stores[:half]...)...)},
			fanout.Member{Name: "y", Store: newFanout(t, opts, named(stores[half:]...)...)})
		sr := &frameReader{}
		testutil.Ok(t, top.Series(context.Background(), all(), sr))
		testutil.Equals(t, show(fr.series), show(sr.series))
		tr.noneAlive(t)

		// So do branches, whose frames say how series depart from each other.
		br := &frameReader{onFrame: checkDepartures(t)}
		testutil.Ok(t, fanout.Branch(f).Series(context.Background(), all(), br))
		testutil.Equals(t, show(fr.series), show(br.series))
		tr.noneAlive(t)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
