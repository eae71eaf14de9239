package promstore

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// timedHistogram is a native histogram of either kind.
type timedHistogram struct {
	t       int64
	integer *histogram.Histogram      // nil if float is not
	float   *histogram.FloatHistogram // nil if integer is not
}

// histogramMessage is a Histogram message as it is on the wire, numbers
// unconverted.
type histogramMessage struct {
	t                              int64
	isFloat                        bool
	count, zeroCount               uint64 // float64 bits if isFloat
	sum, zeroThreshold             float64
	schema                         int32
	negativeSpans, positiveSpans   []histogram.Span
	negativeDeltas, positiveDeltas []int64
	negativeCounts, positiveCounts []float64
	customValues                   []float64
	hint                           histogram.CounterResetHint
}

// parseHistogram parses a Histogram.
//
// Errors: store.ErrMalformed if the buckets are not those that its spans
// promise; ErrBucketBounds.
//
// Source: Histogram in Prometheus' prompb/types.proto. It is one with float
// counts if field 2 is there.
func parseHistogram(b []byte) (timedHistogram, error) {
	var m histogramMessage
	if err := eachField(b, m.field); err != nil {
		return timedHistogram{}, err
	}
	negative, positive := len(m.negativeDeltas), len(m.positiveDeltas)
	if m.isFloat {
		negative, positive = len(m.negativeCounts), len(m.positiveCounts)
	}
	if err := checkBuckets(m.negativeSpans, negative); err != nil {
		return timedHistogram{}, err
	}
	if err := checkBuckets(m.positiveSpans, positive); err != nil {
		return timedHistogram{}, err
	}
	if histogram.IsCustomBucketsSchema(m.schema) {
		if err := checkBounds(m.positiveSpans, len(m.customValues)); err != nil {
			return timedHistogram{}, err
		}
	}
	if m.isFloat {
		return timedHistogram{t: m.t, float: &histogram.FloatHistogram{
			CounterResetHint: m.hint, Schema: m.schema, ZeroThreshold: m.zeroThreshold,
			ZeroCount: math.Float64frombits(m.zeroCount), Count: math.Float64frombits(m.count), Sum: m.sum,
			PositiveSpans: m.positiveSpans, NegativeSpans: m.negativeSpans,
			PositiveBuckets: m.positiveCounts, NegativeBuckets: m.negativeCounts, CustomValues: m.customValues,
		}}, nil
	}
	return timedHistogram{t: m.t, integer: &histogram.Histogram{
		CounterResetHint: m.hint, Schema: m.schema, ZeroThreshold: m.zeroThreshold,
		ZeroCount: m.zeroCount, Count: m.count, Sum: m.sum,
		PositiveSpans: m.positiveSpans, NegativeSpans: m.negativeSpans,
		PositiveBuckets: m.positiveDeltas, NegativeBuckets: m.negativeDeltas, CustomValues: m.customValues,
	}}, nil
}

// field takes one field of the message.
func (m *histogramMessage) field(num protowire.Number, typ protowire.Type, v field) (err error) {
	switch num {
	case 1:
		m.count = v.bits
	case 2:
		m.count, m.isFloat = v.bits, true
	case 3:
		m.sum = math.Float64frombits(v.bits)
	case 4:
		m.schema = int32(protowire.DecodeZigZag(v.bits & math.MaxUint32))
	case 5:
		m.zeroThreshold = math.Float64frombits(v.bits)
	case 6, 7:
		m.zeroCount = v.bits
	case 8:
		m.negativeSpans, err = appendSpan(m.negativeSpans, v.bytes)
	case 9:
		m.negativeDeltas, err = appendDeltas(m.negativeDeltas, typ, v)
	case 10:
		m.negativeCounts, err = appendDoubles(m.negativeCounts, typ, v)
	case 11:
		m.positiveSpans, err = appendSpan(m.positiveSpans, v.bytes)
	case 12:
		m.positiveDeltas, err = appendDeltas(m.positiveDeltas, typ, v)
	case 13:
		m.positiveCounts, err = appendDoubles(m.positiveCounts, typ, v)
	case 14:
		if v.bits <= uint64(histogram.GaugeType) { // what may be added counts as unknown
			m.hint = histogram.CounterResetHint(v.bits)
		}
	case 15:
		m.t = int64(v.bits)
	case 16:
		m.customValues, err = appendDoubles(m.customValues, typ, v)
	}
	return err
}

// appendSpan parses a BucketSpan.
func appendSpan(spans []histogram.Span, b []byte) ([]histogram.Span, error) {
	var s histogram.Span
	err := eachField(b, func(num protowire.Number, _ protowire.Type, v field) error {
		switch num {
		case 1:
			s.Offset = int32(protowire.DecodeZigZag(v.bits & math.MaxUint32))
		case 2:
			s.Length = uint32(v.bits)
		}
		return nil
	})
	return append(spans, s), err
}

// appendDeltas appends a repeated sint64, packed or not.
func appendDeltas(dst []int64, typ protowire.Type, v field) ([]int64, error) {
	if typ != protowire.BytesType {
		return append(dst, protowire.DecodeZigZag(v.bits)), nil
	}
	for b := v.bytes; len(b) > 0; {
		x, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", store.ErrMalformed, protowire.ParseError(n))
		}
		dst, b = append(dst, protowire.DecodeZigZag(x)), b[n:]
	}
	return dst, nil
}

// appendDoubles appends a repeated double, packed or not.
func appendDoubles(dst []float64, typ protowire.Type, v field) ([]float64, error) {
	if typ != protowire.BytesType {
		return append(dst, math.Float64frombits(v.bits)), nil
	}
	for b := v.bytes; len(b) > 0; {
		x, n := protowire.ConsumeFixed64(b)
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", store.ErrMalformed, protowire.ParseError(n))
		}
		dst, b = append(dst, math.Float64frombits(x)), b[n:]
	}
	return dst, nil
}

// checkBuckets compares the number of buckets with what the spans say, which
// the encoders of chunks rely on.
func checkBuckets(spans []histogram.Span, buckets int) error {
	want := uint64(0)
	for _, s := range spans {
		want += uint64(s.Length)
	}
	if want != uint64(buckets) {
		return fmt.Errorf("%w: native histogram with spans of %d buckets has %d", store.ErrMalformed, want, buckets)
	}
	return nil
}

// checkBounds reports whether each bucket has a bound, or is the one above the
// last bound.
func checkBounds(spans []histogram.Span, bounds int) error {
	i := int64(0)
	for _, s := range spans {
		i += int64(s.Offset) + int64(s.Length)
	}
	if i > int64(bounds)+1 {
		return fmt.Errorf("%w: %d for bucket %d", ErrBucketBounds, bounds, i-1)
	}
	return nil
}
