package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/thanoskit/thanoskit/compact"
)

// showProgress returns what keeps one line at a terminal up to date, and does
// nothing where there is none: there, metrics say the same.
func showProgress(c *compact.Compactor, to *os.File) func(context.Context) error {
	return func(ctx context.Context) error {
		if isTerminal(to) {
			progressLine(ctx, c.Progress, to, time.Second)
		}
		return nil
	}
}

// isTerminal reports whether somebody may look at what is written to a file.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progressLine writes a line each time that it has changed, over the one before,
// until the context ends or there is nobody any more to write it to. When there is
// nothing left to do, the line goes.
func progressLine(ctx context.Context, progress func() compact.Progress, to io.Writer, every time.Duration) {
	// Carriage return and "erase to the end of the line".
	const anew = "\r\x1b[K"
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		line := ""
		if p := progress(); p.Total > 0 {
			line = p.String()
		}
		if line == last {
			continue
		}
		last = line
		if line != "" {
			line += "\r"
		}
		if _, err := fmt.Fprint(to, anew+line); err != nil {
			return // The terminal is gone, the work is not.
		}
	}
}
