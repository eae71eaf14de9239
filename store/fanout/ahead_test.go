package fanout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// TestSendingAhead measures what sending ahead of the merge is good for, in time
// that only members and readers take: 100 members make 50 frames each, one a
// millisecond. The numbers are those of the package documentation.
func TestSendingAhead(t *testing.T) {
	t.Parallel()
	const members, frames = 100, 50
	const frameBytes, answerBytes = 121, members * frames * 121
	data := strings.Repeat("x", 100)
	// One that has to sort has made all frames before it sends one.
	makes := func(tr *tracker, sorts bool, key func(frame int) string) store.Store {
		return store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			for i := range frames {
				d := time.Millisecond
				if sorts {
					d = frames * time.Millisecond
				}
				if !sorts || i == 0 {
					if err := sleep(ctx, d); err != nil {
						return err
					}
				}
				if err := tr.sendFrame(w, series(key(i), chunk(1, 2, data))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	const ms = time.Millisecond
	for name, tc := range map[string]struct {
		disjoint bool // all series of one member come before those of the next
		sorts    bool
		reader   time.Duration // for each series
		ahead    int64         // % of the answer that may be sent ahead
		min, max time.Duration
	}{
		"disjoint, streaming":           {disjoint: true, min: 4800 * ms, max: 5000 * ms},
		"disjoint, a tenth":             {disjoint: true, ahead: 10, min: 2500 * ms, max: 4500 * ms},
		"disjoint, all":                 {disjoint: true, ahead: 100, min: 50 * ms, max: 50 * ms},
		"mixed, streaming":              {min: 4800 * ms, max: 5000 * ms},
		"mixed, a tenth":                {ahead: 10, min: 50 * ms, max: 50 * ms},
		"mixed, streaming, slow reader": {reader: 20 * time.Microsecond, min: 4800 * ms, max: 5100 * ms},
		"mixed, a tenth, slow reader":   {reader: 20 * time.Microsecond, ahead: 10, min: 100 * ms, max: 150 * ms}, // at most as if one had waited for the other,
		"disjoint, sorting, streaming":  {disjoint: true, sorts: true, min: 50 * ms, max: 50 * ms},
		"mixed, sorting, streaming":     {sorts: true, min: 50 * ms, max: 50 * ms},
		"mixed, sorting, tenth, slow":   {sorts: true, ahead: 10, reader: 20 * time.Microsecond, min: 150 * ms, max: 150 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &tracker{}
				stores := make([]store.Store, members)
				for m := range stores {
					stores[m] = makes(tr, tc.sorts, func(f int) string {
						if tc.disjoint {
							return fmt.Sprintf("%03d-%03d", m, f)
						}
						return fmt.Sprintf("%03d-%03d", f, m)
					})
				}
				slices.Reverse(stores)                         // the order of members is not that of their series
				budget := max(1, tc.ahead*answerBytes/100*5/4) // of which a call alone gets four fifths
				f := newFanout(t, &fanout.Options{BufferBytes: budget}, named(stores...)...)
				start, got := time.Now(), 0
				testutil.Ok(t, f.Series(t.Context(), all(), &frameReader{onFrame: func(out *encoded.Frame) error {
					got += len(out.Series)
					<-time.After(tc.reader * time.Duration(len(out.Series)))
					return nil
				}}))
				took := time.Since(start)
				testutil.Equals(t, members*frames, got)
				testutil.Assert(t, took >= tc.min && took <= tc.max, "it took %v", took)
				_, _, peak := tr.alive()
				testutil.Assert(t, int64(peak) <= budget+members*frameBytes, "%d bytes were held", peak)
			})
		})
	}
}
