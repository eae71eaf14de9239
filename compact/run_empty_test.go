package compact_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// Jobs of which nothing comes are done once: what has nothing to downsample is
// marked so, whether it was there or has just been made, and what has no samples is
// replaced by nothing.
func TestJobsOfWhichNothingComes(t *testing.T) {
	t.Parallel()
	const days = 24 * int64(time.Hour/time.Millisecond)
	from := int64(1400) * 14 * days
	stale := blocktest.Sample{T: from + 1, F: math.Float64frombits(value.StaleNaN)}
	gone := blocktest.Series(labels.FromStrings("__name__", "up"), stale, blocktest.Sample{T: from + 2, F: stale.F})
	type source struct {
		res    block.Resolution
		days   int64
		series []block.Series
	}
	var (
		rawGone   = source{block.Raw, 2, []block.Series{gone}}
		rawEmpty  = source{block.Raw, 2, []block.Series{{Labels: gone.Labels}}}
		fiveEmpty = source{block.FiveMinutes, 10, []block.Series{{Labels: gone.Labels}}}
	)
	for name, tcase := range map[string]struct {
		sources                   []source
		compactions, downsampling int
		left                      int  // blocks that are there at the end and stay
		marked                    bool // as having nothing to downsample
	}{
		"5m of stale markers":           {[]source{rawGone}, 0, 1, 1, true},
		"5m of compacted stale markers": {[]source{rawGone, rawGone}, 1, 1, 1, true},
		"5m of no chunks":               {[]source{rawEmpty}, 0, 1, 1, true},
		"1h of no chunks":               {[]source{fiveEmpty}, 0, 1, 1, true},
		"no chunks, compacted":          {[]source{rawEmpty, rawEmpty}, 1, 0, 0, false},
		"5m of no chunks, compacted":    {[]source{fiveEmpty, fiveEmpty}, 1, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bkt, dir := objstore.NewInMemBucket(), t.TempDir()
			for _, s := range tcase.sources {
				built := blocktest.Build(t, dir, &blocktest.Options{
					MinTime: from, MaxTime: from + s.days*days, Level: 4, Source: block.SourceCompactor, Resolution: s.res, Unchecked: true,
				}, s.series...)
				testutil.Ok(t, os.MkdirAll(filepath.Join(built, block.ChunksDir), 0o750))
				_, err := block.Upload(t.Context(), bkt, built, nil)
				testutil.Ok(t, err)
			}
			c, err := compact.New(bkt, t.TempDir(), nil)
			testutil.Ok(t, err)
			defer func() { testutil.Ok(t, c.Close()) }()
			r, err := c.RunOnce(t.Context())
			testutil.Ok(t, err)
			testutil.Equals(t, tcase.compactions, r.Compactions)
			testutil.Equals(t, tcase.downsampling, r.Downsamplings)
			testutil.Equals(t, 0, len(r.Plan.Jobs)+r.Plan.Remaining.Compactions+r.Plan.Remaining.Downsamplings)
			r, err = c.RunOnce(t.Context())
			testutil.Ok(t, err)
			testutil.Equals(t, 0, r.Compactions+r.Downsamplings+len(r.Uploaded)+len(r.Marked))

			left := slices.DeleteFunc(blocksIn(t, bkt), func(id ulid.ULID) bool {
				_, err := block.ReadMark(t.Context(), bkt, id, block.DeletionMark)
				return err == nil
			})
			testutil.Equals(t, tcase.left, len(left))
			for _, id := range left {
				mark, err := block.ReadMark(t.Context(), bkt, id, block.NoDownsampleMark)
				testutil.Equals(t, tcase.marked, err == nil && mark.Reason == compact.ReasonNothingLeft, "%v", err)
			}
		})
	}
}

// blocksIn returns the blocks of a bucket, ascending.
func blocksIn(t *testing.T, bkt objstore.Bucket) (ids []ulid.ULID) {
	t.Helper()
	testutil.Ok(t, bkt.Iter(t.Context(), "", func(name string) error {
		id, ok := block.ParseID(name)
		if !ok {
			return errors.New(name)
		}
		ids = append(ids, id)
		return nil
	}))
	return ids
}
