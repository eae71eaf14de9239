package dedup_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// listSet is a series set of what was listed, which then ends with err.
type listSet struct {
	series []storage.Series
	err    error
	warns  annotations.Annotations

	calls int
}

func (s *listSet) Next() bool { s.calls++; return s.calls <= len(s.series) }
func (s *listSet) At() storage.Series {
	return s.series[s.calls-1]
}
func (s *listSet) Err() error {
	if s.calls > len(s.series) {
		return s.err
	}
	return nil
}
func (s *listSet) Warnings() annotations.Annotations { return s.warns }

func replicaSeries(name string, r deduptest.Replica) storage.Series {
	return &storage.SeriesEntry{Lset: labels.FromStrings("a", name), SampleIteratorFn: r.Iterator}
}

func TestSeriesSet(t *testing.T) {
	t.Parallel()
	first, second := deduptest.Replica{float(0, 1), float(15_000, 2)}, deduptest.Replica{float(1, 3), float(60_000, 4)}
	union := []deduptest.Sample{float(0, 1), float(1, 3), float(15_000, 2), float(60_000, 4)}
	lone := replicaSeries("2", second)

	type series struct {
		name    string
		samples []deduptest.Sample
	}
	for _, tc := range []struct {
		name string
		in   []storage.Series
		alg  dedup.Algorithm
		want []series
	}{
		{"empty", nil, dedup.Chain{}, nil},
		{"no replicas", []storage.Series{replicaSeries("1", first), lone}, dedup.Chain{}, []series{{"1", first}, {"2", second}}},
		{
			"two, one and three replicas",
			[]storage.Series{
				replicaSeries("1", first), replicaSeries("1", second),
				lone,
				replicaSeries("3", second), replicaSeries("3", first), replicaSeries("3", first),
			},
			dedup.Chain{},
			[]series{{"1", union}, {"2", second}, {"3", union}},
		},
		{
			"the algorithm given", []storage.Series{replicaSeries("1", first), replicaSeries("1", second)}, dedup.Penalty{},
			[]series{{"1", []deduptest.Sample{float(0, 1), float(15_000, 2), float(60_000, 4)}}},
		},
		{
			"the order given", []storage.Series{replicaSeries("1", deduptest.Replica{float(0, 1)}), replicaSeries("1", deduptest.Replica{float(0, 2)})}, dedup.Penalty{},
			[]series{{"1", []deduptest.Sample{float(0, 1)}}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			set := dedup.NewSeriesSet(&listSet{series: tc.in}, tc.alg, dedup.Untyped)
			var kept []storage.Series
			for set.Next() {
				if set.At() != set.At() {
					t.Error("another series at each call of At")
				}
				kept = append(kept, set.At())
			}
			if set.Next() || set.Err() != nil {
				t.Errorf("after the end: %v", set.Err())
			}
			if len(kept) != len(tc.want) {
				t.Fatalf("%d series, want %d", len(kept), len(tc.want))
			}
			for round := range 2 { // Series outlive the set and can be iterated again.
				var it chunkenc.Iterator
				for i, s := range kept {
					it = s.Iterator(it)
					got, err := deduptest.Walk(it)
					if err != nil || deduptest.Differ(tc.want[i].samples, got) >= 0 || s.Labels().Get("a") != tc.want[i].name {
						t.Errorf("round %d: series %s: %v, %v; want %+v", round, s.Labels(), got, err, tc.want[i])
					}
				}
			}
			if i := slices.Index(tc.in, lone); i >= 0 && !slices.Contains(kept, lone) {
				t.Error("a lone replica is not passed on as it is")
			}
		})
	}
}

func TestSeriesSetValues(t *testing.T) {
	t.Parallel()
	in := []storage.Series{
		replicaSeries("1", deduptest.Replica{float(0, 10)}),
		replicaSeries("1", deduptest.Replica{float(60_000, 5)}),
	}
	for values, want := range map[dedup.Values]float64{dedup.Untyped: 5, dedup.Counters: 10} {
		set := dedup.NewSeriesSet(&listSet{series: in}, dedup.Penalty{}, values)
		set.Next()
		got, err := deduptest.Walk(set.At().Iterator(nil))
		if want := []deduptest.Sample{float(0, 10), float(60_000, want)}; err != nil || deduptest.Differ(want, got) >= 0 {
			t.Errorf("%s: want %v, got %v, %v", values, want, got, err)
		}
	}
}

// TestSeriesSetError shows that a series is held back if replicas of it may be
// missing, and one that is known to be complete is not.
func TestSeriesSetError(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("broken")
	r := deduptest.Replica{float(0, 1)}
	for _, tc := range []struct {
		in   []storage.Series
		want int
	}{
		{nil, 0},
		{[]storage.Series{replicaSeries("1", r)}, 0},
		{[]storage.Series{replicaSeries("1", r), replicaSeries("1", r)}, 0},
		{[]storage.Series{replicaSeries("1", r), replicaSeries("1", r), replicaSeries("2", r)}, 1},
	} {
		warns := annotations.New().Add(errors.New("a store did not answer"))
		in := &listSet{series: tc.in, err: errBroken, warns: warns}
		set := dedup.NewSeriesSet(in, dedup.Penalty{}, dedup.Untyped)
		if in.calls != 0 {
			t.Error("read before the first Next")
		}
		n := 0
		for set.Next() {
			n++
			if set.Err() != nil {
				t.Errorf("error %v before the end", set.Err())
			}
		}
		if n != tc.want || !errors.Is(set.Err(), errBroken) {
			t.Errorf("%d series in: %d out, want %d; error %v", len(tc.in), n, tc.want, set.Err())
		}
		if set.Next() || in.calls != len(tc.in)+1 {
			t.Errorf("%d series in: read on after the end", len(tc.in))
		}
		if len(set.Warnings()) != 1 {
			t.Errorf("warnings %v", set.Warnings())
		}
	}
}

// TestSeriesSetIteratorReuse shows that series after series is iterated without
// an allocation, with any number of replicas but one.
func TestSeriesSetIteratorReuse(t *testing.T) {
	r := deduptest.Replica{float(0, 1), float(15_000, 2)}
	var in []storage.Series
	for _, name := range []string{"1", "1", "2", "2", "2", "3", "3", "3", "3", "4", "4"} {
		in = append(in, replicaSeries(name, r))
	}
	for _, alg := range algorithms() {
		set := dedup.NewSeriesSet(&listSet{series: in}, alg, dedup.Counters)
		var series []storage.Series
		for set.Next() {
			series = append(series, set.At())
		}
		var it chunkenc.Iterator
		if allocs := testing.AllocsPerRun(50, func() {
			for _, s := range series {
				it = s.Iterator(it)
				for it.Next() != chunkenc.ValNone {
					it.At()
				}
			}
		}); allocs != 0 {
			t.Errorf("%s: %v allocations", alg, allocs)
		}
	}
}

// TestSeriesSetAllocations shows that a set costs one allocation for each series
// of two replicas and none for one of a lone replica.
func TestSeriesSetAllocations(t *testing.T) {
	var in []storage.Series
	for i := range 100 {
		s := replicaSeries(strconv.Itoa(1000+i), nil)
		in = append(in, s)
		if i%2 == 0 {
			in = append(in, s)
		}
	}
	list := &listSet{series: in}
	allocs := testing.AllocsPerRun(20, func() {
		list.calls = 0
		for set := dedup.NewSeriesSet(list, dedup.Penalty{}, dedup.Untyped); set.Next(); {
			set.At()
		}
	})
	if allocs > 1+50 { // One for the set itself.
		t.Errorf("%v allocations", allocs)
	}
}

// TestNewSeriesMergesSeries shows that a series fits where Prometheus wants a
// vertical merge, as its block merging does.
func TestNewSeriesMergesSeries(t *testing.T) {
	t.Parallel()
	var f storage.VerticalSeriesMergeFunc = func(series ...storage.Series) storage.Series {
		replicas := make([]chunkenc.Iterable, len(series))
		for i, s := range series {
			replicas[i] = s
		}
		return dedup.NewSeries(series[0].Labels(), dedup.Chain{}, dedup.Untyped, replicas...)
	}
	s := f(replicaSeries("1", deduptest.Replica{float(0, 1)}), replicaSeries("1", deduptest.Replica{float(1, 2)}))
	got, err := deduptest.Walk(s.Iterator(nil))
	if want := []deduptest.Sample{float(0, 1), float(1, 2)}; err != nil || deduptest.Differ(want, got) >= 0 {
		t.Errorf("want %v, got %v, %v", want, got, err)
	}
	if !labels.Equal(s.Labels(), labels.FromStrings("a", "1")) {
		t.Errorf("labels %s", s.Labels())
	}
}
