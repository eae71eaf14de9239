package remoteproto_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

func queries() []remoteproto.Query {
	return []remoteproto.Query{
		{MinTime: -5, MaxTime: math.MaxInt64, Matchers: []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"), labels.MustNewMatcher(labels.MatchNotEqual, "a", ""),
			labels.MustNewMatcher(labels.MatchRegexp, "é", "x|y"), labels.MustNewMatcher(labels.MatchNotRegexp, "b", ".*z"),
		}},
		{MinTime: 1, MaxTime: 2, Hints: &remoteproto.Hints{Step: 15_000, Func: "rate", Grouping: []string{"a", "b"}, By: true, Range: 300_000}},
	}
}

// TestRequest compares with Prometheus' own messages, both ways.
func TestRequest(t *testing.T) {
	t.Parallel()
	b := remoteproto.AppendRequest(nil, queries(), remoteproto.Streamed, remoteproto.Samples)
	want := &prompb.ReadRequest{
		Queries: []*prompb.Query{
			{StartTimestampMs: -5, EndTimestampMs: math.MaxInt64, Matchers: []*prompb.LabelMatcher{
				{Type: prompb.LabelMatcher_EQ, Name: "__name__", Value: "up"}, {Type: prompb.LabelMatcher_NEQ, Name: "a"},
				{Type: prompb.LabelMatcher_RE, Name: "é", Value: "x|y"}, {Type: prompb.LabelMatcher_NRE, Name: "b", Value: ".*z"},
			}},
			{StartTimestampMs: 1, EndTimestampMs: 2, Hints: &prompb.ReadHints{
				StepMs: 15_000, Func: "rate", StartMs: 1, EndMs: 2, Grouping: []string{"a", "b"}, By: true, RangeMs: 300_000,
			}},
		},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES},
	}
	var theirs prompb.ReadRequest
	testutil.Ok(t, theirs.Unmarshal(b))
	testutil.Equals(t, want.String(), theirs.String())

	b, err := want.Marshal()
	testutil.Ok(t, err)
	got, err := remoteproto.ParseRequest(b)
	testutil.Ok(t, err)
	testutil.Equals(t, []remoteproto.ResponseType{remoteproto.Streamed, remoteproto.Samples}, got.Accept)
	testutil.Equals(t, show(queries()), show(got.Queries))
}

func show(qs []remoteproto.Query) (out string) {
	for _, q := range qs {
		out += fmt.Sprint(q.MinTime, q.MaxTime, q.Matchers)
		if q.Hints != nil {
			out += fmt.Sprint(*q.Hints)
		}
	}
	return out
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	query := func(fields ...byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), fields)
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want error
	}{
		{"no message", []byte{0xff}, store.ErrMalformed},
		{"no field number", []byte{0}, store.ErrMalformed},
		{"query", query(0xff), store.ErrMalformed},
		{"matcher", query(0x1a, 1, 0xff), store.ErrMalformed},
		{"hints", query(0x22, 1, 0xff), store.ErrMalformed},
		{"response types", []byte{0x12, 1, 0x80}, store.ErrMalformed},
		{"matcher type", query(0x1a, 2, 0x08, 4), store.ErrInvalidRequest},
		{"regular expression", query(0x1a, 5, 0x08, 2, 0x1a, 1, '('), store.ErrInvalidRequest},
	} {
		_, err := remoteproto.ParseRequest(tc.b)
		testutil.Assert(t, errors.Is(err, tc.want), "%s: %v", tc.name, err)
	}
	// Spans that no duration can hold are none; response types may come unpacked.
	got, err := remoteproto.ParseRequest(slices.Concat(query(slices.Concat([]byte{0x22, 11, 0x08}, protowire.AppendVarint(nil, math.MaxUint64))...), []byte{0x10, 1, 0x10, 0, 0x78, 1}))
	testutil.Ok(t, err)
	testutil.Equals(t, int64(0), got.Queries[0].Hints.Step)
	testutil.Equals(t, []remoteproto.ResponseType{remoteproto.Streamed, remoteproto.Samples}, got.Accept)
}

// TestSamples compares with how Prometheus reads samples.
func TestSamples(t *testing.T) {
	t.Parallel()
	for i := range int64(5) {
		ts := i - 2
		var s prompb.Sample
		testutil.Ok(t, s.Unmarshal(remoteproto.AppendSample(nil, ts, math.Copysign(float64(i), -1))))
		testutil.Equals(t, ts, s.Timestamp)
		testutil.Equals(t, math.Float64bits(math.Copysign(float64(i), -1)), math.Float64bits(s.Value))
		for _, h := range []*histogram.Histogram{tsdbutil.GenerateTestHistogram(i), tsdbutil.GenerateTestGaugeHistogram(i), tsdbutil.GenerateTestCustomBucketsHistogram(i), {}} {
			want := prompb.FromIntHistogram(ts, h)
			want.CustomValues = h.CustomValues // which Prometheus forgets
			var got prompb.Histogram
			testutil.Ok(t, got.Unmarshal(remoteproto.AppendHistogram(nil, ts, h)))
			testutil.Equals(t, want.String(), got.String())
		}
		for _, h := range []*histogram.FloatHistogram{tsdbutil.GenerateTestFloatHistogram(i), tsdbutil.GenerateTestGaugeFloatHistogram(i), tsdbutil.GenerateTestCustomBucketsFloatHistogram(i), {}} {
			want := prompb.FromFloatHistogram(ts, h)
			want.CustomValues = h.CustomValues
			var got prompb.Histogram
			testutil.Ok(t, got.Unmarshal(remoteproto.AppendFloatHistogram(nil, ts, h)))
			testutil.Equals(t, want.String(), got.String())
		}
	}
}

// TestLabelRun: labels come out in canonical form however they are written.
func TestLabelRun(t *testing.T) {
	t.Parallel()
	want := encoded.AppendLabels(nil, labels.FromStrings("a", "1", "b", "2"))
	entry := func(fields ...byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), fields)
	}
	a, b := entry(0x0a, 1, 'a', 0x12, 1, '1'), entry(0x0a, 1, 'b', 0x12, 1, '2')
	canonical := func(message []byte) ([]byte, error) {
		var run remoteproto.LabelRun
		f := remoteproto.NewFields(message)
		for f.Next() {
			if f.IsBytes(1) {
				run.Add(f.From, f.To)
			}
		}
		testutil.Ok(t, f.Err())
		return run.Canonical(message)
	}
	other := protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 7)
	for name, message := range map[string][]byte{
		"as it is":  slices.Concat(a, b, other),
		"unsorted":  slices.Concat(b, a),
		"scattered": slices.Concat(other, a, other, b),
		"no value":  slices.Concat(a, entry(0x0a, 1, 'c'), b),
		"swapped":   slices.Concat(entry(0x12, 1, '1', 0x0a, 1, 'a'), b),
	} {
		got, err := canonical(message)
		testutil.Ok(t, err)
		testutil.Equals(t, string(want), string(got), name)
	}
	for name, message := range map[string][]byte{
		"twice": slices.Concat(a, a), "no name": entry(0x12, 1, '1'), "garbage": entry(0xff),
	} {
		_, err := canonical(message)
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%s: %v", name, err)
	}
}

// FuzzParseRequest: what parses says the same when it is written again.
func FuzzParseRequest(f *testing.F) {
	f.Add(remoteproto.AppendRequest(nil, queries(), remoteproto.Streamed))
	f.Add([]byte{0x10, 1, 0x12, 2, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := remoteproto.ParseRequest(b)
		if err != nil {
			testutil.Assert(t, errors.Is(err, store.ErrMalformed) || errors.Is(err, store.ErrInvalidRequest), "%v", err)
			return
		}
		again, err := remoteproto.ParseRequest(remoteproto.AppendRequest(nil, req.Queries, req.Accept...))
		testutil.Ok(t, err)
		testutil.Equals(t, show(req.Queries), show(again.Queries))
		testutil.Assert(t, slices.Equal(req.Accept, again.Accept))
	})
}
