package compact_test

import (
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/compact"
)

// Bytes are told in the largest unit of which there is one, up to TiB, and time to
// the second.
func TestProgressUnits(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]compact.Progress{
		"1 of 1 jobs, 100% of 1.0 KiB":          {Jobs: 1, Total: 1, Bytes: 1024, TotalBytes: 1024},
		"1 of 2 jobs, 99% of 1023.0 B":          {Jobs: 1, Total: 2, Bytes: 1022, TotalBytes: 1023},
		"0 of 1 jobs, 0% of 1.0 B":              {Total: 1, TotalBytes: 1},
		"0 of 1 jobs, 25% of 1.5 TiB":           {Total: 1, Bytes: 3 << 37, TotalBytes: 3 << 39},
		"0 of 1 jobs, 50% of 5120.0 TiB":        {Total: 1, Bytes: 5 << 49, TotalBytes: 5 << 50},
		"0 of 2 jobs, 0% of 2.0 MiB, 2s left":   {Total: 2, TotalBytes: 2 << 20, Left: 1600 * time.Millisecond},
		"0 of 2 jobs, 0% of 1.0 GiB, 1m0s left": {Total: 2, TotalBytes: 1 << 30, Left: time.Minute},
	} {
		testutil.Equals(t, want, p.String())
	}
}
