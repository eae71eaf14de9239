package compact_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/compact"
)

// BenchmarkMakePlan plans for buckets that nobody has ever compacted, with all that
// is in them past retention.
func BenchmarkMakePlan(b *testing.B) {
	for _, size := range []struct{ groups, blocks int }{{1, 1000}, {1, 10000}, {100, 100}} {
		bkt := newBucket(start)
		for g := range size.groups {
			bkt.fill(0, time.Duration(size.blocks)*2*hour, 2*hour, withLabels("cluster", fmt.Sprint(g)))
		}
		b.Run(fmt.Sprintf("groups=%d/blocks=%d", size.groups, size.blocks), func(b *testing.B) {
			s := bkt.state()
			b.ReportAllocs()
			for b.Loop() {
				p, err := compact.MakePlan(s, &compact.Options{Retention: compact.Retention{Raw: hour}})
				testutil.Ok(b, err)
				testutil.Assert(b, len(p.Jobs) > 0)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size.groups*size.blocks), "ns/block")
		})
	}
}
