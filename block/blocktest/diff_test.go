package blocktest_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

func ExampleDiff() {
	t := &testing.T{} // the test's own
	dir, _ := os.MkdirTemp("", "blocktest")
	defer os.RemoveAll(dir)
	up := labels.FromStrings("__name__", "up")
	a := blocktest.Build(t, dir, nil, blocktest.Floats(up, 0, 15_000, 1, 1, 0, 1))
	b := blocktest.Build(t, dir, nil, blocktest.Floats(up, 0, 15_000, 1, 1, 1, 1))

	fmt.Println(blocktest.Diff(a, b))
	// Output:
	// series {__name__="up"}: sample 2 is 30000 0, and 30000 1 in the second block <nil>
}

func ExampleDiffSamples() {
	t := &testing.T{} // the test's own
	dir, _ := os.MkdirTemp("", "blocktest")
	defer os.RemoveAll(dir)
	up := labels.FromStrings("__name__", "up")
	samples := []blocktest.Sample{{T: 1, F: 2}, {T: 3, F: 4}, {T: 5, F: 6}}
	a := blocktest.Build(t, dir, nil, block.Series{Labels: up, Chunks: blocktest.Chunks(2, samples...)})
	b := blocktest.Build(t, dir, nil, block.Series{Labels: up, Chunks: blocktest.Chunks(1, samples...)})

	same, err := blocktest.DiffSamples(a, b)
	fmt.Printf("%q %v\n", same, err)
	all, err := blocktest.Diff(a, b)
	fmt.Println(strings.Split(all, "\n")[0], err)
	// Output:
	// "" <nil>
	// series {__name__="up"}: chunk 0 is [1, 3], and [1, 1] in the second block <nil>
}

func ExampleDownsample() {
	up := blocktest.Floats(labels.FromStrings("__name__", "up"), 0, 100_000, 1, 2, 3, 4)
	chunk := blocktest.Downsample(block.FiveMinutes, up)[0].Chunks[0]
	a, err := blocktest.SplitAggregates(chunk)
	fmt.Println(chunk.MinTime, chunk.MaxTime, a.Sum.NumSamples(), a.Counter.NumSamples(), err)
	for it := a.Sum.Iterator(nil); it.Next() != 0; {
		fmt.Println(it.At())
	}
	// Output:
	// 299999 300000 2 4 <nil>
	// 299999 6
	// 300000 4
}

func ExampleAggregateChunk() {
	count := blocktest.Chunks(0, blocktest.Sample{T: 299_999, F: 20})[0]
	plain, _ := count.Plain()
	chunk := blocktest.AggregateChunk(299_999, 299_999, blocktest.Aggregates{Count: plain[0]})
	a, err := blocktest.SplitAggregates(chunk)
	fmt.Println(a.Count.NumSamples(), a.Sum == nil, err)
	// Output: 1 true <nil>
}

func TestDiffFindsEachDifference(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := func(v string) labels.Labels { return labels.FromStrings("__name__", "m", "l", v) }
	base := func() []block.Series {
		return []block.Series{blocktest.Floats(l("a"), 0, 10, 1, 2), blocktest.Floats(l("b"), 0, 10, 1, math.NaN())}
	}
	a := blocktest.Build(t, dir, nil, base()...)
	for name, tc := range map[string]struct {
		opts *blocktest.Options
		b    []block.Series
		want string
	}{
		"nothing":       {b: base()},
		"first only":    {b: base()[:1], want: `series {__name__="m", l="b"}: only in the first block`},
		"second only":   {b: append(base(), blocktest.Floats(l("c"), 0, 10, 1)), want: `series {__name__="m", l="c"}: only in the second block`},
		"more":          {b: []block.Series{base()[1], blocktest.Floats(l("a"), 0, 10, 1, 2, 3)}, want: "the second block has 1 samples more, from 20 3 on"},
		"fewer":         {b: []block.Series{base()[1], blocktest.Floats(l("a"), 0, 10, 1)}, want: "the first block has 1 samples more, from 10 2 on"},
		"another NaN":   {b: []block.Series{base()[0], blocktest.Floats(l("b"), 0, 10, 1, math.Float64frombits(value.StaleNaN))}, want: "sample 1 is 10 NaN(0x7ff8000000000001), and 10 NaN(0x7ff0000000000002) in the second block"},
		"resolution":    {opts: &blocktest.Options{Resolution: block.OneHour}, b: base(), want: "meta.json: resolution is raw, and 1h in the second block"},
		"labels":        {opts: &blocktest.Options{ExternalLabels: labels.FromStrings("x", "y")}, b: base(), want: `meta.json: external labels are {replica="a"}, and {x="y"} in the second block`},
		"range":         {opts: &blocktest.Options{MinTime: 0, MaxTime: 500}, b: base(), want: "meta.json: range is [0, 11), and [0, 500) in the second block"},
		"downsampled":   {b: blocktest.Downsample(block.FiveMinutes, base()...), want: "the first block has 2 samples more"},
		"number chunks": {b: []block.Series{base()[1], {Labels: l("a"), Chunks: blocktest.Chunks(1, blocktest.Sample{F: 1}, blocktest.Sample{T: 10, F: 2})}}, want: "chunk 0 is [0, 10], and [0, 0]"},
	} {
		b := blocktest.Build(t, dir, tc.opts, tc.b...)
		got, err := blocktest.Diff(a, b)
		testutil.Ok(t, err)
		testutil.Assert(t, strings.Contains(got, tc.want) && (got == "") == (tc.want == ""), "%s: %q is not %q", name, got, tc.want)
	}
}

func TestDiffIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := blocktest.Build(t, dir, nil, blocktest.Random(1, &blocktest.RandomOptions{Series: 50, Samples: 3})...)
	b := blocktest.Build(t, dir, nil, blocktest.Random(2, &blocktest.RandomOptions{Series: 50, Samples: 3})...)
	got, err := blocktest.Diff(a, b)
	testutil.Ok(t, err)
	testutil.Equals(t, 21, len(strings.Split(got, "\n")))
	testutil.Assert(t, strings.HasSuffix(got, " more differences"), got)
}
