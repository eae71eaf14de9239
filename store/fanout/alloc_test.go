package fanout_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// A series of one member, or of replicas that have the same of it, costs no
// allocation, and so is not decoded, whether its member is by itself or in a
// group.
func TestSeriesAreNotDecoded(t *testing.T) {
	const less, more = 64 * 10, 64 * 50
	frames := func(m, series int) []*encoded.Frame {
		ss := make([]*store.Series, series)
		for i := range ss {
			ss[i] = copyOf(benchAnswerSeries(m, i))
		}
		return benchFrames(ss)
	}
	for name, members := range map[string]func(series int) []fanout.Member{
		"one": func(n int) []fanout.Member { return named(replays(frames(0, n))) },
		"several": func(n int) []fanout.Member {
			return named(replays(frames(0, n)), replays(frames(1, n)), replays(frames(2, n)))
		},
		"replicas": func(n int) []fanout.Member { return named(replays(frames(0, n)), replays(frames(0, n))) },
		"group":    func(n int) []fanout.Member { return grouped(replays(frames(0, n)), replays(frames(0, n))) },
	} {
		t.Run(name, func(t *testing.T) {
			allocs := func(n int) float64 {
				f := newFanout(t, nil, members(n)...)
				req := &store.SeriesRequest{MaxTime: 1 << 40}
				return testing.AllocsPerRun(20, func() {
					testutil.Ok(t, f.Series(context.Background(), req, &counter{}))
				})
			}
			// Frames cost some; labels that are decoded cost one at least.
			perSeries := (allocs(more) - allocs(less)) / (more - less)
			testutil.Assert(t, perSeries < 0.5, "%.2f allocations for each series", perSeries)
		})
	}
}

// benchAnswerSeries is one series of a member that no other has.
func benchAnswerSeries(member, i int) *store.Series {
	return series(fmt.Sprintf("metric_%06d_%02d", i, member), chunk(1, 2, "x"), chunk(3, 4, "y"))
}
