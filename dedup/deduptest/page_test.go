package deduptest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestPage runs the drawings and timelines of docs/dedup.md.
func TestPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/dedup.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for heading, blocks := range fenced(string(text)) {
		for _, b := range blocks {
			var timelines []deduptest.Timeline
			switch b.kind {
			case "drawing":
				timelines, err = deduptest.ParseDrawing(b.text)
			case "timeline":
				timelines, err = deduptest.Parse(strings.NewReader(b.text))
			default:
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", heading, err)
			}
			for _, tl := range timelines {
				check(t, heading, tl)
			}
			ran[heading]++
		}
	}
	for _, heading := range []string{
		"2. No hole that a replica could fill",
		"3. A counter drops where it was reset, and nowhere else",
		"4. The same answer wherever a query begins",
		"5. A replica merged with itself is as it was",
		"6. All kinds of samples are treated alike",
	} {
		if ran[heading] == 0 {
			t.Errorf("%s: there is no drawing", heading)
		}
	}
}

// TestPackageDrawing runs the drawing of package dedup's documentation.
func TestPackageDrawing(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "which samples come out:\n//\n")
	drawing, _, ok := strings.Cut(rest, "//\n// ")
	if !ok {
		t.Fatal("there is no drawing")
	}
	timelines, err := deduptest.ParseDrawing(strings.NewReplacer("//\t", "", "//", "").Replace(drawing))
	if err != nil {
		t.Fatal(err)
	}
	for _, tl := range timelines {
		check(t, "package dedup", tl)
	}
}

// check checks a timeline against our algorithms.
func check(t *testing.T, name string, tl deduptest.Timeline) {
	t.Helper()
	for _, want := range tl.Wants {
		alg, err := dedup.Parse(want.Algorithm)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := want.Check(alg, tl.Replicas); err != nil {
			t.Errorf("%s: %s of %s values: %v", name, want.Algorithm, want.Values, err)
		}
	}
}

// block is a fenced block of a page.
type block struct{ kind, text string }

// fenced are the fenced blocks of a page by the heading that they stand below.
func fenced(text string) map[string][]block {
	out := map[string][]block{}
	var heading string
	var open *block
	for line := range strings.Lines(text) {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{kind: strings.TrimSpace(fence)}
		case isFence:
			out[heading], open = append(out[heading], *open), nil
		case open != nil:
			open.text += line
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	return out
}
