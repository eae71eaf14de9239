package wire_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// unhex reads hex bytes; what follows # on a line says what they are.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	testutil.Ok(t, err)
	return b
}

// The golden bytes were written down from storepb/rpc.proto, storepb/types.proto
// and infopb/rpc.proto. Encoding must give them, and decoding what was encoded.

func TestGoldenSeriesRequest(t *testing.T) {
	want := unhex(t, `
		08 e8 07                                  # min_time: 1000
		10 d0 0f                                  # max_time: 2000
		1a 03 12 01 61                            # matchers: EQ a, empty
		1a 08 08 01 12 01 61 1a 01 62             # NEQ a, b
		1a 09 08 02 12 01 61 1a 02 2e 2b          # RE a, .+
		1a 08 08 03 12 01 61 1a 01 63             # NRE a, c
		20 e0 a7 12                               # max_resolution_window: 300000
		2a 03 01 02 05                            # aggregates, packed: COUNT SUM COUNTER
		38 01                                     # partial_response_strategy: ABORT
		40 01                                     # skip_chunks
		4a 06 0a 01 75 12 01 76                   # hints: type_url u, value v
		62 20                                     # query_hints
		   08 98 75                               #   step_millis: 15000
		   12 06 0a 04 72 61 74 65                #   func: rate
		   22 05 08 01 1a 01 78                   #   grouping: by x
		   2a 04 08 e0 d4 03                      #   range: 60000
		   32 01 70                               #   projection_labels: p
		   38 01                                  #   projection_include
		   42 01 68                               #   series_hash_label_name: h
		6a 09 08 01 10 03 18 01 22 01 6c          # shard_info: 1 of 3, by l
		72 01 72                                  # without_replica_labels: r
		78 0a                                     # limit: 10
		80 01 40                                  # response_batch_size: 64
	`)
	req := &store.SeriesRequest{
		MinTime: 1000, MaxTime: 2000,
		Matchers: []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "a", ""), labels.MustNewMatcher(labels.MatchNotEqual, "a", "b"),
			labels.MustNewMatcher(labels.MatchRegexp, "a", ".+"), labels.MustNewMatcher(labels.MatchNotRegexp, "a", "c"),
		},
		MaxResolution: 5 * time.Minute, Aggregates: store.AggregateCount | store.AggregateSum | store.AggregateCounter,
		Strategy: store.Abort, SkipChunks: true, StoreHints: &store.Any{TypeURL: "u", Value: []byte("v")},
		Hints: &store.QueryHints{
			Step: 15 * time.Second, Func: "rate", Grouping: []string{"x"}, By: true, Range: time.Minute,
			ProjectionLabels: []string{"p"}, ProjectionInclude: true, SeriesHashLabel: "h",
		},
		Shard: &store.Shard{Index: 1, Total: 3, By: true, Labels: []string{"l"}}, WithoutReplicaLabels: []string{"r"}, Limit: 10,
	}
	testutil.Equals(t, hex.EncodeToString(want), hex.EncodeToString(wire.AppendSeriesRequest(nil, req, 64)))
	got, batch, err := wire.DecodeSeriesRequest(want)
	testutil.Ok(t, err)
	testutil.Equals(t, 64, batch)
	requireSameRequest(t, req, got)
	testutil.Equals(t, "", hex.EncodeToString(wire.AppendSeriesRequest(nil, &store.SeriesRequest{Limit: -1}, -1)))
}

func TestGoldenLabelNames(t *testing.T) {
	want := unhex(t, `
		10 01                          # partial_response_strategy: ABORT
		18 01                          # start
		20 ff ff ff ff ff ff ff ff ff 01 # end: -1
		2a 03 0a 01 75                 # hints
		32 06 12 01 61 1a 01 62        # matchers: a="b"
		3a 01 72                       # without_replica_labels
		40 05                          # limit
	`)
	req := &store.LabelNamesRequest{
		MinTime: 1, MaxTime: -1, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")},
		Strategy: store.Abort, WithoutReplicaLabels: []string{"r"}, Limit: 5, StoreHints: &store.Any{TypeURL: "u"},
	}
	testutil.Equals(t, hex.EncodeToString(want), hex.EncodeToString(wire.AppendLabelNamesRequest(nil, req)))
}

func TestGoldenLabelValues(t *testing.T) {
	want := unhex(t, `
		0a 01 6c                       # label: l
		18 01                          # partial_response_strategy: ABORT
		20 01                          # start
		28 02                          # end
		32 03 0a 01 75                 # hints
		3a 06 12 01 61 1a 01 62        # matchers: a="b"
		42 01 72                       # without_replica_labels
		48 05                          # limit
	`)
	req := &store.LabelValuesRequest{
		Label: "l", MinTime: 1, MaxTime: 2, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")},
		Strategy: store.Abort, WithoutReplicaLabels: []string{"r"}, Limit: 5, StoreHints: &store.Any{TypeURL: "u"},
	}
	testutil.Equals(t, hex.EncodeToString(want), hex.EncodeToString(wire.AppendLabelValuesRequest(nil, req)))
}

func TestGoldenStrings(t *testing.T) {
	want := unhex(t, `
		0a 01 61  0a 00  0a 01 62      # names, or values: a, empty, b
		12 01 77                       # warnings
		1a 06 0a 01 75 12 01 76        # hints
	`)
	s := &wire.Strings{Values: []string{"a", "", "b"}, Warnings: []string{"w"}, Hints: &store.Any{TypeURL: "u", Value: []byte("v")}}
	testutil.Equals(t, hex.EncodeToString(want), hex.EncodeToString(wire.AppendStrings(nil, s)))
}

func TestGoldenInfo(t *testing.T) {
	want := unhex(t, `
		0a 08 0a 06 0a 01 61 12 01 62  # label_sets: {a="b"}
		12 05 73 74 6f 72 65           # ComponentType: store
		1a 19                          # store
		   08 05                       #   min_time
		   10 06                       #   max_time
		   18 01                       #   supports_sharding
		   28 01                       #   supports_without_replica_labels
		   32 0f                       #   tsdb_infos
		      0a 08 0a 06 0a 01 61 12 01 62 # labels: {a="b"}
		      10 07                    #     min_time
		      18 80 01                 #     max_time
	`)
	i := &store.Info{
		Component: "store", LabelSets: []labels.Labels{labels.FromStrings("a", "b")}, MinTime: 5, MaxTime: 6,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true,
		TSDBs: []store.TSDBInfo{{Labels: labels.FromStrings("a", "b"), MinTime: 7, MaxTime: 128}},
	}
	testutil.Equals(t, hex.EncodeToString(want), hex.EncodeToString(wire.AppendInfo(nil, i)))
}

func TestGoldenResponses(t *testing.T) {
	up := &store.Series{
		Labels: labels.FromStrings("__name__", "up", "job", ""),
		Chunks: []store.Chunk{
			{MinTime: 1, MaxTime: 300, Raw: data(chunkenc.EncXOR, "abc")},
			{MinTime: -1, Aggregated: &store.AggregatedChunk{
				Count: data(chunkenc.EncXOR, "c"), Sum: data(chunkenc.EncFloatHistogram, "s"), Min: data(chunkenc.EncXOR, ""),
				Max: data(chunkenc.EncXOR, "M"), Counter: data(chunkenc.EncHistogram, "C"),
			}},
		},
	}
	const body = `
		0a 0e 0a 08 5f 5f 6e 61 6d 65 5f 5f 12 02 75 70 # labels: __name__="up"
		0a 07 0a 03 6a 6f 62 12 00     # labels: job=""
		12 0c                          # chunks
		   08 01                       #   min_time
		   10 ac 02                    #   max_time: 300
		   1a 05 12 03 61 62 63        #   raw: XOR, which is 0; data
		12 25                          # chunks
		   08 ff ff ff ff ff ff ff ff ff 01 # min_time: -1
		   22 03 12 01 63              #   count
		   2a 05 08 02 12 01 73        #   sum: FLOAT_HISTOGRAM
		   32 00                       #   min: no data
		   3a 03 12 01 4d              #   max
		   42 05 08 01 12 01 43        #   counter: HISTOGRAM
	`
	one := unhex(t, "0a 4e"+body)
	testutil.Equals(t, hex.EncodeToString(one), hex.EncodeToString(encode(t, up)))
	_, got, err := decode(t, one)
	testutil.Ok(t, err)
	requireSeries(t, []*store.Series{up}, got)

	a := &store.Series{Labels: labels.FromStrings("z", "1")}
	batch := unhex(t, "22 5a 0a 4e"+body+"0a 08 0a 06 0a 01 7a 12 01 31")
	testutil.Equals(t, hex.EncodeToString(batch), hex.EncodeToString(encode(t, up, a)))
	_, got, err = decode(t, batch)
	testutil.Ok(t, err)
	requireSeries(t, []*store.Series{up, a}, got)

	testutil.Equals(t, "2200", hex.EncodeToString(encode(t)))
	testutil.Equals(t, "120177", hex.EncodeToString(wire.AppendWarning(nil, "w")))
	testutil.Equals(t, "1a060a0175120176", hex.EncodeToString(wire.AppendHints(nil, &store.Any{TypeURL: "u", Value: []byte("v")})))
}
