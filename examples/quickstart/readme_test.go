package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// The README shows this program, as it is.
func TestREADMEShowsTheProgram(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	testutil.Ok(t, err)
	program, err := os.ReadFile("main.go")
	testutil.Ok(t, err)
	testutil.Assert(t, strings.Contains(string(readme), "```go\n"+string(program)+"```\n"), "README.md shows another program than examples/quickstart/main.go")
}

// The README says how many modules each package links, as the lists that a test
// of internal/archtest compares do.
func TestREADMECountsModules(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	testutil.Ok(t, err)
	rows := regexp.MustCompile("(?m)^\\| \\[`([a-z/]+)`\\]\\([a-z/]+\\) \\|.*\\| (\\d+) \\|$").FindAllStringSubmatch(string(readme), -1)
	testutil.Assert(t, len(rows) >= 9, "%d rows", len(rows))
	for _, row := range rows {
		list, err := os.ReadFile("../../internal/archtest/testdata/deps/" + strings.ReplaceAll(row[1], "/", "-") + ".txt")
		testutil.Ok(t, err)
		testutil.Equals(t, strconv.Itoa(strings.Count(string(list), "\n")), row[2], row[1])
	}
}
