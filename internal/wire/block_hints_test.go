package wire_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

func TestBlockHints(t *testing.T) {
	t.Parallel()
	h := wire.BlockHints{QueryStats: true, Matchers: []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchRegexp, "__block_id", "01.*"), labels.MustNewMatcher(labels.MatchNotEqual, "zone", ""),
	}}
	a := &store.Any{TypeURL: wire.SeriesRequestHintsType, Value: wire.AppendBlockHints(nil, &h)}
	got, err := wire.DecodeBlockHints(a, wire.SeriesRequestHintsType)
	testutil.Ok(t, err)
	testutil.Assert(t, got.QueryStats)
	same := func(a, b *labels.Matcher) bool { return a.String() == b.String() }
	testutil.Assert(t, slices.EqualFunc(h.Matchers, got.Matchers, same), "%v", got.Matchers)

	none, err := wire.DecodeBlockHints(nil, wire.LabelNamesRequestHintsType)
	testutil.Ok(t, err)
	testutil.Equals(t, wire.BlockHints{}, none)

	for name, bad := range map[string]*store.Any{
		"type":    {TypeURL: wire.LabelNamesRequestHintsType, Value: a.Value},
		"damage":  {TypeURL: a.TypeURL, Value: a.Value[:len(a.Value)-3]},
		"matcher": {TypeURL: a.TypeURL, Value: []byte{0x0a, 4, 8, 2, 0x1a, 0}[:4]},
	} {
		if name == "matcher" {
			bad.Value = []byte{0x0a, 8, 8, 2, 0x12, 1, 'a', 0x1a, 1, '('}
		}
		_, err := wire.DecodeBlockHints(bad, wire.SeriesRequestHintsType)
		testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%s: %v", name, err)
	}
}

func TestQueriedBlocks(t *testing.T) {
	t.Parallel()
	want := []string{"01F", "", "01G"}
	b := wire.AppendQueriedBlocks(nil, want, &wire.QueryStats{Blocks: 3, Postings: wire.DataStats{Requests: 7}})
	got, err := wire.DecodeQueriedBlocks(b)
	testutil.Ok(t, err)
	testutil.Equals(t, want, got)
	// query_stats{blocks_queried: 3, postings_fetch_count: 7}, field 2.
	testutil.Equals(t, []byte{0x12, 4, 1 << 3, 3, 9 << 3, 7}, b[len(b)-6:])
	_, err = wire.DecodeQueriedBlocks(b[:len(b)-1])
	testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err)
}
