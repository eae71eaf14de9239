package deduptest_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

func ExampleParse() {
	timelines, err := deduptest.Parse(strings.NewReader(`
# The first replica misses two scrapes.
timeline gap
replica 0s=1 15s=2 80s=6
replica 1s..61s/15s=1+1
want penalty : 0s=1 15s=2 46s=4 61s=5
want chain seek=40s : 46s=4 61s=5 80s=6
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tl := range timelines {
		for _, want := range tl.Wants {
			alg, err := dedup.Parse(want.Algorithm)
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(tl.Name, want.Algorithm, want.Check(alg, tl.Replicas))
		}
	}
	// Output:
	// gap penalty <nil>
	// gap chain <nil>
}

func ExampleParseDrawing() {
	timelines, err := deduptest.ParseDrawing(`
         0    15   30   45   60   75   90 s
a        .    .                   .    .
b        .    .    .    .    .    .    .

Chain    a    a    b    b    b    a    a
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tl := range timelines {
		want := tl.Wants[0]
		fmt.Println(want.Algorithm, want.Samples, want.Check(dedup.Chain{}, tl.Replicas))
	}
	// Output:
	// chain [0s=0 15s=15 30s=30 45s=45 60s=60 75s=75 90s=90] <nil>
}

func ExampleRandom() {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		replicas := deduptest.Random(rng)
		steps := deduptest.RandomSteps(rng, replicas)
		it := dedup.Chain{}.Merge(nil, dedup.Untyped, deduptest.Iterables(replicas)...)
		if _, err := deduptest.Walk(it, steps...); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("done")
	// Output:
	// done
}

func ExampleReplica_Runs() {
	r := deduptest.Replica{
		{T: 0, Type: chunkenc.ValFloat, V: 1},
		{T: 15_000, Type: chunkenc.ValFloat, V: 2},
		{T: 30_000, Type: chunkenc.ValFloat, V: 3},
	}
	it := r.Runs(2).Iterator(nil)
	for it.Next() != chunkenc.ValNone {
		fmt.Println(it.(dedup.FloatRunner).FloatRun())
	}
	// Output:
	// [0 15000] [1 2]
	// [30000] [3]
}
