package main

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// An address that -serve does not get, because there is a space before it, is not
// passed over.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                       "",
		"-serve":                 "127.0.0.1:9090",
		"-serve=127.0.0.1:1":     "127.0.0.1:1",
		"-serve -break=member":   "127.0.0.1:9090",
		"-serve 127.0.0.1:1":     `unexpected argument "127.0.0.1:1"`,
		"-serve 127.0.0.1:1 -x":  "flag provided but not defined: -x",
		"everything -break=cert": `unexpected argument "everything"`,
	} {
		var help strings.Builder
		opts, err := parseArgs(strings.Fields(line), &help)
		testutil.Equals(t, "", help.String())
		if err != nil {
			testutil.Assert(t, want != "" && strings.Contains(err.Error(), want), "%s: %v", line, err)
			continue
		}
		testutil.Equals(t, want, opts.http, line)
	}
	var help strings.Builder
	_, err := parseArgs([]string{"-h"}, &help)
	testutil.Assert(t, errors.Is(err, flag.ErrHelp) && strings.Contains(help.String(), "replica-label, member"), "%v: %s", err, &help)
}
