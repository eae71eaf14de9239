package conformance

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestDocument holds the tables of docs/conformance.md to the expectations and
// the components.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/conformance.md")
	testutil.Ok(t, err)

	var want [][]string
	for _, e := range expectations {
		want = append(want, []string{e.check, strings.Join(e.components, ", "), e.result, e.why})
	}
	var got [][]string
	for _, row := range table(string(text), "Check") {
		if len(row) != 5 || row[4] == "" {
			t.Errorf("row %q does not say what it means", row)
			continue
		}
		got = append(got, row[:4])
	}
	for _, row := range want {
		if !slices.ContainsFunc(got, func(g []string) bool { return slices.Equal(g, row) }) {
			t.Errorf("not in the document: %q", row)
		}
	}
	for _, row := range got {
		if !slices.ContainsFunc(want, func(w []string) bool { return slices.Equal(w, row) }) {
			t.Errorf("in the document only: %q", row)
		}
	}

	var described []string
	for _, row := range table(string(text), "Component") {
		described = append(described, row[0])
	}
	var names []string
	for _, c := range components() {
		names = append(names, c.name)
	}
	testutil.Equals(t, names, described)
}

// table returns the cells of the Markdown table whose first header this is,
// without code marks.
func table(text, header string) [][]string {
	var out [][]string
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		cells, isRow := strings.CutPrefix(line, "| ")
		switch {
		case isRow && strings.HasPrefix(cells, header+" |"):
			in = true
		case !isRow:
			in = false
		case in && !strings.HasPrefix(cells, "--- |"):
			row := strings.Split(strings.TrimSuffix(cells, " |"), " | ")
			for i := range row[:min(4, len(row))] {
				row[i] = strings.ReplaceAll(row[i], "`", "")
			}
			out = append(out, row)
		}
	}
	return out
}

// TestExpectations: each is of a check and components that there are, and of one
// check in one component there is one.
func TestExpectations(t *testing.T) {
	checks, names := map[string]bool{}, map[string]bool{}
	for _, d := range storetest.Checks() {
		checks[d.Name] = true
	}
	for _, c := range components() {
		names[c.name] = true
	}
	seen := map[string]bool{}
	for _, e := range expectations {
		if !checks[e.check] || e.says == "" || e.why == "" || e.result == passes {
			t.Errorf("expectation of %q is not whole, or there is no such check", e.check)
		}
		for _, c := range e.components {
			if key := c + " " + e.check; !names[c] || seen[key] {
				t.Errorf("%s: no such component, or expected twice", key)
			} else {
				seen[key] = true
			}
		}
	}
}
