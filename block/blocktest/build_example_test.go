package blocktest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

func ExampleBuild() {
	t := &testing.T{} // the test's own
	dir, _ := os.MkdirTemp("", "blocktest")
	defer os.RemoveAll(dir)

	built := blocktest.Build(t, dir, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "eu")},
		blocktest.Floats(labels.FromStrings("__name__", "up", "job", "b"), 0, 15_000, 1, 1, 0),
		blocktest.Floats(labels.FromStrings("__name__", "up", "job", "a"), 0, 15_000, 1, 1, 1, 1),
	)

	r, _ := block.Open(built)
	defer r.Close()
	for s, err := range r.All(context.Background()) {
		samples, _ := blocktest.Samples(s.Chunks...)
		fmt.Println(s.Labels, samples, err)
	}
	fmt.Println(r.Meta().Labels(), r.Meta().MinTime, r.Meta().MaxTime)
	// Output:
	// {__name__="up", job="a"} [0 1 15000 1 30000 1 45000 1] <nil>
	// {__name__="up", job="b"} [0 1 15000 1 30000 0] <nil>
	// {cluster="eu"} 0 45001
}

func ExampleRandom() {
	series := blocktest.Random(1, &blocktest.RandomOptions{Series: 2, Samples: 150, Kinds: []blocktest.Kind{blocktest.Counter, blocktest.IntHistogram}})
	for _, s := range series {
		samples, err := blocktest.Samples(s.Chunks...)
		fmt.Println(s.Labels.Get("kind"), len(s.Chunks) > 1, len(samples), err)
	}
	// Output:
	// counter true 150 <nil>
	// histogram true 150 <nil>
}

func ExampleChunks() {
	for _, c := range blocktest.Chunks(2, blocktest.Sample{T: 1, F: 1}, blocktest.Sample{T: 2, F: 2}, blocktest.Sample{T: 3, F: 3}) {
		samples, err := blocktest.Samples(c)
		fmt.Println(c.MinTime, c.MaxTime, samples, err)
	}
	// Output:
	// 1 2 [1 1 2 2] <nil>
	// 3 3 [3 3] <nil>
}

func TestRandomIsTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := &blocktest.RandomOptions{Jitter: 100, Gaps: 0.1}
	built := blocktest.Build(t, dir, nil, blocktest.Random(1, opts)...)
	again := blocktest.Build(t, dir, nil, blocktest.Random(1, opts)...)
	other := blocktest.Build(t, dir, nil, blocktest.Random(2, opts)...)
	read := func(dir string) string {
		b, err := os.ReadFile(filepath.Join(dir, "chunks", "000001"))
		testutil.Ok(t, err)
		return string(b)
	}
	testutil.Assert(t, read(built) == read(again), "the same seed makes other chunks")
	testutil.Assert(t, read(built) != read(other), "another seed makes the same chunks")
}
