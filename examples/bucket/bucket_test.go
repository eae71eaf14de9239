package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// world is a bucket in a directory with the golden blocks.
type world struct {
	t      *testing.T
	dir    string
	metas  []*block.Meta // By time and resolution.
	config string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "bucket")}
	w.config = fmt.Sprintf("--objstore.config={type: FILESYSTEM, config: {directory: %q}}", w.dir)
	bkt, err := filesystem.NewBucket(w.dir)
	testutil.Ok(t, err)
	w.metas, err = blocktest.Golden(t.Context(), bkt, nil)
	testutil.Ok(t, err)
	testutil.Ok(t, bkt.Close())
	return w
}

func (w *world) id(i int) string { return w.metas[i].ULID.String() }

// run runs a command and returns its output, which has to come with a status.
func (w *world) run(status int, command string, args ...string) string {
	w.t.Helper()
	stdout, _ := w.both(status, command, args...)
	return stdout
}

// both is run with what the command logs.
func (w *world) both(status int, command string, args ...string) (string, string) {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	got := run(w.t.Context(), append([]string{command, w.config}, args...), &stdout, &stderr)
	if got != status {
		w.t.Fatalf("bucket %s %q ended with %d, not %d:\n%s%s", command, args, got, status, &stdout, &stderr)
	}
	return stdout.String(), stderr.String()
}

func TestLs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct {
		name string
		args []string
		want []int // Blocks.
	}{
		{"all", nil, []int{0, 1, 2, 3}},
		{"resolutions", []string{"--resolution=5m", "--resolution=1h"}, []int{1, 2}},
		{"raw", []string{"--resolution=0s"}, []int{0, 3}},
		{"times", []string{"--min-time=2023-11-25T05:00:00Z"}, []int{3}},
		{"before", []string{"--max-time=2023-11-20T00:00:00Z"}, []int{0, 1, 2}},
		{"labels", []string{`--selector=cluster="golden"`, `-l`, `replica=~"a|b"`}, []int{0, 1, 2, 3}},
		{"other labels", []string{`--selector=cluster!="golden"`}, nil},
		{"levels", []string{"--compaction=2"}, nil},
		{"one", []string{"--id=" + w.id(2)}, []int{2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, i := range tc.want {
				want = append(want, w.id(i))
			}
			got := strings.Fields(w.run(statusOK, "ls", tc.args...))
			slices.Sort(got) // Blocks of one range are in the order of ULIDs.
			slices.Sort(want)
			testutil.Equals(t, strings.Join(want, " "), strings.Join(got, " "))
		})
	}
}

func TestLsOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tail := "--id=" + w.id(3)
	testutil.Equals(t,
		w.id(3)+" -- 2023-11-25T04:00:00Z - 2023-11-25T05:59:00Z Diff: 1h59m0.001s, Compaction: 1, Downsample: 0, Source: sidecar\n",
		w.run(statusOK, "ls", tail, "--output=wide"))
	testutil.Equals(t, "9 series\n", w.run(statusOK, "ls", tail, "-o", "{{.Stats.NumSeries}} series"))
	var m block.Meta
	testutil.Ok(t, json.Unmarshal([]byte(w.run(statusOK, "ls", tail, "--output=json")), &m))
	testutil.Equals(t, w.metas[3], &m)
	testutil.Equals(t, w.run(statusOK, "inspect", tail), w.run(statusOK, "ls", tail, "--output=table"))
	w.run(statusUsage, "ls", "--output={{")

	w.run(statusOK, "mark", tail, "--marker=deletion-mark.json")
	testutil.Equals(t, 3, len(strings.Fields(w.run(statusOK, "ls", "--exclude-delete"))))
}

func TestInspect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(statusOK, "mark", "--id="+w.id(0), "--marker=no-compact-mark.json")
	w.run(statusOK, "mark", "--id="+w.id(0), "--marker=deletion")
	rows := strings.Split(strings.TrimSpace(w.run(statusOK, "inspect", "--output=tsv", "--sort-by=#SAMPLES")), "\n")
	testutil.Equals(t, []string{
		"ULID\tFROM\tUNTIL\tRANGE\tUNTIL-DOWN\t#SERIES\t#SAMPLES\t#CHUNKS\tCOMP-LEVEL\tCOMP-FAILED\tLABELS\tRESOLUTION\tSOURCE\tMARKS",
		w.id(3) + "\t2023-11-25T04:00:00Z\t2023-11-25T05:59:00Z\t1h59m0.001s\t38h0m59.999s\t9\t780\t14\t1\tfalse\tcluster=golden,replica=a\t0s\tsidecar\t",
		w.id(2) + "\t2023-11-15T00:00:00Z\t2023-11-25T03:59:00Z\t243h59m0.001s\t-\t11\t1,691\t11\t1\tfalse\tcluster=golden,replica=a\t1h0m0s\tcompactor\t",
		w.id(1) + "\t2023-11-15T00:00:00Z\t2023-11-25T03:59:00Z\t243h59m0.001s\t-3h59m0.001s\t11\t2,527\t15\t1\tfalse\tcluster=golden,replica=a\t5m0s\tcompactor\t",
		w.id(0) + "\t2023-11-15T00:00:00Z\t2023-11-25T03:59:00Z\t243h59m0.001s\t-203h59m0.001s\t11\t4,980\t48\t1\tfalse\tcluster=golden,replica=a\t0s\tsidecar\tdeletion,no-compact",
	}, rows)

	table := strings.Split(w.run(statusOK, "inspect"), "\n")
	testutil.Assert(t, strings.HasPrefix(table[0], "| ULID                       | FROM                 |"), table[0])
	testutil.Assert(t, strings.HasPrefix(table[1], "|----------------------------|----------------------|"), table[1])
	w.run(statusUsage, "inspect", "--output=html")
	w.run(statusUsage, "inspect", "--sort-by=COLOUR")
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	out := w.run(statusOK, "verify")
	testutil.Equals(t, 4, strings.Count(out, "no problems\n"))

	// One byte in a chunk.
	name := filepath.Join(w.dir, w.id(0), "chunks", "000001")
	data, err := os.ReadFile(name)
	testutil.Ok(t, err)
	data[100] ^= 1
	testutil.Ok(t, os.WriteFile(name, data, 0o600))
	// One file that is shorter than meta.json says.
	testutil.Ok(t, os.Truncate(filepath.Join(w.dir, w.id(1), "index"), 100))
	out = w.run(statusProblems, "verify", "--tmp.dir="+t.TempDir())
	testutil.Equals(t, 2, strings.Count(out, "no problems\n"))
	testutil.Assert(t, strings.Contains(out, "checksum"), out)
	testutil.Assert(t, strings.Contains(out, "block "+w.id(1)), out)
	w.run(statusOK, "verify", "--id="+w.id(3))

	// A block that cannot be looked at is not one with problems.
	w.run(statusFailed, "verify", "--id="+ulid.Make().String())
}

func TestMark(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, marker := range []string{"deletion", "no-compact", "no-downsample"} {
		file := filepath.Join(w.dir, w.id(0), marker+"-mark.json")
		args := []string{"--id=" + w.id(0), "--id=" + w.id(3), "--marker=" + filepath.Base(file), "--details=never again"}
		testutil.Equals(t, w.id(0)+" marked: "+marker+"\n"+w.id(3)+" marked: "+marker+"\n", w.run(statusOK, "mark", args...))
		data, err := os.ReadFile(file)
		testutil.Ok(t, err)
		testutil.Assert(t, bytes.Contains(data, []byte("never again")), "%s", data)
		testutil.Equals(t, marker != "deletion", bytes.Contains(data, []byte(`"reason":"manual"`)), "%s", data)

		testutil.Equals(t, w.id(0)+" was marked already: "+marker+"\n", w.run(statusOK, "mark", "--id="+w.id(0), "--marker="+marker))
		again, err := os.ReadFile(file)
		testutil.Ok(t, err)
		testutil.Equals(t, string(data), string(again))

		testutil.Equals(t, w.id(0)+" unmarked: "+marker+"\n", w.run(statusOK, "unmark", "--id="+w.id(0), "--marker="+marker))
		testutil.Equals(t, w.id(3)+" unmarked: "+marker+"\n", w.run(statusOK, "mark", "--remove", "--id="+w.id(3), "--marker="+marker))
		testutil.Equals(t, w.id(0)+" was not marked: "+marker+"\n", w.run(statusOK, "unmark", "--id="+w.id(0), "--marker="+marker))
		_, err = os.Stat(file)
		testutil.Assert(t, os.IsNotExist(err))
	}
	w.run(statusFailed, "mark", "--id="+ulid.Make().String(), "--marker=deletion")
	w.run(statusUsage, "mark", "--id="+w.id(0), "--marker=deleted")
	w.run(statusUsage, "mark", "--id="+w.id(0))
	w.run(statusUsage, "unmark", "--marker=deletion")
	w.run(statusUsage, "mark", "--id=01", "--marker=deletion")
}

func TestReplicate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(statusOK, "mark", "--id="+w.id(3), "--marker=deletion")
	other := filepath.Join(t.TempDir(), "other")
	to := fmt.Sprintf("--objstore-to.config={type: FILESYSTEM, config: {directory: %q}, prefix: copies}", other)
	testutil.Equals(t, w.id(0)+" copied\n", w.run(statusOK, "replicate", to, "--resolution=0s", "--ignore-marked-for-deletion"))
	testutil.Equals(t, 3, strings.Count(w.run(statusOK, "replicate", to), " copied\n"))
	testutil.Equals(t, "", w.run(statusOK, "replicate", to))
	for _, m := range w.metas {
		for _, file := range []string{"meta.json", "index", "chunks/000001"} {
			want, err := os.ReadFile(filepath.Join(w.dir, m.ULID.String(), file))
			testutil.Ok(t, err)
			got, err := os.ReadFile(filepath.Join(other, "copies", m.ULID.String(), file))
			testutil.Ok(t, err)
			testutil.Equals(t, string(want), string(got))
		}
	}
	w.run(statusUsage, "replicate")
	w.run(statusFailed, "replicate", "--objstore-to.config={type: FLOPPY}")
}

// What a command logs is as the flags say.
func TestLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testutil.Ok(t, os.Remove(filepath.Join(w.dir, w.id(0), block.MetaFile)))
	const message = "no block that can be read"
	_, log := w.both(statusOK, "ls")
	testutil.Equals(t, 1, strings.Count(log, `level=WARN msg="`+message+`" component=bucket block=`+w.id(0)), log)
	_, log = w.both(statusOK, "ls", "--log.level=error")
	testutil.Equals(t, "", log)
	_, log = w.both(statusOK, "ls", "--log.format=json", "--log.level=warn")
	var line struct{ Level, Msg, Component, Block string }
	testutil.Ok(t, json.Unmarshal([]byte(log), &line), log)
	testutil.Equals(t, []string{"WARN", message, "bucket", w.id(0)}, []string{line.Level, line.Msg, line.Component, line.Block})
	_, log = w.both(statusFailed, "verify", "--id="+ulid.Make().String(), "--log.format=json", "--log.level=error")
	testutil.Assert(t, json.Valid([]byte(log)) && strings.Contains(log, "command ended"), log)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		want int
		text string
	}{
		{"none", nil, statusUsage, "Usage: bucket COMMAND [flags]\n\n  ls "},
		{"unknown", []string{"burn"}, statusUsage, "bucket: \"burn\" is no command, want one of ls, inspect, verify, mark, unmark, replicate, downsample, rewrite\n"},
		{"help", []string{"--help"}, statusOK, "Usage: bucket COMMAND [flags]\n\n  ls "},
		{"help on a command", []string{"ls", "--help"}, statusOK, "-objstore.config-file"},
		{"unknown flag", []string{"ls", "--colour"}, statusUsage, "bucket ls: flag provided but not defined: -colour; see --help\n"},
		{"no flag", []string{"ls", "--output=wide", "here"}, statusUsage, "bucket ls: unexpected argument \"here\", since it is no flag; see --help\n"},
		{"no bucket", []string{"ls"}, statusUsage, "bucket ls: --objstore.config or --objstore.config-file is needed\n"},
		{"no mark", []string{"mark", "--objstore.config={type: FILESYSTEM, config: {directory: " + t.TempDir() + "}}", "--log.level=error"}, statusUsage, "bucket mark: --id and --marker are needed\n"},
		{"wrong mark", []string{"mark", "--marker=x"}, statusUsage, "bucket mark: invalid value \"x\" for flag -marker: not one of deletion-mark.json, no-compact-mark.json, no-downsample-mark.json; see --help\n"},
		{"wrong ULID", []string{"ls", "--id=xyz"}, statusUsage, "bucket ls: invalid value \"xyz\" for flag -id: not a ULID; see --help\n"},
		{"wrong level", []string{"ls", "--compaction=x"}, statusUsage, "bucket ls: invalid value \"x\" for flag -compaction: not a number; see --help\n"},
		{"wrong time", []string{"ls", "--min-time=x"}, statusUsage, "bucket ls: invalid value \"x\" for flag -min-time: neither a time in RFC 3339 nor a duration, such as -2w; see --help\n"},
		{"unknown field", []string{"rewrite", "--objstore.config={type: FILESYSTEM, config: {directory: " + t.TempDir() + "}}", "--id=01HF7ZNB2CZ9YBQ0NX6PNBYPAK", "--rewrite.to-delete-config=[{matcher: x}]"}, statusFailed, "field matcher not found in type main.deletionYAML"},
		{"wrong matchers", []string{"rewrite", "--objstore.config={type: FILESYSTEM, config: {directory: " + t.TempDir() + "}}", "--id=01HF7ZNB2CZ9YBQ0NX6PNBYPAK", "--rewrite.to-delete-config=[{matchers: 'a=b'}]"}, statusFailed, "parse --rewrite.to-delete-config: matchers \\\"a=b\\\": "},
		{"wrong selector", []string{"ls", "--selector=a=b"}, statusUsage, "bucket ls: invalid value \"a=b\" for flag -selector: "},
		{"no such bucket", []string{"verify", "--objstore.config={type: FILESYSTEM, config: {directory: /nonexistent}}"}, statusFailed, "open bucket of --objstore.config: stat /nonexistent: no such file or directory"},
		{"empty bucket", []string{"verify", "--objstore.config={type: FILESYSTEM, config: {directory: " + t.TempDir() + "}}"}, statusOK, "no block in the bucket"},
		{"no such block", []string{"ls", "--objstore.config={type: FILESYSTEM, config: {directory: " + t.TempDir() + "}}", "--id=01HF7ZNB2CZ9YBQ0NX6PNBYPAK"}, statusFailed, "01HF7ZNB2CZ9YBQ0NX6PNBYPAK"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			testutil.Equals(t, tc.want, run(t.Context(), tc.args, &stdout, &stderr))
			printed := stderr.String()
			if strings.HasPrefix(tc.name, "help") { // which was asked for
				testutil.Equals(t, "", printed)
				printed = stdout.String()
			}
			testutil.Assert(t, strings.Contains(printed, tc.text), printed)
			if strings.HasPrefix(tc.text, "bucket") { // what is wrong is one line
				testutil.Assert(t, strings.HasPrefix(printed, tc.text) && strings.Count(printed, "\n") == 1, printed)
			}
		})
	}
}
