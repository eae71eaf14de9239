package deduptest_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

func TestReplicaIterator(t *testing.T) {
	t.Parallel()
	r := deduptest.Replica{
		float(0, 1), float(10, 2),
		{T: 20, Type: chunkenc.ValHistogram, V: 3, Hint: histogram.CounterReset},
		{T: 30, Type: chunkenc.ValFloatHistogram, V: 4, Hint: histogram.GaugeType},
		float(40, 5), float(50, 6),
	}
	seek := func(t int64) deduptest.Step { return deduptest.Step{Seek: true, To: t} }
	for _, tc := range []struct {
		name  string
		steps []deduptest.Step
		want  []deduptest.Sample
	}{
		{"next only", nil, r},
		{"seek first", []deduptest.Step{seek(-5)}, r},
		{"seek on and back", []deduptest.Step{seek(15), seek(15), {}, seek(0), seek(31)}, []deduptest.Sample{r[2], r[2], r[3], r[3], r[4], r[5]}},
		{"seek to the end", []deduptest.Step{{}, seek(50)}, []deduptest.Sample{r[0], r[5]}},
		{"seek beyond", []deduptest.Step{{}, seek(51)}, []deduptest.Sample{r[0]}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, it := range []chunkenc.Iterator{r.Iterator(nil), r.Iterator(r.Iterator(nil)), r.Runs(3).Iterator(nil)} {
				got, err := deduptest.Walk(it, tc.steps...)
				if err != nil || deduptest.Differ(tc.want, got) >= 0 {
					t.Errorf("%T: want %v, got %v, %v", it, tc.want, got, err)
				}
				if it.Next() != chunkenc.ValNone || it.Seek(0) != chunkenc.ValNone || it.AtT() != math.MinInt64 {
					t.Errorf("%T goes on after its end", it)
				}
			}
		})
	}
}

// TestReplicaHistograms shows that what is read is the caller's own.
func TestReplicaHistograms(t *testing.T) {
	t.Parallel()
	r := deduptest.Replica{{T: 1, Type: chunkenc.ValHistogram, V: 7}}
	it := r.Iterator(nil)
	it.Next()
	_, h := it.AtHistogram(nil)
	if err := h.Validate(); err != nil {
		t.Error(err)
	}
	h.PositiveBuckets[0], h.Sum = 99, 99
	var reused histogram.Histogram
	_, again := it.AtHistogram(&reused)
	if again != &reused || again.Sum != 7 || again.PositiveBuckets[0] != 7 {
		t.Errorf("read %v", again)
	}
	_, fh := it.AtFloatHistogram(nil)
	if err := fh.Validate(); err != nil || !again.ToFloat(nil).Equals(fh) {
		t.Errorf("as floats %v, %v", fh, err)
	}
}

func TestReplicaMisreadPanics(t *testing.T) {
	t.Parallel()
	r := deduptest.Replica{float(0, 1), {T: 1, Type: chunkenc.ValHistogram}, {T: 2, Type: chunkenc.ValFloatHistogram}}
	for name, read := range map[string]func(it chunkenc.Iterator){
		"before the first":               func(it chunkenc.Iterator) { it.At() },
		"after the last":                 func(it chunkenc.Iterator) { it.Seek(9); it.At() },
		"float as histogram":             func(it chunkenc.Iterator) { it.Next(); it.AtHistogram(nil) },
		"float as float histogram":       func(it chunkenc.Iterator) { it.Next(); it.AtFloatHistogram(nil) },
		"histogram as float":             func(it chunkenc.Iterator) { it.Seek(1); it.At() },
		"float histogram as integer one": func(it chunkenc.Iterator) { it.Seek(2); it.AtHistogram(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			read(r.Iterator(nil))
		})
	}
}

// TestRuns shows what a run holds, and that it is gone with the next step.
func TestRuns(t *testing.T) {
	t.Parallel()
	r := deduptest.Replica{float(0, 1), float(1, 2), float(2, 3), {T: 3, Type: chunkenc.ValHistogram}, float(4, 5)}
	it := r.Runs(2).Iterator(nil)
	for _, want := range [][]int64{{0, 1}, {2}, nil, {4}} {
		vt := it.Next()
		if want == nil {
			if vt != chunkenc.ValHistogram {
				t.Errorf("type %s", vt)
			}
			continue
		}
		ts, vs := it.(dedup.FloatRunner).FloatRun()
		if len(ts) != len(want) || len(vs) != len(want) || ts[0] != want[0] || vs[0] != float64(want[0]+1) {
			t.Fatalf("run %v %v, want times %v", ts, vs, want)
		}
		if last := want[len(want)-1]; it.AtT() != last {
			t.Errorf("at %d after a run to %d", it.AtT(), last)
		}
		it.Seek(want[len(want)-1])
		if ts[0] != math.MinInt64 || !math.IsInf(vs[0], -1) {
			t.Errorf("run %v %v can still be read", ts, vs)
		}
	}
}

// TestWalkNotices shows that a histogram that is none of a replica's, and a time
// that is not the sample's, do not pass for right.
func TestWalkNotices(t *testing.T) {
	t.Parallel()
	r := deduptest.Replica{{T: 1, Type: chunkenc.ValHistogram, V: 7}, {T: 2, Type: chunkenc.ValFloatHistogram, V: 7}}
	got, err := deduptest.Walk(spoiling{r.Iterator(nil)})
	if err != nil || len(got) != 2 || got[0].Equal(r[0]) || got[1].Equal(r[1]) {
		t.Errorf("walked %v, %v", got, err)
	}
	if _, err := deduptest.Walk(late{r.Iterator(nil)}); err == nil {
		t.Error("no error")
	}
}

type spoiling struct{ chunkenc.Iterator }

func (it spoiling) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	t, h := it.Iterator.AtHistogram(h)
	h.Count++
	return t, h
}

func (it spoiling) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, h := it.Iterator.AtFloatHistogram(h)
	h.PositiveBuckets[1]++
	return t, h
}

type late struct{ chunkenc.Iterator }

func (it late) AtT() int64 { return it.Iterator.AtT() + 1 }

// TestRandom shows that random replicas are valid, the same for the same seed,
// and have all that is promised.
func TestRandom(t *testing.T) {
	t.Parallel()
	types := map[chunkenc.ValueType]int{}
	var empty, nans, falls, identical, custom, fives, seeks, ahead int
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 0))
		replicas := deduptest.Random(rng)
		if len(replicas) < 2 || len(replicas) > 5 {
			t.Fatalf("seed %d: %d replicas", seed, len(replicas))
		}
		if len(replicas) == 5 {
			fives++
		}
		again := deduptest.Random(rand.New(rand.NewPCG(seed, 0)))
		for i, r := range replicas {
			if len(r) > 60 || deduptest.Differ(r, again[i]) >= 0 {
				t.Fatalf("seed %d: %v, then %v", seed, r, again[i])
			}
			if len(r) == 0 {
				empty++
			}
			if i > 0 && len(r) > 0 && deduptest.Differ(r, replicas[i-1]) < 0 {
				identical++
			}
			for k, s := range r {
				types[s.Type]++
				if math.IsNaN(s.V) {
					nans++
				}
				if s.Custom {
					custom++
				}
				if k > 0 && s.T <= r[k-1].T {
					t.Fatalf("seed %d: %s follows %s", seed, s, r[k-1])
				}
				if k > 0 && s.Type == chunkenc.ValFloat && s.V < r[k-1].V {
					falls++
				}
			}
		}
		for _, s := range deduptest.RandomSteps(rng, replicas) {
			if s.Seek {
				seeks++
			} else {
				ahead++
			}
		}
	}
	for name, n := range map[string]int{
		"empty replicas": empty, "identical replicas": identical, "NaN": nans, "counter resets": falls,
		"floats": types[chunkenc.ValFloat], "histograms": types[chunkenc.ValHistogram], "float histograms": types[chunkenc.ValFloatHistogram],
		"custom buckets": custom, "five replicas": fives, "seeks": seeks, "calls of Next": ahead,
	} {
		if n < 20 {
			t.Errorf("%s: only %d in 500 seeds", name, n)
		}
	}
}
