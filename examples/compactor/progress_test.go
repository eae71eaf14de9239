package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/compact"
)

// The line says how far the run is, is written only when that has changed, and goes
// when there is nothing left to do.
func TestProgressLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		progress := func() compact.Progress {
			switch s := int(time.Since(began).Seconds()); {
			case s < 3:
				return compact.Progress{Jobs: 1, Running: 1, Total: 4, Bytes: 1 << 30, TotalBytes: 4 << 30, Left: time.Minute}
			case s < 5:
				return compact.Progress{Jobs: 4, Total: 4, Bytes: 4 << 30, TotalBytes: 4 << 30}
			}
			return compact.Progress{}
		}
		var out bytes.Buffer
		progressLine(ctx, progress, &out, time.Second)
		testutil.Equals(t, "\r\x1b[K1 of 4 jobs, 25% of 4.0 GiB, 1m0s left\r\r\x1b[K4 of 4 jobs, 100% of 4.0 GiB\r\r\x1b[K", out.String())
		testutil.Equals(t, 10*time.Second, time.Since(began))

		// Whoever closes the terminal does not end the program.
		progressLine(t.Context(), func() compact.Progress { return compact.Progress{Total: 1} }, gone{}, time.Second)
	})
}

// gone is a terminal that there is no more.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestIsTerminal(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	testutil.Ok(t, err)
	testutil.Assert(t, !isTerminal(f))
	testutil.Ok(t, showProgress(nil, f)(t.Context()))
	testutil.Ok(t, f.Close())
	testutil.Assert(t, !isTerminal(f), "closed")
	null, err := os.Open(os.DevNull) // A device of characters, as terminals are.
	testutil.Ok(t, err)
	testutil.Assert(t, isTerminal(null))
	testutil.Ok(t, null.Close())
}
