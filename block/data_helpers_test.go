package block_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// mustVerify fails if anything is wrong with a block.
func mustVerify(t testing.TB, dir string) {
	t.Helper()
	report, err := block.Verify(context.Background(), dir, nil)
	testutil.Ok(t, err)
	testutil.Ok(t, report.Err())
}
