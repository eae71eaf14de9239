package archtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// TestMetricsAreListed compares the names of metrics in the code with those of
// docs/metrics.md, where a common beginning stands for all that begin with it.
func TestMetricsAreListed(t *testing.T) {
	root := filepath.Join("..", "..")
	doc, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	testutil.Ok(t, err)
	listed := map[string]bool{} // and whether the code has it
	for _, m := range regexp.MustCompile("`((?:thanos|thanoskit|prometheus|http)_[a-z_]+)\\*?`").FindAllStringSubmatch(string(doc), -1) {
		if m[1] != "thanoskit_" && m[1] != "thanos_" && m[1] != "http_" && m[1] != "prometheus_" {
			listed[m[1]] = false
		}
	}
	name := regexp.MustCompile(`(?:Name:\s+|[pP]refix\s*=\s*|counters?\(|gauge\()"((?:thanos|thanoskit|prometheus|http)_[a-z_]+)"`)
	for _, dir := range []string{"store", "query", "internal", "tlsutil", "dedup", "block", "compact"} {
		testutil.Ok(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range name.FindAllStringSubmatch(string(src), -1) {
				if _, ok := listed[m[1]]; !ok {
					t.Errorf("%s: metric %s is not in docs/metrics.md", path, m[1])
				}
				listed[m[1]] = true
			}
			return nil
		}))
	}
	for n, exists := range listed {
		if !exists {
			t.Errorf("docs/metrics.md: no package has a metric %s", n)
		}
	}
}
