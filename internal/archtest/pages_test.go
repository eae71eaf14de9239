package archtest_test

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// TestPackagesAreListed: the table of packages in README.md and the map in the root
// package's documentation have every package that can be imported.
func TestPackagesAreListed(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	testutil.Ok(t, err)
	doc, err := os.ReadFile(filepath.Join(root, "doc.go"))
	testutil.Ok(t, err)
	sources, err := loadSources(root)
	testutil.Ok(t, err)
	dirs, files := byDir(sources)
	listed := 0
	for _, dir := range dirs {
		built := slices.ContainsFunc(files[dir], func(s source) bool { return !s.tests && path.Base(s.file) != "doc.go" })
		if !built || dir == "." || strings.Contains("/"+dir, "/internal/") || matchesAny([]string{examples}, dir) {
			continue
		}
		listed++
		if row := "| [`" + dir + "`](" + dir + ") |"; !strings.Contains(string(readme), row) {
			t.Errorf("the table in README.md has no row %q", row)
		}
		// A package that is below another one may be named in that one's line.
		if !regexp.MustCompile(`\b` + path.Base(dir) + `\b`).Match(doc) {
			t.Errorf("doc.go does not name %s", dir)
		}
	}
	testutil.Assert(t, listed > 20, "%d packages", listed)
}

// TestLinks: links of pages to files and to headings of this repository lead there.
func TestLinks(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	pages := map[string]string{} // without code
	testutil.Ok(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err == nil && d.IsDir() && d.Name() == ".git": // changes meanwhile
			return filepath.SkipDir
		case err != nil || d.IsDir() || filepath.Ext(name) != ".md":
			return err
		}
		text, err := os.ReadFile(name)
		pages[filepath.Clean(name)] = regexp.MustCompile("(?ms)^ *```.*?^ *```").ReplaceAllString(string(text), "")
		return err
	}))
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	links := 0
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		for _, m := range link.FindAllStringSubmatch(pages[page], -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link %s: %v", page, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(pages[target]), anchor) {
				t.Errorf("%s: link %s: no such heading", page, m[1])
			}
		}
	}
	testutil.Assert(t, links > 30, "%d links", links)
}

// anchors returns the names of a page's headings, as GitHub makes them.
func anchors(page string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(kept, " ", "-"))
	}
	return names
}
