package archtest_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is what the checks need of one Go file.
type source struct {
	file  string // Relative to the module, with slashes.
	ast   *ast.File
	tests bool // Whether go build leaves it out.
}

func (s source) dir() string { return path.Dir(s.file) }

// loadSources parses all Go files of the module, whatever their build tags.
// Nested modules have their own rules and are left out.
func loadSources(dir string) ([]source, error) {
	var sources []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || isModule(name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		sources = append(sources, source{filepath.ToSlash(rel), f, strings.HasSuffix(name, "_test.go")})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("parse sources: %w", err)
	}
	return sources, nil
}

// isModule reports whether dir is the root of a module.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// parseSource makes a source of a text, for the tests of the checks.
func parseSource(t *testing.T, file, text string) source {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{file, f, strings.HasSuffix(file, "_test.go")}
}

// byDir returns the sources of each directory, and the directories in order.
func byDir(sources []source) (dirs []string, files map[string][]source) {
	files = map[string][]source{}
	for _, s := range sources {
		files[s.dir()] = append(files[s.dir()], s)
	}
	return slices.Sorted(maps.Keys(files)), files
}

// checkPackageComments returns one line for each package that has not exactly
// one package comment, and each comment out of place: it belongs into doc.go,
// and that of a command may stand in main.go.
func checkPackageComments(sources []source) []string {
	var bad []string
	dirs, files := byDir(sources)
	for _, dir := range dirs {
		var built, docs []string
		for _, s := range files[dir] {
			if !s.tests {
				built = append(built, s.file)
			}
			if s.ast.Doc.Text() == "" {
				continue
			}
			docs = append(docs, s.file)
			base := path.Base(s.file)
			if base != "doc.go" && (base != "main.go" || s.ast.Name.Name != "main") {
				bad = append(bad, fmt.Sprintf("%s has a package comment: it belongs into doc.go", s.file))
			}
		}
		if len(built) > 0 && len(docs) != 1 {
			bad = append(bad, fmt.Sprintf("%s has %d package comments, want one in doc.go: %v", dir, len(docs), docs))
		}
	}
	return bad
}

// sideEffects are the packages that may change something by being imported.
var sideEffects = []struct{ dir, reason string }{
	{"store/grpcstore/snappy", "gRPC keeps compressors in one table per process; importing the package asks for that"},
}

// harmlessImports may be imported for their effect: the effect is there anyhow.
var harmlessImports = []struct{ path, reason string }{
	{"embed", "it only allows the directive"},
	{"google.golang.org/grpc/encoding/proto", "gRPC imports it itself"},
	{"google.golang.org/protobuf/types/known/anypb", "gRPC's status imports it itself"},
}

// checkSideEffects returns one line for each init function, and each import for
// effect only, outside of those packages and of programs.
func checkSideEffects(sources []source) []string {
	var bad []string
	for _, s := range sources {
		if s.tests || s.ast.Name.Name == "main" {
			continue
		}
		if slices.ContainsFunc(sideEffects, func(e struct{ dir, reason string }) bool { return e.dir == s.dir() }) {
			continue
		}
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				bad = append(bad, fmt.Sprintf("%s has an init function: an importer must not pay for what it did not call", s.file))
			}
		}
		for _, imp := range s.ast.Imports {
			harmless := slices.ContainsFunc(harmlessImports, func(h struct{ path, reason string }) bool { return imp.Path.Value == strconv.Quote(h.path) })
			if imp.Name != nil && imp.Name.Name == "_" && !harmless {
				bad = append(bad, fmt.Sprintf("%s imports %s for its effect only: leave that to the program", s.file, imp.Path.Value))
			}
		}
	}
	return bad
}

// checkUnsafe returns one line for each file that goes around the type system.
func checkUnsafe(sources []source) []string {
	var bad []string
	for _, s := range sources {
		for _, imp := range s.ast.Imports {
			if !s.tests && (imp.Path.Value == `"unsafe"` || imp.Path.Value == `"C"`) {
				bad = append(bad, fmt.Sprintf("%s imports %s: memory is never aliased behind the type system's back", s.file, imp.Path.Value))
			}
		}
		for _, group := range s.ast.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//go:linkname ") {
					bad = append(bad, fmt.Sprintf("%s uses go:linkname: it breaks with any Go release", s.file))
				}
			}
		}
	}
	return bad
}

// checkExamples returns one line for each package that users can import and that
// shows no use of itself.
func checkExamples(sources []source) []string {
	var bad []string
	dirs, files := byDir(sources)
	for _, dir := range dirs {
		if matchesAny([]string{"internal/...", examples}, dir) {
			continue
		}
		var built, example bool
		for _, s := range files[dir] {
			built = built || !s.tests && s.ast.Name.Name != "main"
			example = example || s.tests && hasExample(s.ast)
		}
		if built && !example {
			bad = append(bad, fmt.Sprintf("%s has no Example: show its smallest complete use, with checked output", dir))
		}
	}
	return bad
}

// hasExample reports whether a file has an Example function whose output is
// checked.
func hasExample(f *ast.File) bool {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Example") {
			continue
		}
		for _, c := range f.Comments {
			text := strings.ToLower(c.Text())
			if fn.Body.Pos() < c.Pos() && c.End() < fn.Body.End() && (strings.HasPrefix(text, "output:") || strings.HasPrefix(text, "unordered output:")) {
				return true
			}
		}
	}
	return false
}

// checkLeaks returns one line for each package with tests that does not check
// that they leave no goroutine behind.
func checkLeaks(sources []source) []string {
	var bad []string
	dirs, files := byDir(sources)
	for _, dir := range dirs {
		if matches("internal/archtest", dir) {
			continue // It starts nothing but go list, and joins it.
		}
		var tests, checked bool
		for _, s := range files[dir] {
			tests = tests || s.tests
			for _, imp := range s.ast.Imports {
				checked = checked || s.tests && imp.Path.Value == `"go.uber.org/goleak"`
			}
		}
		if tests && !checked {
			bad = append(bad, fmt.Sprintf("%s has tests without a leak check: call goleak.VerifyTestMain in TestMain", dir))
		}
	}
	return bad
}

// sourceChecks are the checks of single packages.
var sourceChecks = map[string]func([]source) []string{
	"PackageComments": checkPackageComments,
	"SideEffects":     checkSideEffects,
	"Unsafe":          checkUnsafe,
	"Examples":        checkExamples,
	"Leaks":           checkLeaks,
}

func TestSources(t *testing.T) {
	t.Parallel()
	sources, err := loadSources(root)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(sources, func(s source) bool { return s.file == "internal/archtest/source_test.go" }) {
		t.Fatal("this file is not among the sources")
	}
	for name, check := range sourceChecks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, line := range check(sources) {
				t.Error(line)
			}
		})
	}
}

// TestSourcesCatch shows each check a tree that it is there for, and one that is
// as it should be.
func TestSourcesCatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		check, name string
		files       map[string]string
		want        int
	}{
		{check: "PackageComments", name: "in doc.go", files: map[string]string{"a/doc.go": "// Package a is.\npackage a", "a/a.go": "package a"}},
		{check: "PackageComments", name: "none", files: map[string]string{"a/a.go": "package a"}, want: 1},
		{check: "PackageComments", name: "elsewhere", files: map[string]string{"a/a.go": "// Package a is.\npackage a"}, want: 1},
		{check: "PackageComments", name: "two", files: map[string]string{"a/doc.go": "// Package a is.\npackage a", "a/a.go": "// Package a is more.\npackage a"}, want: 2},
		{check: "PackageComments", name: "in a test", files: map[string]string{"a/doc.go": "// Package a is.\npackage a", "a/a_test.go": "// Package a tests.\npackage a_test"}, want: 2},
		{check: "PackageComments", name: "only tests", files: map[string]string{"a/a_test.go": "package a_test"}},
		{check: "PackageComments", name: "build tag", files: map[string]string{"a/doc.go": "// Package a is.\npackage a", "a/a.go": "//go:build linux\n\npackage a"}},
		{check: "PackageComments", name: "command", files: map[string]string{"a/main.go": "// Command a does.\npackage main"}},

		{check: "SideEffects", name: "init", files: map[string]string{"a/a.go": "package a\nfunc init() {}"}, want: 1},
		{check: "SideEffects", name: "method", files: map[string]string{"a/a.go": "package a\ntype t int\nfunc (t) init() {}"}},
		{check: "SideEffects", name: "import", files: map[string]string{"a/a.go": "package a\nimport _ \"net/http/pprof\"\nimport _ \"embed\""}, want: 1},
		{check: "SideEffects", name: "program", files: map[string]string{"a/a.go": "package main\nimport _ \"net/http/pprof\"\nfunc init() {}"}},
		{check: "SideEffects", name: "test", files: map[string]string{"a/a_test.go": "package a\nfunc init() {}"}},
		{check: "SideEffects", name: "compressor", files: map[string]string{"store/grpcstore/snappy/a.go": "package snappy\nfunc init() {}"}},

		{check: "Unsafe", name: "unsafe", files: map[string]string{"a/a.go": "package a\nimport \"unsafe\""}, want: 1},
		{check: "Unsafe", name: "linkname", files: map[string]string{"a/a.go": "package a\n//go:linkname f runtime.f\nfunc f()"}, want: 1},
		{check: "Unsafe", name: "test", files: map[string]string{"a/a_test.go": "package a\nimport \"unsafe\""}},

		{check: "Examples", name: "one", files: map[string]string{"a/a.go": "package a", "a/a_test.go": "package a_test\nfunc Example() {\n// Output: 1\n}"}},
		{check: "Examples", name: "none", files: map[string]string{"a/a.go": "package a", "a/a_test.go": "package a_test\nfunc TestA() {}"}, want: 1},
		{check: "Examples", name: "unchecked", files: map[string]string{"a/a.go": "package a", "a/a_test.go": "package a_test\nfunc Example() {}\n// Output: 1"}, want: 1},
		{check: "Examples", name: "internal", files: map[string]string{"internal/a/a.go": "package a"}},

		{check: "Leaks", name: "unchecked", files: map[string]string{"a/a_test.go": "package a"}, want: 1},
		{check: "Leaks", name: "checked", files: map[string]string{"a/a_test.go": "package a", "a/main_test.go": "package a\nimport \"go.uber.org/goleak\""}},
		{check: "Leaks", name: "no tests", files: map[string]string{"a/a.go": "package a"}},
	} {
		t.Run(tc.check+"/"+tc.name, func(t *testing.T) {
			t.Parallel()
			var sources []source
			for file, text := range tc.files {
				sources = append(sources, parseSource(t, file, text))
			}
			slices.SortFunc(sources, func(a, b source) int { return cmp.Compare(a.file, b.file) })
			if bad := sourceChecks[tc.check](sources); len(bad) != tc.want {
				t.Errorf("%d lines, want %d: %q", len(bad), tc.want, bad)
			}
		})
	}
}
