package step_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/compact/internal/step"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Example() {
	ctx := context.Background()
	fmt.Println(step.Do(ctx, "rename a b"))
	ctx = step.With(ctx, func(what string) error { return errors.New(what + ": the process is dead") })
	fmt.Println(step.Do(ctx, "rename a b"))
	// Output:
	// <nil>
	// rename a b: the process is dead
}
