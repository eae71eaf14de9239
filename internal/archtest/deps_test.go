package archtest_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the module lists in testdata/deps")

// banned is a package that our packages must not link, not even through others.
type banned struct {
	path   string   // Import path, or one followed by /... for it and all below.
	except []string // Patterns of our packages that may link it.
	reason string
	direct bool // Only an import of ours counts, not what others link.
}

// examples may link anything that a user's program could.
const examples = "examples/..."

var bannedLinks = []banned{
	{path: "github.com/prometheus/prometheus/tsdb", except: []string{examples}, reason: "it links the SDKs of three clouds; tsdb/index, tsdb/chunks and tsdb/chunkenc do what we need"},
	{path: "github.com/prometheus/prometheus/storage/remote/...", except: []string{examples}, reason: "it links the configuration and with it every service discovery"},
	{path: "github.com/prometheus/prometheus/scrape", except: []string{examples}, reason: "it links the configuration and with it every service discovery"},
	{path: "github.com/prometheus/prometheus/config", except: []string{examples}, reason: "it links every service discovery"},
	{path: "github.com/prometheus/prometheus/discovery/...", except: []string{examples}, reason: "service discovery is the program's"},
	{path: "github.com/prometheus/prometheus/web/...", except: []string{examples}, reason: "it links the whole server"},
	{path: "github.com/thanos-io/objstore/providers/...", except: []string{examples}, reason: "users bring their own bucket; one provider links one cloud"},
	{path: "github.com/thanos-io/objstore/client", except: []string{examples}, reason: "it links every cloud"},
	{path: "github.com/thanos-io/thanos/...", except: []string{"store/thanosstore"}, reason: "its wire types are right under one build tag only, and it links 225 modules"},
	{path: "github.com/alecthomas/kingpin/...", reason: "flags are the program's"},
	{path: "gopkg.in/alecthomas/kingpin.v2", reason: "flags are the program's"},
	{path: "github.com/opentracing/opentracing-go/...", reason: "traces go through OpenTelemetry"},
	{path: "github.com/thanos-io/promql-engine/...", reason: "it locks everybody's Prometheus version; it has a module of its own below query"},
	{path: "google.golang.org/grpc/...", except: []string{"internal/peer", "store/grpcstore/...", "store/storetest", "store/thanosstore", "query/querygrpc", "query/ui", examples}, reason: "a program that serves no gRPC links none; status codes appear at the edge only"},
	{path: "testing", direct: true, except: []string{"*/*test"}, reason: "a production binary has no test flags; kits for tests are packages of their own"},
}

func (b banned) matches(importPath string) bool { return matches(b.path, importPath) }

// checkBanned returns one line, with the way there, for each banned package
// that one of ours links.
func checkBanned(g graph, list []banned) []string {
	var bad []string
	for _, rel := range g.ours() {
		links := g.links(g.our(rel).ImportPath)
		for _, b := range list {
			if matchesAny(b.except, rel) {
				continue
			}
			for _, imp := range slices.Sorted(maps.Keys(links)) {
				if b.matches(imp) && (!b.direct || links[imp] == g.our(rel).ImportPath) {
					bad = append(bad, fmt.Sprintf("%s links %s, but %s: %s", rel, imp, b.reason, chain(links, imp)))
					break
				}
			}
		}
	}
	return bad
}

func TestBannedLinks(t *testing.T) {
	t.Parallel()
	for _, line := range checkBanned(mustGraph(t), bannedLinks) {
		t.Error(line)
	}
}

func TestBannedLinksCatch(t *testing.T) {
	t.Parallel()
	const prometheus = "github.com/prometheus/prometheus"
	for _, tc := range []struct {
		name    string
		imports map[string][]string
		want    int
	}{
		{name: "directly", imports: map[string][]string{"store": {prometheus + "/tsdb"}}, want: 1},
		{name: "through another of ours", imports: map[string][]string{"query": {"store"}, "store": {prometheus + "/scrape"}}, want: 2},
		{name: "through a third party", imports: map[string][]string{"store": {"x.org/m"}, "x.org/m": {"github.com/opentracing/opentracing-go"}}, want: 1},
		{name: "below a banned path", imports: map[string][]string{"block": {"github.com/thanos-io/objstore/providers/s3"}}, want: 1},
		{name: "beside a banned path", imports: map[string][]string{"block": {prometheus + "/tsdb/index", "github.com/thanos-io/objstore"}}},
		{name: "an example may", imports: map[string][]string{"examples/sidecar": {prometheus + "/tsdb"}}},
		{name: "an example may not", imports: map[string][]string{"examples/sidecar": {"github.com/thanos-io/thanos/pkg/store"}}, want: 1},
		{name: "testing in a program", imports: map[string][]string{"store": {"testing"}}, want: 1},
		{name: "testing in a kit", imports: map[string][]string{"store/storetest": {"testing"}}},
		{name: "testing in somebody else's package", imports: map[string][]string{"store": {"x.org/m"}, "x.org/m": {"testing"}}},
		{name: "gRPC in a fan-out", imports: map[string][]string{"store/fanout": {"google.golang.org/grpc/codes"}}, want: 1},
		{name: "gRPC where it belongs", imports: map[string][]string{"store/grpcstore": {"google.golang.org/grpc"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if bad := checkBanned(testGraph(tc.imports), bannedLinks); len(bad) != tc.want {
				t.Errorf("%d lines, want %d: %v", len(bad), tc.want, bad)
			}
		})
	}
}

// budget is the number of modules that a package may cost its importer.
type budget struct {
	packages []string
	modules  int
	reason   string
}

// budgets is read like layers: the first row that matches holds.
var budgets = []budget{
	{[]string{"tlsutil"}, 0, "certificates are the standard library's"},
	{[]string{"."}, 3, "go-kit's log, and what it prints with"},
	{[]string{"dedup", "dedup/..."}, 20, "iterators of Prometheus' storage, no more"},
	{[]string{"store", "store/fanout", "store/memstore", "store/tsdbstore"}, 20, "labels, chunks and storage interfaces, no transport"},
	{[]string{"store/grpcstore/...", "store/promstore", "store/promqlstore", "store/remoteread", "store/storetest"}, 35, "one transport each"},
	{[]string{"store/thanosstore"}, 40, "what the packages of Thanos that hold its messages link, and no more of Thanos"},
	{[]string{"store/bucketstore/memcached"}, 25, "a client of memcached, and metrics"},
	{[]string{"store/bucketstore", "compact/...", "block/...", "downsample"}, 50, "objstore and the formats of blocks"},
	{[]string{"query/..."}, 45, "PromQL and HTTP"},
}

// hasList reports whether a package's module list is committed: all that users
// can import.
func hasList(rel string, p *pkg) bool {
	return p.Name != "main" && !matches("internal/...", rel) && !matches(examples, rel)
}

// checkBudgets returns one line for each package over its budget or without one.
func checkBudgets(g graph, rows []budget) []string {
	var bad []string
	for _, rel := range g.ours() {
		p := g.our(rel)
		if !hasList(rel, p) {
			continue
		}
		i := slices.IndexFunc(rows, func(b budget) bool { return matchesAny(b.packages, rel) })
		if i < 0 {
			bad = append(bad, fmt.Sprintf("%s has no budget: give it a row in deps_test.go, with the reason", rel))
			continue
		}
		if n := len(g.modules(p.ImportPath)); n > rows[i].modules {
			bad = append(bad, fmt.Sprintf("%s links %d modules and may link %d: %s", rel, n, rows[i].modules, rows[i].reason))
		}
	}
	return bad
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	for _, line := range checkBudgets(mustGraph(t), budgets) {
		t.Error(line)
	}
}

func TestBudgetsCatch(t *testing.T) {
	t.Parallel()
	g := testGraph(map[string][]string{
		"tlsutil":        {"x.org/m"},
		"dedup":          {"x.org/m"},
		"unplanned":      {"x.org/m"},
		"internal/cache": {"x.org/m"},
	})
	if bad := checkBudgets(g, budgets); len(bad) != 2 {
		t.Errorf("%d lines, want one for tlsutil and one for unplanned: %v", len(bad), bad)
	}
}

// listFile is where the list of a package's modules is kept.
func listFile(rel string) string {
	if rel == "." {
		rel = "thanoskit"
	}
	return filepath.Join("testdata", "deps", strings.ReplaceAll(rel, "/", "-")+".txt")
}

// TestModuleLists compares what each package links with the committed lists.
func TestModuleLists(t *testing.T) {
	t.Parallel()
	g := mustGraph(t)
	known := map[string]bool{}
	for _, rel := range g.ours() {
		p := g.our(rel)
		if !hasList(rel, p) {
			continue
		}
		file := listFile(rel)
		known[file] = true
		modules := g.modules(p.ImportPath)
		if *update {
			writeList(t, file, modules)
			continue
		}
		want, err := readList(file)
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s has no module list: run this test with -update and commit %s", rel, file)
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		for _, line := range diffModules(want, modules) {
			t.Errorf("%s %s", rel, line)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "deps", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		switch {
		case known[file]:
		case *update:
			if err := os.Remove(file); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("%s is the list of no package: run this test with -update", file)
		}
	}
}

func writeList(t *testing.T, file string, modules map[string]string) {
	t.Helper()
	var text strings.Builder
	for _, m := range slices.Sorted(maps.Keys(modules)) {
		text.WriteString(m + "\n")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readList(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b)), nil
}

// diffModules returns one line per module that is in one of the two only; for a
// new one with the imports that brought it.
func diffModules(want []string, got map[string]string) []string {
	var lines []string
	for _, m := range slices.Sorted(maps.Keys(got)) {
		if !slices.Contains(want, m) {
			lines = append(lines, fmt.Sprintf("links %s, which its list lacks: %s", m, got[m]))
		}
	}
	for _, m := range want {
		if _, ok := got[m]; !ok {
			lines = append(lines, fmt.Sprintf("no longer links %s: run this test with -update", m))
		}
	}
	return lines
}

func TestDiffModules(t *testing.T) {
	t.Parallel()
	got := diffModules([]string{"a.org/m", "b.org/m"}, map[string]string{"b.org/m": "x -> b.org/m", "c.org/m": "x -> c.org/m"})
	want := []string{"links c.org/m, which its list lacks: x -> c.org/m", "no longer links a.org/m: run this test with -update"}
	if !slices.Equal(got, want) {
		t.Errorf("lines are %q, want %q", got, want)
	}
}
