package program_test

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/examples/internal/program"
)

// The operands of a command line are found wherever they stand, and what is wrong is
// one line.
func TestParseFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		line     string
		operands []string
		err      string
	}{
		{"", nil, ""},
		{"--on -n=3", nil, ""},
		{"a --on b -n=3 c", []string{"a", "b", "c"}, ""},
		{"--on false", []string{"false"}, ""},
		{"a --none", nil, "flag provided but not defined: -none; see --help"},
		{"--n=x", nil, `invalid value "x" for flag -n: not a number; see --help`},
		{"--n", nil, "flag needs an argument: -n; see --help"},
	} {
		var out strings.Builder
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		flags.SetOutput(&out)
		flags.Bool("on", false, "a switch")
		var n int
		program.Count(flags, &n, "n", 1, 1, "a number")
		operands, err := program.ParseFlags(flags, strings.Fields(tc.line), &out, "test")
		testutil.Equals(t, "", out.String(), tc.line)
		if tc.err != "" {
			testutil.NotOk(t, err)
			testutil.Equals(t, tc.err, err.Error())
			continue
		}
		testutil.Ok(t, err)
		testutil.Equals(t, tc.operands, operands, tc.line)
		err = program.NoOperands(operands)
		testutil.Equals(t, len(operands) > 0, err != nil, "%v", err)
		if err != nil {
			testutil.Equals(t, `unexpected argument "`+operands[0]+`", since it is no flag; see --help`, err.Error())
		}
	}
}

// Help is printed to whoever asks for it, with all defaults.
func TestHelp(t *testing.T) {
	t.Parallel()
	p := program.NewHTTP("test")
	var wait time.Duration
	p.Duration(&wait, "wait", 48*time.Hour, "how long")
	p.Bytes("size", 250<<20, "how much")
	p.Enum("hash", "which hash", "", "SHA256")
	p.Enum("color", "which color", "red", "green", "blue")
	p.TimeOrAge("from", "start")
	p.Strings("name", "whose")
	var n int64
	program.Count(p.Flags, &n, "n", 0, 0, "how many; 0 is all")
	var out strings.Builder
	_, err := program.ParseFlags(p.Flags, []string{"--wait=1s", "-h"}, &out, "test [flags]")
	testutil.Assert(t, errors.Is(err, flag.ErrHelp), "%v", err)
	testutil.Assert(t, strings.HasPrefix(out.String(), "Usage: test [flags]\n\n  -color value\n"), out.String())
	for _, want := range []string{
		"how long (default 2d)\n", "how much (default 250MiB)\n", `which hash: "" or SHA256 (default "")` + "\n", "which color: red, green or blue (default red)\n",
		"start: RFC 3339 time, or a negative duration, such as -2w (default none)\n", "whose (repeatable, or several between commas)\n", "how many; 0 is all (default 0)\n",
	} {
		testutil.Assert(t, strings.Contains(out.String(), want), "%q is not in %s", want, &out)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	parse := func(args ...string) (*program.TimeOrAge, int, error) {
		flags := program.NewHTTP("test")
		from := flags.TimeOrAge("from", "start")
		flags.Enum("hash", "which hash", "", "SHA256")
		var n int
		program.Count(flags.Flags, &n, "n", 4, 1, "a number")
		_, err := program.ParseFlags(flags.Flags, args, io.Discard, "test")
		return from, n, err
	}
	for arg, want := range map[string]program.TimeOrAge{
		"-6h": {Age: 6 * time.Hour}, "-2w": {Age: 14 * 24 * time.Hour}, "-1h30m": {Age: 90 * time.Minute}, "0s": {},
		"2026-01-02T03:04:05Z": {Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
	} {
		got, n, err := parse("--from=" + arg)
		testutil.Ok(t, err, arg)
		testutil.Equals(t, want, *got, arg)
		testutil.Equals(t, 4, n)
	}
	_, n, err := parse("--n=1")
	testutil.Ok(t, err)
	testutil.Equals(t, 1, n)
	for arg, want := range map[string]string{
		"--from=6h":        "neither a time in RFC 3339 nor a negative duration, such as -6h or -2w",
		"--from=2w":        "neither a time",
		"--from=--2w":      "neither a time",
		"--from=yesterday": "neither a time",
		"--n=0":            "less than 1",
		"--n=-3":           "less than 1",
		"--n=1.5":          "not a number",
		"--hash=MD5":       `not one of "", SHA256`,
	} {
		_, _, err := parse(arg)
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), want), "%s: %v", arg, err)
	}
}

// What prefers none of the replicas is a mistake.
func TestPrefer(t *testing.T) {
	t.Parallel()
	among := func(selector string, replicaLabels ...string) (int, error) {
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		p := program.NewPrefer(flags, "prefer", "which")
		if _, err := program.ParseFlags(flags, []string{"--prefer=" + selector}, io.Discard, "test"); err != nil {
			return 0, err
		}
		ms, err := p.Among(replicaLabels, "replica-label")
		return len(ms), err
	}
	for selector, want := range map[string]int{`{replica="a"}`: 1, `{rule_replica!="b",job="x"}`: 2, `up{replica=~"a.*"}`: 2, "": 0, " ": 0} {
		got, err := among(selector, "replica", "rule_replica")
		testutil.Ok(t, err)
		testutil.Equals(t, want, got, selector)
	}
	for selector, want := range map[string]string{
		"replica":         `--prefer={__name__="replica"}: none of its labels is a --replica-label`,
		`{job="x"}`:       `--prefer={job="x"}: none of its labels`,
		`{replica=a}`:     "flag -prefer: 1:10: parse error",
		`{zone="replica"`: "flag -prefer: 1:16: parse error",
	} {
		_, err := among(selector, "replica")
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), want), "%s: %v", selector, err)
	}
	_, err := among(`{replica="a"}`)
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "none of its labels"), "%v", err)
}
