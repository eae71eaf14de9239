package remoteproto

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"google.golang.org/protobuf/encoding/protowire"
)

// AppendSample appends the fields of a Sample at t, in milliseconds.
func AppendSample(b []byte, t int64, v float64) []byte {
	b = append(b, 1<<3|byte(protowire.Fixed64Type))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	return appendVarint(b, 2, uint64(t))
}

// AppendHistogram appends the fields of a Histogram with integer counts at t, in
// milliseconds.
func AppendHistogram(b []byte, t int64, h *histogram.Histogram) []byte {
	b = appendVarint(b, 1, h.Count)
	b = appendDouble(b, 3, h.Sum)
	b = appendVarint(b, 4, protowire.EncodeZigZag(int64(h.Schema)))
	b = appendDouble(b, 5, h.ZeroThreshold)
	b = appendVarint(b, 6, h.ZeroCount)
	b = appendSpans(b, 8, h.NegativeSpans)
	b = appendDeltas(b, 9, h.NegativeBuckets)
	b = appendSpans(b, 11, h.PositiveSpans)
	b = appendDeltas(b, 12, h.PositiveBuckets)
	b = appendVarint(b, 14, uint64(h.CounterResetHint)) // numbered alike
	b = appendVarint(b, 15, uint64(t))
	return appendDoubles(b, 16, h.CustomValues)
}

// AppendFloatHistogram does for histograms with float counts what
// AppendHistogram does for those with integer ones.
func AppendFloatHistogram(b []byte, t int64, h *histogram.FloatHistogram) []byte {
	b = appendDouble(b, 2, h.Count)
	b = appendDouble(b, 3, h.Sum)
	b = appendVarint(b, 4, protowire.EncodeZigZag(int64(h.Schema)))
	b = appendDouble(b, 5, h.ZeroThreshold)
	b = appendDouble(b, 7, h.ZeroCount)
	b = appendSpans(b, 8, h.NegativeSpans)
	b = appendDoubles(b, 10, h.NegativeBuckets)
	b = appendSpans(b, 11, h.PositiveSpans)
	b = appendDoubles(b, 13, h.PositiveBuckets)
	b = appendVarint(b, 14, uint64(h.CounterResetHint))
	b = appendVarint(b, 15, uint64(t))
	return appendDoubles(b, 16, h.CustomValues)
}

func appendDouble(b []byte, num protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), math.Float64bits(v))
}

func appendDoubles(b []byte, num protowire.Number, vs []float64) []byte {
	if len(vs) == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(8*len(vs)))
	for _, v := range vs {
		b = protowire.AppendFixed64(b, math.Float64bits(v))
	}
	return b
}

func appendDeltas(b []byte, num protowire.Number, vs []int64) []byte {
	if len(vs) == 0 {
		return b
	}
	size := 0
	for _, v := range vs {
		size += protowire.SizeVarint(protowire.EncodeZigZag(v))
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	for _, v := range vs {
		b = protowire.AppendVarint(b, protowire.EncodeZigZag(v))
	}
	return b
}

func appendSpans(b []byte, num protowire.Number, spans []histogram.Span) []byte {
	for _, s := range spans {
		offset := protowire.EncodeZigZag(int64(s.Offset))
		size := 2 + protowire.SizeVarint(offset) + protowire.SizeVarint(uint64(s.Length))
		b = protowire.AppendTag(b, num, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(size))
		b = appendVarint(b, 1, offset)
		b = appendVarint(b, 2, uint64(s.Length))
	}
	return b
}
