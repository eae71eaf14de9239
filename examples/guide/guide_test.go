package guide_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const file = "../../docs/guide.md"

var block = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// blocks returns the blocks of a language in the guide.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	testutil.Ok(t, err)
	var out []string
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	return out
}

// TestGuideShowsThisPackage: each piece of Go in the guide is in this package, and
// each function of this package is in the guide.
func TestGuideShowsThisPackage(t *testing.T) {
	t.Parallel()
	shown := blocks(t, "go")
	files, err := filepath.Glob("*.go")
	testutil.Ok(t, err)
	var source strings.Builder
	functions := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		testutil.Ok(t, err)
		source.Write(text)
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		testutil.Ok(t, err)
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			functions++
			in := text[f.Pos()-1 : f.End()-1]
			found := false
			for _, s := range shown {
				found = found || strings.Contains(s, string(in))
			}
			testutil.Assert(t, found, "the guide does not show %s", f.Name.Name)
		}
	}
	testutil.Assert(t, functions >= 8, "%d functions", functions)
	for _, s := range shown {
		testutil.Assert(t, strings.Contains(source.String(), s), "not in this package:\n%s", s)
	}
}

// TestMetrics: the metrics that the guide names are documented.
func TestMetrics(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(file)
	testutil.Ok(t, err)
	metrics, err := os.ReadFile("../../docs/metrics.md")
	testutil.Ok(t, err)
	names := regexp.MustCompile(`\b(thanos|thanoskit)_[a-z0-9_]+`).FindAllString(string(guide), -1)
	testutil.Assert(t, len(names) > 8, "%q", names)
	for _, name := range names {
		testutil.Assert(t, strings.Contains(string(metrics), name), "docs/metrics.md has no %s", name)
	}
}

// TestProblems: what the guide calls the doctor's words are.
func TestProblems(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(file)
	testutil.Ok(t, err)
	_, list, ok := strings.Cut(string(guide), "in the doctor's words:\n\n")
	testutil.Assert(t, ok)
	list, _, ok = strings.Cut(list, "\n\n")
	testutil.Assert(t, ok)
	doctor, err := os.ReadFile("../../tlsutil/doctor.go")
	testutil.Ok(t, err)
	words := regexp.MustCompile(`\*([A-Za-z][^*]*)\*`).FindAllStringSubmatch(list, -1)
	testutil.Assert(t, len(words) >= 6, "%q", words)
	for _, w := range words {
		testutil.Assert(t, strings.Contains(string(doctor), "Problem = \""+w[1]+"\""), "the doctor does not say %q", w[1])
	}
}

// TestFlags: the flags that the guide names are there. Those in commands are also
// tried, in interop/guide.
func TestFlags(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(file)
	testutil.Ok(t, err)
	var programs strings.Builder
	for _, pattern := range []string{"../*/*.go", "../internal/*/*.go"} {
		files, err := filepath.Glob(pattern)
		testutil.Ok(t, err)
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			testutil.Ok(t, err)
			programs.Write(text)
		}
	}
	others := map[string]string{
		"config.file": "prometheus", "web.listen-address": "prometheus", "storage.tsdb.path": "prometheus", "quiet": "promtool",
		"storage.tsdb.min-block-duration": "prometheus", "storage.tsdb.max-block-duration": "prometheus", "storage.tsdb.delay-compact-file.path": "prometheus",
	}
	names := regexp.MustCompile("(?:^|[\\s'`])--([a-z][a-z0-9.-]*)").FindAllStringSubmatch(string(guide), -1)
	testutil.Assert(t, len(names) > 40, "%q", names)
	for _, m := range names {
		name := m[1]
		if others[name] != "" {
			continue
		}
		name = strings.TrimSuffix(name, ".config-file") // a prefix that objstore.NewConfig is given
		testutil.Assert(t, strings.Contains(programs.String(), `"`+name+`"`), "no program has --%s", m[1])
	}
}
