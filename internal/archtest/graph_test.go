package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the module's directory, seen from this package's.
const root = "../.."

const modulePath = "github.com/thanoskit/thanoskit"

// pkg is one package of the import graph without tests.
type pkg struct {
	ImportPath string   `json:"ImportPath"`
	Name       string   `json:"Name"`
	Standard   bool     `json:"Standard"`
	GoFiles    []string `json:"GoFiles"`
	Imports    []string `json:"Imports"` // Direct, as compiled for linux/amd64.
	Module     *module  `json:"Module"`
}

type module struct {
	Path string `json:"Path"`
}

// graph is all packages that the module's packages link, by import path.
type graph map[string]*pkg

// loadGraph runs go list once for all tests.
var loadGraph = sync.OnceValues(func() (graph, error) {
	cmd := exec.Command("go", "list", "-tags=", "-deps", "-json=ImportPath,Name,Standard,GoFiles,Imports,Module", "./...")
	cmd.Dir = root
	// One platform, so that the lists are the same for everyone.
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w\n%s", err, stderr.Bytes())
	}
	return parseGraph(out)
})

// parseGraph reads the concatenated JSON objects of go list. A directory with
// nothing but tests is left out: nobody can import it.
func parseGraph(out []byte) (graph, error) {
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, fmt.Errorf("parse package list: %w", err)
		}
		if len(p.GoFiles) > 0 {
			g[p.ImportPath] = p
		}
	}
}

func mustGraph(t *testing.T) graph {
	t.Helper()
	g, err := loadGraph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// relative returns an import path of ours seen from the module, "." for the
// root package, and whether it is ours at all.
func relative(importPath string) (string, bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// ours returns the module's packages as relative paths, sorted.
func (g graph) ours() []string {
	var paths []string
	for importPath := range g {
		if rel, ok := relative(importPath); ok {
			paths = append(paths, rel)
		}
	}
	slices.Sort(paths)
	return paths
}

// our returns the package at a relative path.
func (g graph) our(rel string) *pkg { return g[path.Join(modulePath, rel)] }

// links returns all packages that importPath links, itself included, each with
// the package that imports it on a shortest way from importPath.
func (g graph) links(importPath string) map[string]string {
	parent := map[string]string{importPath: ""}
	for queue := []string{importPath}; len(queue) > 0; queue = queue[1:] {
		p := g[queue[0]]
		if p == nil || p.Standard {
			continue // The standard library links no module.
		}
		for _, imp := range p.Imports {
			if _, seen := parent[imp]; !seen && imp != "C" {
				parent[imp] = queue[0]
				queue = append(queue, imp)
			}
		}
	}
	return parent
}

// chain spells the way that links found to importPath.
func chain(parent map[string]string, importPath string) string {
	way := []string{importPath}
	for p := parent[importPath]; p != ""; p = parent[p] {
		way = append(way, p)
	}
	slices.Reverse(way)
	return strings.Join(way, " -> ")
}

// modules returns the modules other than ours that importPath links, each with
// the way to the first package of it that was found.
func (g graph) modules(importPath string) map[string]string {
	parent := g.links(importPath)
	found := map[string]string{}
	for imp := range parent {
		p := g[imp]
		if p == nil || p.Module == nil || p.Module.Path == modulePath {
			continue
		}
		way := chain(parent, imp)
		if old, ok := found[p.Module.Path]; !ok || len(way) < len(old) || len(way) == len(old) && way < old {
			found[p.Module.Path] = way
		}
	}
	return found
}

// matches reports whether a relative path matches a pattern: a path, a path
// with * for one element, or a path followed by /... for it and all below.
func matches(pattern, rel string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return prefix == rel || strings.HasPrefix(rel, prefix+"/")
	}
	ok, err := path.Match(pattern, rel)
	return err == nil && ok
}

func matchesAny(patterns []string, rel string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, rel) })
}

// testGraph makes a graph from a table: importing package, its imports. Paths
// whose first element has a dot are a module each, testing is itself, and others
// are ours, seen from the module.
func testGraph(imports map[string][]string) graph {
	full := func(rel string) string {
		first, _, _ := strings.Cut(rel, "/")
		if rel == "testing" || rel != "." && strings.Contains(first, ".") {
			return rel
		}
		return path.Join(modulePath, rel)
	}
	g := graph{}
	add := func(rel string) *pkg {
		p := g[full(rel)]
		if p == nil {
			p = &pkg{ImportPath: full(rel), Name: path.Base(rel), Module: &module{modulePath}}
			if full(rel) == rel {
				p.Module.Path = rel
			}
			g[p.ImportPath] = p
		}
		return p
	}
	for rel, imps := range imports {
		p := add(rel)
		for _, imp := range imps {
			p.Imports = append(p.Imports, add(imp).ImportPath)
		}
	}
	return g
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, rel string
		want         bool
	}{
		{"store", "store", true},
		{"store", "store/fanout", false},
		{"store/*", "store/fanout", true},
		{"store/*", "store", false},
		{"store/*", "store/grpcstore/snappy", false},
		{"store/...", "store", true},
		{"store/...", "store/grpcstore/snappy", true},
		{"store/...", "storefront", false},
		{".", ".", true},
		{".", "store", false},
	} {
		if got := matches(tc.pattern, tc.rel); got != tc.want {
			t.Errorf("matches(%q, %q) is %v, want %v", tc.pattern, tc.rel, got, tc.want)
		}
	}
}

func TestChain(t *testing.T) {
	t.Parallel()
	g := testGraph(map[string][]string{"a": {"b", "x.org/m"}, "b": {"y.org/m"}, "y.org/m": {"z.org/m"}})
	got := g.modules(modulePath + "/a")
	want := map[string]string{
		"x.org/m": modulePath + "/a -> x.org/m",
		"y.org/m": modulePath + "/a -> " + modulePath + "/b -> y.org/m",
		"z.org/m": modulePath + "/a -> " + modulePath + "/b -> y.org/m -> z.org/m",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("modules are %v, want %v", got, want)
	}
}
