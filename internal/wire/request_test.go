package wire_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// requireSameMatchers compares matchers by what they say.
func requireSameMatchers(t testing.TB, want, got []*labels.Matcher) {
	t.Helper()
	testutil.Equals(t, fmt.Sprint(want), fmt.Sprint(got))
}

func requireSameRequest(t testing.TB, want, got *store.SeriesRequest) {
	t.Helper()
	requireSameMatchers(t, want.Matchers, got.Matchers)
	x, y := *want, *got
	x.Matchers, y.Matchers = nil, nil
	testutil.Equals(t, x, y)
}

func TestSeriesRequestRoundTrip(t *testing.T) {
	r := random{rand.New(rand.NewSource(1))}
	for range 3000 {
		want, batch := r.seriesRequest()
		b := wire.AppendSeriesRequest([]byte("kept"), want, batch)
		testutil.Equals(t, "kept", string(b[:4]))
		got, gotBatch, err := wire.DecodeSeriesRequest(b[4:])
		testutil.Ok(t, err)
		clear(b) // the result must not need it
		requireSameRequest(t, want, got)
		testutil.Equals(t, batch, gotBatch)
	}
}

func TestLabelRequestsRoundTrip(t *testing.T) {
	r := random{rand.New(rand.NewSource(2))}
	for range 3000 {
		names := store.LabelNamesRequest{
			MinTime: r.time(), MaxTime: r.time(), Matchers: r.matchers(), Strategy: r.strategy(),
			WithoutReplicaLabels: r.strings(), Limit: r.Intn(3), StoreHints: r.any(),
		}
		b := wire.AppendLabelNamesRequest(nil, &names)
		gotNames, err := wire.DecodeLabelNamesRequest(b)
		testutil.Ok(t, err)
		clear(b)
		requireSameMatchers(t, names.Matchers, gotNames.Matchers)
		names.Matchers, gotNames.Matchers = nil, nil
		testutil.Equals(t, names, *gotNames)

		values := store.LabelValuesRequest{
			Label: r.string(), MinTime: r.time(), MaxTime: r.time(), Matchers: r.matchers(), Strategy: r.strategy(),
			WithoutReplicaLabels: r.strings(), Limit: r.Intn(3), StoreHints: r.any(),
		}
		b = wire.AppendLabelValuesRequest(nil, &values)
		gotValues, err := wire.DecodeLabelValuesRequest(b)
		testutil.Ok(t, err)
		clear(b)
		requireSameMatchers(t, values.Matchers, gotValues.Matchers)
		values.Matchers, gotValues.Matchers = nil, nil
		testutil.Equals(t, values, *gotValues)
	}
}

func TestStringsRoundTrip(t *testing.T) {
	r := random{rand.New(rand.NewSource(3))}
	for range 3000 {
		want := wire.Strings{Values: r.strings(), Warnings: r.strings(), Hints: r.any()}
		b := wire.AppendStrings(nil, &want)
		got, err := wire.DecodeStrings(b)
		testutil.Ok(t, err)
		clear(b)
		testutil.Equals(t, want, *got)
	}
}

// What the decoder makes of fields that no encoder of ours writes, or not so.
func TestDecodeSeriesRequestLeniently(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want store.SeriesRequest
	}{
		"nothing":                         {nil, store.SeriesRequest{}},
		"unknown fields":                  {unknown(), store.SeriesRequest{}},
		"the last of several counts":      {join(varint(1, 1), varint(1, 2)), store.SeriesRequest{MinTime: 2}},
		"partial responses disabled":      {varint(6, 1), store.SeriesRequest{Strategy: store.Abort}},
		"disabled, and the strategy WARN": {join(varint(6, 1), varint(7, 0)), store.SeriesRequest{Strategy: store.Abort}},
		"not disabled, strategy ABORT":    {join(varint(6, 0), varint(7, 1)), store.SeriesRequest{Strategy: store.Abort}},
		"unknown strategy":                {varint(7, 2), store.SeriesRequest{}},
		"bool that is not 1":              {varint(8, 1<<40), store.SeriesRequest{SkipChunks: true}},
		"deprecated step and range":       {join(varint(10, 15), varint(11, 60)), store.SeriesRequest{}},
		"aggregates one by one":           {join(varint(5, 1), varint(5, 5)), store.SeriesRequest{Aggregates: store.AggregateCount | store.AggregateCounter}},
		"aggregates packed":               {bytesField(5, []byte{2, 3, 4}), store.SeriesRequest{Aggregates: store.AggregateSum | store.AggregateMin | store.AggregateMax}},
		"aggregates RAW and unknown":      {bytesField(5, []byte{0, 6, 0x80, 1}), store.SeriesRequest{}},
		"aggregate that wraps":            {varint(5, 1<<32|1), store.SeriesRequest{Aggregates: store.AggregateCount}},
		"resolution of all time":          {varint(4, math.MaxInt64), store.SeriesRequest{MaxResolution: math.MaxInt64}},
		"resolution below all time":       {varint(4, 1<<63), store.SeriesRequest{MaxResolution: math.MinInt64}},
		"negative limit":                  {varint(15, 1<<63), store.SeriesRequest{}},
		"empty messages": {
			join(bytesField(9), bytesField(12), bytesField(13)),
			store.SeriesRequest{StoreHints: &store.Any{}, Hints: &store.QueryHints{}, Shard: &store.Shard{}},
		},
		"messages merge": {
			join(
				bytesField(12, varint(1, 5), bytesField(2, stringField(1, "rate"))), bytesField(12, bytesField(4, varint(1, 1), stringField(3, "a"))),
				bytesField(12, bytesField(4, stringField(3, "b")), bytesField(5, varint(1, 7))),
				bytesField(13, varint(1, 1)), bytesField(13, varint(2, 3), stringField(4, "x")),
				bytesField(9, stringField(1, "url")), bytesField(9, stringField(2, "value")),
			),
			store.SeriesRequest{
				Hints: &store.QueryHints{Step: 5 * time.Millisecond, Func: "rate", By: true, Grouping: []string{"a", "b"}, Range: 7 * time.Millisecond},
				Shard: &store.Shard{Index: 1, Total: 3, Labels: []string{"x"}}, StoreHints: &store.Any{TypeURL: "url", Value: []byte("value")},
			},
		},
		"unknown fields in messages": {
			join(
				bytesField(3, unknown(), stringField(2, "a")), bytesField(9, unknown()), bytesField(13, unknown()),
				bytesField(12, unknown(), bytesField(2, unknown()), bytesField(4, unknown()), bytesField(5, unknown())),
			),
			store.SeriesRequest{
				Matchers:   []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "")},
				StoreHints: &store.Any{}, Hints: &store.QueryHints{}, Shard: &store.Shard{},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, batch, err := wire.DecodeSeriesRequest(c.in)
			testutil.Ok(t, err)
			testutil.Equals(t, 0, batch)
			requireSameRequest(t, &c.want, got)
		})
	}
	_, batch, err := wire.DecodeSeriesRequest(varint(16, 1<<63))
	testutil.Ok(t, err)
	testutil.Equals(t, 0, batch)
}

func TestDisabledPartialResponseOfLabelRequests(t *testing.T) {
	names, err := wire.DecodeLabelNamesRequest(varint(1, 1))
	testutil.Ok(t, err)
	testutil.Equals(t, store.Abort, names.Strategy)
	values, err := wire.DecodeLabelValuesRequest(varint(2, 1))
	testutil.Ok(t, err)
	testutil.Equals(t, store.Abort, values.Strategy)
}

// Matchers that no request can mean; fields of LabelMatcher are the same in all
// requests.
func TestDecodeRequestsWithInvalidMatchers(t *testing.T) {
	for name, m := range map[string][]byte{
		"unknown type":  varint(1, 4),
		"negative type": varint(1, math.MaxUint64),
		"bad regex":     join(varint(1, 2), stringField(2, "a"), stringField(3, "(")),
		"bad no-regex":  join(varint(1, 3), stringField(2, "a"), stringField(3, "[")),
	} {
		t.Run(name, func(t *testing.T) {
			for field, decode := range requestDecoders() {
				err := decode(bytesField(field, m))
				testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%v", err)
				testutil.Assert(t, !errors.Is(err, store.ErrMalformed), "%v", err)
			}
		})
	}
}

// requestDecoders are those of all requests, by the number of their matchers.
func requestDecoders() map[protowire.Number]func([]byte) error {
	return map[protowire.Number]func([]byte) error{
		3: func(b []byte) error { _, _, err := wire.DecodeSeriesRequest(b); return err },
		6: func(b []byte) error { _, err := wire.DecodeLabelNamesRequest(b); return err },
		7: func(b []byte) error { _, err := wire.DecodeLabelValuesRequest(b); return err },
	}
}
