package compact_test

import (
	"context"
	"errors"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// What a job has made that is not done is uploaded after a restart as it is, unless
// other resolutions are to be made by then.
func TestOutputsAfterRestart(t *testing.T) {
	t.Parallel()
	blocks := objstore.NewInMemBucket()
	for _, k := range []int64{0, 5, 6} {
		upload(t, blocks, "a", 3, int64(1400)*14*24*hourMS+k*8*hourMS, 8)
	}
	for name, tc := range map[string]struct {
		downsampling compact.Downsampling
		want         []block.Resolution
		merges       int
	}{
		"the same":        {compact.DownsampleAll, []block.Resolution{block.Raw, block.FiveMinutes}, 0},
		"not downsampled": {compact.DownsampleNone, []block.Resolution{block.Raw}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bkt, dir := &hooked{Bucket: copyOf(t, blocks)}, t.TempDir()
			bkt.upload = func(string) error { return errRefused }
			c, err := compact.New(bkt, dir, nil)
			testutil.Ok(t, err)
			_, err = c.RunOnce(t.Context())
			testutil.Assert(t, errors.Is(err, errRefused), "%v", err)
			testutil.Ok(t, c.Close())

			bkt.upload = nil
			c, err = compact.New(bkt, dir, &compact.Options{Downsampling: tc.downsampling})
			testutil.Ok(t, err)
			defer func() { testutil.Ok(t, c.Close()) }()
			merges := 0
			c.SetMerge(func(_ context.Context, _ *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
				merges++
				return merge()
			})
			r, err := c.RunOnce(t.Context())
			testutil.Ok(t, err)
			var got []block.Resolution
			for _, m := range r.Uploaded {
				got = append(got, m.Resolution())
			}
			testutil.Equals(t, tc.want, got)
			testutil.Equals(t, tc.merges, merges)
		})
	}
}
