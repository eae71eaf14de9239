package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

func TestRewrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tail := "--id=" + w.id(3)
	for _, tc := range []struct {
		name   string
		args   []string
		want   []string
		series uint64
	}{
		{
			"series dropped",
			[]string{`--rewrite.to-delete-config=[{matchers: '{__name__="golden_histogram"}'}]`},
			[]string{`- {__name__="golden_histogram", is="custom"}`},
			4,
		},
		{
			"samples dropped",
			[]string{`--rewrite.to-delete-config=[{matchers: 'golden_counter{is="integer"}', intervals: [{mint: 1700884800000, maxt: 1700884860000}]}]`},
			[]string{`~ {__name__="golden_counter", is="integer"} without [1700884800000, 1700884860000]`},
			9,
		},
		{
			"labels changed",
			[]string{`--rewrite.to-relabel-config=[{action: labelmap, regex: is, replacement: was}, {action: labeldrop, regex: is}]`},
			[]string{`~ {__name__="golden_gauge", is="sine"} to {__name__="golden_gauge", was="sine"}`},
			9,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := w.run(statusOK, "rewrite", append(tc.args, tail)...)
			for _, line := range append(tc.want, "--no-dry-run does it") {
				testutil.Assert(t, strings.Contains(out, line), out)
			}
			testutil.Equals(t, 4, len(strings.Fields(w.run(statusOK, "ls"))))

			out = w.run(statusOK, "rewrite", append(tc.args, tail, "--no-dry-run", "--hash-func=SHA256")...)
			_, id, ok := strings.Cut(out, "rewritten to ")
			testutil.Assert(t, ok, out)
			m, err := block.ReadMeta(filepath.Join(w.dir, id[:26]))
			testutil.Ok(t, err)
			testutil.Equals(t, tc.series, m.Stats.NumSeries)
			testutil.Equals(t, block.SourceBucketRewrite, m.Thanos.Source)
			testutil.Equals(t, []ulid.ULID{w.metas[3].ULID}, m.Thanos.Rewrites[0].Sources)
			testutil.Assert(t, m.Thanos.Files[0].Hash != nil, "no hash")
			w.run(statusOK, "verify", "--id="+id[:26])
			testutil.Ok(t, os.RemoveAll(filepath.Join(w.dir, id[:26])))
		})
	}
	all := []string{tail, `--rewrite.to-delete-config=[{matchers: '{__name__!=""}'}]`, "--no-dry-run"}
	stdout, stderr := w.both(statusFailed, "rewrite", all...) // Nothing would be left.
	testutil.Equals(t, 1, strings.Count(stderr, "rewrite block "), stderr)
	testutil.Equals(t, w.id(3)+":\n", stdout[:28])
	w.run(statusUsage, "rewrite", tail)
	w.run(statusUsage, "rewrite", `--rewrite.to-relabel-config=[]`)
	for _, bad := range []string{
		`--rewrite.to-delete-config=[{matchers: '{'}]`,
		`--rewrite.to-delete-config=[{matcher: '{a="b"}'}]`,
		`--rewrite.to-relabel-config=[{action: fold}]`,
		`--rewrite.to-relabel-config=[null]`,
	} {
		w.run(statusFailed, "rewrite", tail, bad)
	}
	testutil.Equals(t, 4, len(strings.Fields(w.run(statusOK, "ls"))))
}

func TestRewriteMarksTheOldBlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(statusOK, "rewrite", "--id="+w.id(3), `--rewrite.to-delete-config=[{matchers: '{is="sine"}'}]`, "--dry-run=false", "--delete-blocks")
	testutil.Equals(t, 4, len(strings.Fields(w.run(statusOK, "ls", "--exclude-delete"))))
	testutil.Equals(t, 5, len(strings.Fields(w.run(statusOK, "ls"))))
	testutil.Assert(t, strings.Contains(w.run(statusOK, "inspect", "--output=tsv", "--id="+w.id(3)), "\tdeletion\n"))
}
