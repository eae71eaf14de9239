package block_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

func TestVerifyGoodBlocks(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(3, &blocktest.RandomOptions{Series: 40, Jitter: 900, Gaps: 0.1, Samples: 1000})
	for _, res := range []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour} {
		s := series
		if res != block.Raw {
			s = blocktest.Downsample(res, series...)
		}
		dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{Resolution: res, SegmentSize: 20_000}, s...)
		for _, depth := range []block.VerifyDepth{block.VerifySamples, block.VerifyChecksums, block.VerifyIndex} {
			report, err := block.Verify(context.Background(), dir, &block.VerifyOptions{Depth: depth})
			testutil.Ok(t, err)
			testutil.Ok(t, report.Err())
			testutil.Assert(t, !report.Unreadable())
			testutil.Equals(t, uint64(40), report.Stats.NumSeries)
		}
	}
	_ = fmt.Sprint
}
