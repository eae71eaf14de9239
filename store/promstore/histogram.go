package promstore

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/rechunk"
	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

// histogramCursor moves over the native histograms of a TimeSeries. It parses
// them into the same memory again and again, as encoders allow.
type histogramCursor struct {
	fields  remoteproto.Fields
	ok      bool // it is at a histogram
	t       int64
	isFloat bool // it is float, else integer
	integer histogram.Histogram
	float   histogram.FloatHistogram

	message histogramMessage
}

// histogramMessage is a Histogram as it is on the wire, numbers unconverted.
type histogramMessage struct {
	t                              int64
	hasCount, isFloat              bool
	count, zeroCount               uint64 // float64 bits if isFloat
	sum, zeroThreshold             float64
	schema                         int32
	negativeSpans, positiveSpans   []histogram.Span
	negativeDeltas, positiveDeltas []int64
	negativeCounts, positiveCounts []float64
	customValues                   []float64
	hint                           histogram.CounterResetHint
}

// next parses the next Histogram.
//
// Errors: store.ErrMalformed if it is none, or its buckets are not those that
// its spans promise; ErrBucketBounds.
func (c *histogramCursor) next() error {
	c.ok = false
	for !c.ok && c.fields.Next() {
		c.ok = c.fields.IsBytes(4)
	}
	if !c.ok {
		return c.fields.Err()
	}
	m := &c.message
	if err := m.parse(c.fields.Bytes); err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return err
	}
	c.t, c.isFloat = m.t, m.isFloat
	if m.isFloat {
		c.float = histogram.FloatHistogram{
			CounterResetHint: m.hint, Schema: m.schema, ZeroThreshold: m.zeroThreshold,
			ZeroCount: math.Float64frombits(m.zeroCount), Count: math.Float64frombits(m.count), Sum: m.sum,
			PositiveSpans: m.positiveSpans, NegativeSpans: m.negativeSpans,
			PositiveBuckets: m.positiveCounts, NegativeBuckets: m.negativeCounts, CustomValues: m.customValues,
		}
		return nil
	}
	c.integer = histogram.Histogram{
		CounterResetHint: m.hint, Schema: m.schema, ZeroThreshold: m.zeroThreshold,
		ZeroCount: m.zeroCount, Count: m.count, Sum: m.sum,
		PositiveSpans: m.positiveSpans, NegativeSpans: m.negativeSpans,
		PositiveBuckets: m.positiveDeltas, NegativeBuckets: m.negativeDeltas, CustomValues: m.customValues,
	}
	return nil
}

// append appends the histogram to e.
func (c *histogramCursor) append(e *rechunk.Encoder) error {
	if c.isFloat {
		return e.FloatHistogram(c.t, &c.float)
	}
	return e.Histogram(c.t, &c.integer)
}

// parse parses a Histogram, over what was there before.
//
// Source: Histogram in Prometheus' prompb/types.proto. It is one with float
// counts if field 2 is there.
func (m *histogramMessage) parse(b []byte) error {
	*m = histogramMessage{
		negativeSpans: m.negativeSpans[:0], positiveSpans: m.positiveSpans[:0],
		negativeDeltas: m.negativeDeltas[:0], positiveDeltas: m.positiveDeltas[:0],
		negativeCounts: m.negativeCounts[:0], positiveCounts: m.positiveCounts[:0],
		customValues: m.customValues[:0],
	}
	f := remoteproto.NewFields(b)
	for f.Next() {
		if err := m.field(&f); err != nil {
			return err
		}
	}
	if f.Err() == nil && !m.hasCount {
		return fmt.Errorf("%w: native histogram without a count", store.ErrMalformed)
	}
	return f.Err()
}

// field takes one field.
func (m *histogramMessage) field(f *remoteproto.Fields) (err error) {
	switch f.Num {
	case 1:
		m.count, m.hasCount, m.isFloat = f.Bits, true, false
	case 2:
		m.count, m.hasCount, m.isFloat = f.Bits, true, true
	case 3:
		m.sum = math.Float64frombits(f.Bits)
	case 4:
		m.schema = int32(protowire.DecodeZigZag(f.Bits & math.MaxUint32))
	case 5:
		m.zeroThreshold = math.Float64frombits(f.Bits)
	case 6, 7:
		m.zeroCount = f.Bits
	case 8:
		m.negativeSpans, err = appendSpan(m.negativeSpans, f.Bytes)
	case 9:
		m.negativeDeltas, err = appendDeltas(m.negativeDeltas, f)
	case 10:
		m.negativeCounts, err = appendDoubles(m.negativeCounts, f)
	case 11:
		m.positiveSpans, err = appendSpan(m.positiveSpans, f.Bytes)
	case 12:
		m.positiveDeltas, err = appendDeltas(m.positiveDeltas, f)
	case 13:
		m.positiveCounts, err = appendDoubles(m.positiveCounts, f)
	case 14:
		if f.Bits <= uint64(histogram.GaugeType) { // what may be added counts as unknown
			m.hint = histogram.CounterResetHint(f.Bits)
		}
	case 15:
		m.t = int64(f.Bits)
	case 16:
		m.customValues, err = appendDoubles(m.customValues, f)
	}
	return err
}

// check compares what the encoders of chunks rely on.
func (m *histogramMessage) check() error {
	negative, positive := len(m.negativeDeltas), len(m.positiveDeltas)
	if m.isFloat {
		negative, positive = len(m.negativeCounts), len(m.positiveCounts)
	}
	if err := checkBuckets(m.negativeSpans, negative); err != nil {
		return err
	}
	if err := checkBuckets(m.positiveSpans, positive); err != nil {
		return err
	}
	if histogram.IsCustomBucketsSchema(m.schema) {
		return checkBounds(m.positiveSpans, len(m.customValues))
	}
	return nil
}

// appendSpan parses a BucketSpan.
func appendSpan(spans []histogram.Span, b []byte) ([]histogram.Span, error) {
	var s histogram.Span
	f := remoteproto.NewFields(b)
	for f.Next() {
		switch {
		case f.IsVarint(1):
			s.Offset = int32(protowire.DecodeZigZag(f.Bits & math.MaxUint32))
		case f.IsVarint(2):
			s.Length = uint32(f.Bits)
		}
	}
	return append(spans, s), f.Err()
}

// appendDeltas appends a repeated sint64, packed or not.
func appendDeltas(dst []int64, f *remoteproto.Fields) ([]int64, error) {
	if f.Type != protowire.BytesType {
		return append(dst, protowire.DecodeZigZag(f.Bits)), nil
	}
	for b := f.Bytes; len(b) > 0; {
		x, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", store.ErrMalformed, protowire.ParseError(n))
		}
		dst, b = append(dst, protowire.DecodeZigZag(x)), b[n:]
	}
	return dst, nil
}

// appendDoubles appends a repeated double, packed or not.
func appendDoubles(dst []float64, f *remoteproto.Fields) ([]float64, error) {
	if f.Type != protowire.BytesType {
		return append(dst, math.Float64frombits(f.Bits)), nil
	}
	for b := f.Bytes; len(b) > 0; {
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
