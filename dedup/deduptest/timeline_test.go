package deduptest_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

func float(t int64, v float64) deduptest.Sample {
	return deduptest.Sample{T: t, Type: chunkenc.ValFloat, V: v}
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := deduptest.Parse(strings.NewReader(`
# A comment.
timeline floats and ranges

replica 0s=1 15s=-0.5 30000=+Inf
	31s=stale 32s=NaN
# A comment between a line and its continuation.
  1m=bits:7ff8000000000002
replica -1s..1s/1s=1+0.5 10s=7
replica
want penalty : 0s=1
want penalty counters next seek=1.5s seek=-3 :
timeline histograms
replica 0s=h5 1s=fh0/reset 2s=h1/noreset 3s=h2/gauge 4s=ch3 5s=cfh4/gauge
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []deduptest.Timeline{
		{
			Name: "floats and ranges",
			Replicas: []deduptest.Replica{
				{
					float(0, 1), float(15_000, -0.5), float(30_000, math.Inf(1)), float(31_000, math.Float64frombits(value.StaleNaN)),
					float(32_000, math.NaN()), float(60_000, math.Float64frombits(0x7ff8000000000002)),
				},
				{float(-1000, 1), float(0, 1.5), float(1000, 2), float(10_000, 7)},
				nil,
			},
			Wants: []deduptest.Want{
				{Algorithm: "penalty", Samples: []deduptest.Sample{float(0, 1)}},
				{
					Algorithm: "penalty", Values: dedup.Counters,
					Steps: []deduptest.Step{{}, {Seek: true, To: 1500}, {Seek: true, To: -3}},
				},
			},
		},
		{
			Name: "histograms",
			Replicas: []deduptest.Replica{{
				{Type: chunkenc.ValHistogram, V: 5},
				{T: 1000, Type: chunkenc.ValFloatHistogram, Hint: histogram.CounterReset},
				{T: 2000, Type: chunkenc.ValHistogram, V: 1, Hint: histogram.NotCounterReset},
				{T: 3000, Type: chunkenc.ValHistogram, V: 2, Hint: histogram.GaugeType},
				{T: 4000, Type: chunkenc.ValHistogram, V: 3, Custom: true},
				{T: 5000, Type: chunkenc.ValFloatHistogram, V: 4, Hint: histogram.GaugeType, Custom: true},
			}},
		},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}

	// What is written reads back as the same.
	var written strings.Builder
	for _, tl := range got {
		written.WriteString(tl.String() + "\n")
	}
	again, err := deduptest.Parse(strings.NewReader(written.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, written.String())
	}
	if d := cmp.Diff(want, again, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	const head = "timeline x\n"
	for _, tc := range []struct{ name, text, want string }{
		{"nothing before", "replica 0s=1", `line 1: "replica" before the first timeline`},
		{"keyword", head + "replicas 0s=1", `line 2: unknown keyword "replicas"`},
		{"no value", head + "replica 0s", `line 2: parse sample "0s": no = between time and value`},
		{"time", head + "replica soon=1", `line 2: parse time "soon"`},
		{"fine time", head + "replica 1us=1", `line 2: parse time "1us": finer than a ms`},
		{"value", head + "replica 0s=one", `line 2: parse value "one"`},
		{"bits", head + "replica 0s=bits:xyz", `line 2: parse value "bits:xyz"`},
		{"histogram", head + "replica 0s=h-1", `line 2: parse histogram "h-1"`},
		{"custom float", head + "replica 0s=c1", `line 2: parse value "c1"`},
		{"hint", head + "replica 0s=h1/maybe", `line 2: parse histogram "h1/maybe"`},
		{"order", head + "replica 1s=1\n 1s=2", `line 2: sample 1s=2 does not lie after 1s=1`},
		{"range without step", head + "replica 0s..5s=1+1", `line 2: parse time ""`},
		{"range without increment", head + "replica 0s..5s/1s=1", `line 2: parse values "1"`},
		{"increment", head + "replica 0s..5s/1s=1+x", `line 2: parse increment "x"`},
		{"range value", head + "replica 0s..5s/1s=x+1", `line 2: parse value "x"`},
		{"backward range", head + "replica 5s..0s/1s=1+1", `line 2: parse range 5s..0s/1s: want START..END/STEP in ascending order`},
		{"standing range", head + "replica 0s..5s/0s=1+1", `line 2: parse range`},
		{"long range", head + "replica -9223372036854775808..9223372036854775807/1=1+1", `more than 100000 samples`},
		{"no colon", head + "want penalty 0s=1", `line 2: no colon`},
		{"no algorithm", head + "want  :", `line 2: no algorithm`},
		{"step", head + "want penalty back :", `line 2: unknown step "back"`},
		{"seek", head + "want penalty seek=x :", `line 2: parse time "x"`},
		{"wanted sample", head + "\nwant penalty : 1", `line 3: parse sample "1"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := deduptest.Parse(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}

	errBroken := errors.New("broken")
	if _, err := deduptest.Parse(iotest.ErrReader(errBroken)); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("timeline x\nreplica 0s=1 15s=h2/reset\nreplica 0s..5s/1s=fh1+1\nwant penalty counters seek=3s next : 0s=stale\n")
	f.Fuzz(func(t *testing.T, text string) {
		timelines, err := deduptest.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		var written strings.Builder
		for _, tl := range timelines {
			written.WriteString(tl.String())
		}
		again, err := deduptest.Parse(strings.NewReader(written.String()))
		if err != nil || len(again) != len(timelines) {
			t.Fatalf("%q became %q: %v", text, written.String(), err)
		}
		for i := range again {
			if again[i].String() != timelines[i].String() {
				t.Errorf("%q became %q", timelines[i], again[i])
			}
		}
	})
}

// TestCheck shows that a want tells right from wrong.
func TestCheck(t *testing.T) {
	t.Parallel()
	replicas := []deduptest.Replica{{float(0, 1)}, {float(7000, 2)}}
	samples := []deduptest.Sample{float(0, 1), float(7000, 2)}
	for _, tc := range []struct {
		name string
		want deduptest.Want
		ok   bool
	}{
		{"right", deduptest.Want{Samples: samples}, true},
		{"right after a step", deduptest.Want{Samples: samples[1:], Steps: []deduptest.Step{{Seek: true, To: 1}}}, true},
		{"missing", deduptest.Want{Samples: samples[:1]}, false},
		{"too many", deduptest.Want{Samples: append(samples[:2:2], float(8000, 1))}, false},
		{"another value", deduptest.Want{Samples: []deduptest.Sample{float(0, 1), float(7000, 3)}}, false},
		{"another zero", deduptest.Want{Samples: []deduptest.Sample{float(0, 1), float(7000, math.Copysign(0, -1))}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.want.Check(dedup.Penalty{}, replicas)
			if (err == nil) != tc.ok {
				t.Error(err)
			}
		})
	}

	// An algorithm that handles single samples well, but not reuse or runs.
	want := deduptest.Want{Samples: samples}
	if err := want.Check(firstOnly{}, replicas); err == nil || !strings.Contains(err.Error(), "reused iterator") {
		t.Errorf("error %v", err)
	}
	if err := want.Check(noRuns{}, replicas); err == nil || !strings.Contains(err.Error(), "iterator over runs") {
		t.Errorf("error %v", err)
	}
}

// firstOnly works once.
type firstOnly struct{}

func (firstOnly) Merge(reuse chunkenc.Iterator, values dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	if reuse != nil {
		return reuse
	}
	return dedup.Penalty{}.Merge(nil, values, replicas...)
}

// noRuns loses a replica that has runs.
type noRuns struct{}

func (noRuns) Merge(_ chunkenc.Iterator, values dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	if _, ok := replicas[1].Iterator(nil).(dedup.FloatRunner); ok {
		replicas = replicas[:1]
	}
	return dedup.Penalty{}.Merge(nil, values, replicas...)
}
