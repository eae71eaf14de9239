package via_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/internal/via"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPathsOfSiblingsAreTheirOwn(t *testing.T) {
	ctx := via.With(t.Context(), "a", "b")
	c, d := via.With(ctx, "c"), via.With(ctx, "d")
	testutil.Equals(t, []string{"a", "b", "c"}, via.From(c))
	testutil.Equals(t, []string{"a", "b", "d"}, via.From(d))
	testutil.Equals(t, []string{"a", "b"}, via.From(ctx))
	testutil.Equals(t, 0, len(via.From(via.With(t.Context()))))
}

func Example() {
	ctx := via.With(context.Background(), "global")
	fmt.Println(via.From(via.With(ctx, "eu")))
	// Output: [global eu]
}
