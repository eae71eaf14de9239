package shipper_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// Run syncs at once, as soon as there are external labels, and then at intervals,
// and says what is wrong once.
func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	promBlock(t, 0) // outside of the bubble: it starts goroutines of its own
	promBlock(t, 2*hour)
	synctest.Test(t, func(t *testing.T) {
		bkt := blocktest.NewBucket(objstore.NewInMemBucket())
		first := put(t, dir, spec{n: 1, at: 0})
		var log bytes.Buffer
		var named atomic.Bool
		s := newShipper(t, bkt, dir, shipper.Options{
			ExternalLabels: func() labels.Labels {
				if named.Load() {
					return external()
				}
				return labels.EmptyLabels()
			},
			Interval: time.Minute,
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey || a.Key == "duration" || a.Key == "dir" {
					return slog.Attr{}
				}
				return a
			}})),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		lines := func() string {
			synctest.Wait()
			defer log.Reset()
			return log.String()
		}
		testutil.Equals(t, "level=INFO msg=\"blocks not uploaded\" err=\"no external labels\"\n", lines())
		<-time.After(3 * time.Minute)
		testutil.Equals(t, "", lines())

		named.Store(true)
		<-time.After(time.Second)
		testutil.Equals(t, "level=INFO msg=\"block uploaded\" block="+first.String()+" min_time=0 max_time=7170001 level=1\n"+
			"level=INFO msg=\"all blocks uploaded again\"\n", lines())

		second := put(t, dir, spec{n: 2, at: 2})
		bkt.Fail(blocktest.Deny(nil))
		<-time.After(2 * time.Minute)
		got := lines()
		testutil.Equals(t, 1, strings.Count(got, "\n"), got)
		testutil.Assert(t, strings.Contains(got, "look up block "+second.String()) && strings.Contains(got, "access denied"), got)

		cancel()
		testutil.Ok(t, <-ended)
	})
}
