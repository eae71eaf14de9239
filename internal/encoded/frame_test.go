package encoded_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFrameFreesOnceWithItsLastReference(t *testing.T) {
	freed := 0
	f := encoded.NewFrame(func(*encoded.Frame) { freed++ })
	f.Series = append(f.Series, encoded.Series{Labels: []byte("x")})
	f.Retain()
	f.Release()
	testutil.Equals(t, 0, freed)
	f.Release()
	testutil.Equals(t, 1, freed)

	f.Reset()
	testutil.Equals(t, 0, len(f.Series))
	f.Release()
	testutil.Equals(t, 2, freed)
}

func TestFrameMisuseIsCaught(t *testing.T) {
	mustPanic := func(what string, fn func()) {
		t.Helper()
		defer func() { testutil.Assert(t, recover() != nil, what) }()
		fn()
	}
	f := encoded.NewFrame(nil)
	f.Release()
	mustPanic("retain after free", f.Retain)
	g := encoded.NewFrame(nil)
	g.Release()
	mustPanic("second release", g.Release)
}
