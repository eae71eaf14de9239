package bucketratio_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/interop/internal/gateway"
)

// latency of the bucket, per request.
const latency = 20 * time.Millisecond

// spent is what a call asked of the bucket.
type spent struct {
	requests, trips int
	bytes           int64
}

func (s spent) String() string {
	return fmt.Sprintf("%3d requests, %8d bytes, %d trips", s.requests, s.bytes, s.trips)
}

// TestRequests counts what both gateways ask of a bucket to answer the same call:
// cold, that is with index headers and nothing else, and warm, that is again, with
// an index cache. What is counted is the same each time.
func TestRequests(t *testing.T) {
	s := shape{blocks: 4, series: 5000}
	with, without := objstore.NewInMemBucket(), objstore.NewInMemBucket()
	s.put(t, with, without)
	const always = 1000
	for _, tc := range []struct {
		question
		// How many times as many bytes Thanos reads at least, cold: from blocks with
		// index_stats, and from those without.
		with, without float64
		// How many times as many requests we make at most: where series lie far from
		// each other, we do not read what is between them.
		requests int
	}{
		{s.one("counter", always), 1.5, 5, 1},
		{s.one("constant", always), 1.5, 5, 1},
		{s.one("gauge", always), 1.5, 5, 1},
		{s.one("histogram", always), 1.4, 2.5, 1}, // both read little but its chunks
		{s.one("counter", 1), 1.5, 5, 1},
		{s.scattered(always), 1.3, 3, 4},
		{s.scattered(1), 1.3, 3, 4},
	} {
		hours := (tc.req.MaxTime + 1 - tc.req.MinTime) / hour
		for _, stats := range []bool{true, false} {
			bkt, least := with, tc.with
			if !stats {
				bkt, least = without, tc.without
			}
			t.Run(fmt.Sprintf("%s, %d h, index stats %t", tc.name, hours, stats), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					thanos, ours, sent := spentFor(t, bkt, &tc.question)
					for i, state := range []string{"cold", "warm"} {
						t.Logf("%s: thanos %s; ours %s; thanos reads %.1f times as much; chunks have %d bytes",
							state, thanos[i], ours[i], float64(thanos[i].bytes)/float64(ours[i].bytes), sent)
						testutil.Assert(t, ours[i].trips <= 3-i, "%s: %d trips", state, ours[i].trips)
						testutil.Assert(t, ours[i].trips <= thanos[i].trips, "%s: %d trips", state, ours[i].trips)
						testutil.Assert(t, ours[i].requests <= tc.requests*thanos[i].requests, "%s: %d requests", state, ours[i].requests)
						testutil.Assert(t, ours[i].bytes <= thanos[i].bytes, "%s: %d bytes", state, ours[i].bytes)
					}
					testutil.Assert(t, float64(thanos[0].bytes) >= least*float64(ours[0].bytes), "%d bytes", ours[0].bytes)
				})
			})
		}
	}
}

// TestRequestsFarApart asks for many series of one block that lie so far from each
// other that nothing is worth reading between them, and waits no more for that.
func TestRequestsFarApart(t *testing.T) {
	s := shape{blocks: 1, series: 20_000}
	bkt := objstore.NewInMemBucket()
	s.put(t, bkt, nil)
	q := s.scattered(1)
	synctest.Test(t, func(t *testing.T) {
		thanos, ours, sent := spentFor(t, bkt, &q)
		t.Logf("thanos %s; ours %s; chunks have %d bytes", thanos[0], ours[0], sent)
		testutil.Assert(t, ours[0].trips <= 3, "%d trips", ours[0].trips)
		testutil.Assert(t, ours[0].requests <= 4*thanos[0].requests, "%d requests", ours[0].requests)
		testutil.Assert(t, 20*ours[0].bytes <= thanos[0].bytes, "%d bytes", ours[0].bytes)
	})
}

// spentFor returns what the first and the second call cost each, and how many
// bytes the chunks of the answer have.
func spentFor(t *testing.T, inner objstore.Bucket, q *question) (thanos, ours [2]spent, sent int) {
	ctx := context.Background()
	bkt := blocktest.NewBucket(inner)
	theirDir, ourDir := t.TempDir(), t.TempDir()
	testutil.Ok(t, gateway.Thanos(ctx, t, bkt, theirDir, gateway.Settings{}).Close()) // builds index headers
	testutil.Ok(t, gateway.Ours(ctx, t, bkt, ourDir, gateway.Settings{}).Close())

	theirs := gateway.Thanos(ctx, t, bkt, theirDir, gateway.Settings{Cache: true})
	defer func() { testutil.Ok(t, theirs.Close()) }()
	us := gateway.Ours(ctx, t, bkt, ourDir, gateway.Settings{Cache: true})
	defer func() { testutil.Ok(t, us.Close()) }()
	bkt.Delay(blocktest.Latency(latency))
	for i := range thanos {
		thanos[i] = count(bkt, func() { askThanos(ctx, t, theirs, q) })
		ours[i] = count(bkt, func() { sent = askUs(ctx, t, us, q).bytes })
	}
	bkt.Delay(nil)
	sameAnswers(ctx, t, theirs, us, q)
	return thanos, ours, sent
}

// count returns what is asked of a bucket meanwhile.
func count(bkt *blocktest.Bucket, ask func()) spent {
	bkt.Reset()
	ask()
	st := bkt.Stats()
	return spent{st.Requests, st.Trips, st.Gets().Read}
}
