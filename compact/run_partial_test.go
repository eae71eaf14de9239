package compact_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// Deletions of uploads that nobody goes on with are counted as attempts, too,
// whether they come to their end or not; those of marked blocks are not, nor what
// was looked at and left alone.
func TestPartialAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bkt, reg := &hooked{Bucket: objstore.NewInMemBucket()}, prometheus.NewRegistry()
		c, err := compact.New(bkt, t.TempDir(), &compact.Options{Registerer: reg, PartialAge: 72 * time.Hour})
		testutil.Ok(t, err)
		defer func() { testutil.Ok(t, c.Close()) }()
		clean := func(refused bool, attempts, cleaned float64, want ...ulid.ULID) {
			t.Helper()
			deleted, err := c.Clean(t.Context())
			testutil.Equals(t, refused, err != nil, "%v", err)
			testutil.Equals(t, want, deleted)
			testutil.Equals(t, attempts, valueOf(t, reg, "thanos_compact_aborted_partial_uploads_deletion_attempts_total"))
			testutil.Equals(t, cleaned, valueOf(t, reg, "thanos_compact_blocks_cleaned_total"))
		}
		partial, marked := ulid.MustNewDefault(time.Now()), upload(t, bkt, "a", 1, jobStart, 2).ULID
		testutil.Ok(t, bkt.Upload(t.Context(), block.ObjectName(partial, block.IndexFile), strings.NewReader("index")))
		_, err = block.PutMark(t.Context(), bkt, block.Mark{Kind: block.DeletionMark, Block: marked})
		testutil.Ok(t, err)
		<-time.After(49 * time.Hour)
		clean(false, 0, 1, marked)
		<-time.After(24 * time.Hour)
		bkt.del = func(string) error { return errRefused }
		clean(true, 1, 1)
		bkt.del = nil
		clean(false, 2, 2, partial)
		clean(false, 2, 2)
	})
}
