package bucketstore_test

import (
	"context"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
)

// TestEndsOfBlocks has blocks with a gap of a millisecond, and asks for labels at
// their ends: ranges of blocks are half-open.
func TestEndsOfBlocks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt := newBucket()
	for name, from := range map[string]int64{"a": 0, "b": 100, "c": 201} {
		put(t, bkt, &blocktest.Options{MinTime: from, MaxTime: from + 100}, blocktest.Floats(labels.FromStrings("__name__", name), from, 1, 1))
	}
	s := open(t, bkt, nil)
	info, err := s.Describe(ctx)
	testutil.Ok(t, err)
	var ranges [][2]int64
	for _, x := range info.TSDBs {
		ranges = append(ranges, [2]int64{x.MinTime, x.MaxTime})
	}
	testutil.Equals(t, [][2]int64{{0, 199}, {201, 300}}, ranges)
	for _, tc := range []struct {
		mint, maxt int64
		want       []string
	}{
		{0, 99, []string{"a"}}, {99, 100, []string{"a", "b"}}, {100, 199, []string{"b"}}, {200, 200, nil}, {200, 201, []string{"c"}}, {300, 300, []string{"c"}}, {301, 400, nil},
	} {
		got, err := s.LabelValues(ctx, &store.LabelValuesRequest{Label: "__name__", MinTime: tc.mint, MaxTime: tc.maxt})
		testutil.Ok(t, err)
		testutil.Assert(t, len(got) == len(tc.want), "%d..%d: %v", tc.mint, tc.maxt, got)
		for i := range got {
			testutil.Equals(t, tc.want[i], got[i])
		}
	}
}
