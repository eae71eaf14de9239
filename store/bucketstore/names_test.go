package bucketstore_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
)

// derived is a Store that answers for labels by its series only.
type derived struct{ store.Store }

// TestLabelsOfSeries compares label names and values with those of the series
// that are sent. Where the index header or postings alone decide, there may be
// more: of series without data in the range.
func TestLabelsOfSeries(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := rand.New(rand.NewSource(3))
	bkt := newBucket()
	for i := range 3 {
		put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", fmt.Sprint(i%2))}, random(r, int64(i)*hour, int64(i+2)*hour)...)
	}
	s := open(t, bkt, nil)
	exact := 0
	for range 300 {
		req := randomRequest(r)
		names := &store.LabelNamesRequest{MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, WithoutReplicaLabels: req.WithoutReplicaLabels, Strategy: store.Abort}
		got, err := s.LabelNames(ctx, names)
		testutil.Ok(t, err)
		want, err := store.LabelNames(ctx, derived{s}, names)
		testutil.Ok(t, err)
		subset(t, want, got, req.String())
		values := &store.LabelValuesRequest{
			Label:   []string{"__name__", "a", "replica", "cluster", "none"}[r.Intn(5)],
			MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, WithoutReplicaLabels: req.WithoutReplicaLabels, Strategy: store.Abort,
		}
		got, err = s.LabelValues(ctx, values)
		testutil.Ok(t, err)
		want, err = store.LabelValues(ctx, derived{s}, values)
		testutil.Ok(t, err)
		subset(t, want, got, values.Label+" of "+req.String())
		if slices.Equal(want, got) {
			exact++
		}
	}
	testutil.Assert(t, exact > 200, "only %d were exact", exact)
}

func subset(t *testing.T, want, got []string, what string) {
	t.Helper()
	testutil.Assert(t, slices.IsSorted(got) && len(slices.Compact(slices.Clone(got))) == len(got), "%s: %v", what, got)
	for _, x := range want {
		testutil.Assert(t, slices.Contains(got, x), "%s: %q is not in %v", what, x, got)
	}
}

// TestLabelValuesByPostings asks for the values of a label that has few, in very
// many series that match: their entries are not read.
func TestLabelValuesByPostings(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt := newBucket()
	var series []block.Series
	for i := range 4000 {
		lset := labels.FromStrings("__name__", "m", "id", fmt.Sprintf("%05d-with-something-to-make-it-longer", i), "zone", fmt.Sprint(i/1000), "odd", fmt.Sprint(i%2))
		if i%40 != 0 {
			lset = labels.NewBuilder(lset).Del("zone").Labels()
		}
		series = append(series, blocktest.Floats(lset, 0, 1000, 1))
	}
	m := put(t, bkt, nil, series...)
	s := open(t, bkt, nil)
	for _, tc := range []struct {
		odd  string
		want []string
	}{{"0", []string{"0", "1", "2", "3"}}, {"1", []string{}}} {
		bkt.Reset()
		got, err := s.LabelValues(ctx, &store.LabelValuesRequest{
			Label: "zone", MaxTime: hour, Matchers: []*labels.Matcher{matcher(labels.MatchEqual, "odd", tc.odd)},
		})
		testutil.Ok(t, err)
		testutil.Assert(t, slices.Equal(tc.want, got), "%v", got)
		testutil.Assert(t, bkt.Stats().Gets().Read < m.IndexSize()/4, "%d of %d bytes read", bkt.Stats().Gets().Read, m.IndexSize())
	}
	got, err := s.LabelValues(ctx, &store.LabelValuesRequest{
		Label: "zone", MaxTime: hour, Matchers: []*labels.Matcher{matcher(labels.MatchRegexp, "id", "0[02].*"), matcher(labels.MatchEqual, "odd", "0")},
	})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"0", "2"}, got)
}
