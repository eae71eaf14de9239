//go:build !race

package main

import (
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// What the command does. The race detector would take minutes for so many samples,
// and the other tests show it the same code.
func TestFullHistory(t *testing.T) {
	var out strings.Builder
	testutil.Ok(t, run(t.Context(), &out, options{scale: fullScale}), out.String())
	testutil.Assert(t, strings.Contains(out.String(), "11 of 11 proofs hold"), out.String())
}
