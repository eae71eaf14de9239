package main

import (
	"os"
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
