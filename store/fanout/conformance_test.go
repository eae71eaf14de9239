package fanout_test

import (
	"strconv"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestConformance runs the kit over fan-outs whose members share the fixture in
// every way there is: by series, by chunk, and as replicas that hold the same.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		// holds says whether a member has the i-th chunk of the s-th series.
		holds func(member, s, i int) bool
		group string
		wrap  []store.Middleware
		// branched says that each member is merged in a branch of its own.
		branched bool
	}{
		{name: "chunks apart", holds: func(member, s, i int) bool { return (s+i)%3 == member }},
		{name: "everything twice", holds: func(member, s, i int) bool { return (s+i)%3 != member }},
		{name: "everything twice, in branches", holds: func(member, s, i int) bool { return (s+i)%3 != member }, branched: true},
		{name: "declared replicas", holds: func(int, int, int) bool { return true }, group: "replicas"},
		{name: "series apart, with members that can only send them", holds: func(member, s, _ int) bool { return s%3 == member }, wrap: []store.Middleware{bare}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{New: func(t testing.TB, f *storetest.Fixture) store.Store {
				var members []fanout.Member
				for m := range 3 {
					s := memstore.New(nil)
					for n, series := range f.Series() {
						var own []store.Chunk
						for i, c := range series.Chunks {
							if tc.holds(m, n, i) {
								own = append(own, c)
							}
						}
						testutil.Ok(t, s.AddSeries(&store.Series{Labels: series.Labels, Chunks: own}))
					}
					for _, d := range f.Downsampled() {
						if tc.holds(m, 0, 0) {
							testutil.Ok(t, s.AddDownsampled(d.Resolution, d.Series))
						}
					}
					wrapped := store.Wrap(s, append(tc.wrap, store.WithExternalLabels(f.ExternalLabels()))...)
					members = append(members, fanout.Member{Name: strconv.Itoa(m), Group: tc.group, Store: wrapped})
				}
				s, err := fanout.New(fanout.Static(members...), nil)
				testutil.Ok(t, err)
				testutil.Ok(t, s.Sync(t.Context()))
				if tc.branched {
					return fanout.Branch(s)
				}
				return s
			}})
		})
	}
}

// bare hides what a Store can do beside sending series.
func bare(s store.Store) store.Store { return store.Func(s.Series) }
