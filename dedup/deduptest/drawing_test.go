package deduptest_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

func TestParseDrawing(t *testing.T) {
	t.Parallel()
	got, err := deduptest.ParseDrawing(`
                          0    15   30   45   60 s
a                         1    .    x         h3
b                          .    12.5     7

Chain                     ab   ab   a    b    a
Penalty counters          1    .    x         h3
Penalty                   a
Chain counters from 30s             a    b    a
`)
	if err != nil {
		t.Fatal(err)
	}
	a := deduptest.Replica{
		float(0, 1), float(15_000, 15), float(30_000, math.Float64frombits(value.StaleNaN)),
		{T: 60_000, Type: chunkenc.ValHistogram, V: 3},
	}
	b := deduptest.Replica{float(3000, 3), float(18_000, 12.5), float(45_000, 7)}
	want := []deduptest.Timeline{
		{
			Replicas: []deduptest.Replica{a, b},
			Wants: []deduptest.Want{
				{Algorithm: "chain", Samples: []deduptest.Sample{a[0], b[0], a[1], b[1], a[2], b[2], a[3]}},
				{Algorithm: "penalty", Values: dedup.Counters, Samples: a},
				{Algorithm: "penalty", Samples: a[:1]},
			},
		},
		{
			Replicas: []deduptest.Replica{a[2:], b[2:]},
			Wants:    []deduptest.Want{{Algorithm: "chain", Values: dedup.Counters, Samples: []deduptest.Sample{a[2], b[2], a[3]}}},
		},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(deduptest.Sample.Equal)); d != "" {
		t.Error(d)
	}
}

func TestParseDrawingErrors(t *testing.T) {
	t.Parallel()
	const scale = "         0    15   30 s\n"
	const head = scale + "a        .    .\n"
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", "nothing wanted"},
		{"no rows", head, "nothing wanted"},
		{"short scale", "   0 s", "line 1: scale has less"},
		{"no unit", "   0   15   30", "parse scale"},
		{"backward scale", "   15   0 s", "scale does not ascend"},
		{"uneven scale", "   0    15    30 s", "30 does not stand"},
		{"no name", head + "         a", "line 3: row has no name"},
		{"twice", head + "a        .", "line 3: replica a comes after"},
		{"late replica", head + "Chain    a    a\nb        .", "line 4: replica b comes after"},
		{"value", head + "b        ?", `line 3: parse value "?"`},
		{"wanted value", head + "Chain    a    1?", `line 3: parse value "1?"`},
		{"no replica", head + "Chain    b", "line 3: there is no replica b"},
		{"no sample", head + "Chain     a", "line 3: replica a has no sample at 3s"},
		{"name", head + "Chain x  a", `line 3: parse name "Chain x"`},
		{"time", "                     0    15 s\na                    .\nChain from noon      a", `line 3: parse time "noon"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := deduptest.ParseDrawing(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func FuzzParseDrawing(f *testing.F) {
	f.Add("         0    15   30 s\na        .    x    h2/reset\nb         1    5\nPenalty counters from 15s  a\n")
	f.Fuzz(func(t *testing.T, text string) {
		timelines, err := deduptest.ParseDrawing(text)
		if err != nil {
			return
		}
		for _, tl := range timelines {
			if _, err := deduptest.Parse(strings.NewReader(tl.String())); err != nil {
				t.Errorf("%q became %q: %v", text, tl, err)
			}
		}
	})
}
