package dedup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestTimelines runs every file of testdata. That the results wanted there of
// penalty are those of Thanos is what TestDedupTimelines of interop shows.
func TestTimelines(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.timeline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no timelines: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			for _, tl := range readTimelines(t, name) {
				t.Run(tl.Name, func(t *testing.T) {
					if len(tl.Wants) == 0 {
						t.Fatal("nothing wanted")
					}
					for _, want := range tl.Wants {
						alg, err := dedup.Parse(want.Algorithm)
						if err != nil {
							t.Fatal(err)
						}
						if err := want.Check(alg, tl.Replicas); err != nil {
							t.Errorf("%s of %s values, steps %v: %v", want.Algorithm, want.Values, want.Steps, err)
						}
					}
				})
			}
		})
	}
}

func readTimelines(t *testing.T, name string) []deduptest.Timeline {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := deduptest.Parse(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}
