package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/thanoskit/thanoskit/compact"
)

// showProgress returns what keeps one line at a terminal up to date, and does
// nothing where there is none: there, metrics say the same.
func showProgress(c *compact.Compactor, to *os.File) func(context.Context) error {
	return func(ctx context.Context) error {
		info, err := to.Stat()
		if err != nil || info.Mode()&os.ModeCharDevice == 0 {
			return nil
		}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for last := ""; ; {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if p := c.Progress(); p.Total > 0 && p.String() != last {
				last = p.String()
				// Carriage return and "erase to the end of the line".
				if _, err := fmt.Fprintf(to, "\r\x1b[K%s\r", last); err != nil {
					return nil // The terminal is gone, the work is not.
				}
			}
		}
	}
}
