package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/store"
)

// sample is a sample in a form in which equal ones are equal: floats by their
// bits, histograms by what their buckets say, however they are laid out.
type sample struct {
	t    int64
	kind chunkenc.ValueType
	bits uint64 // of a float
	text string // of a histogram

	// The histogram itself, in the fixture only.
	h  *histogram.Histogram
	fh *histogram.FloatHistogram
}

func floatSample(t int64, v float64) sample {
	return sample{t: t, kind: chunkenc.ValFloat, bits: math.Float64bits(v)}
}

func histogramSample(t int64, h *histogram.Histogram) sample {
	return sample{t: t, kind: chunkenc.ValHistogram, text: histogramText(h.ToFloat(nil)), h: h}
}

func floatHistogramSample(t int64, fh *histogram.FloatHistogram) sample {
	return sample{t: t, kind: chunkenc.ValFloatHistogram, text: histogramText(fh), fh: fh}
}

func (s sample) float() float64 { return math.Float64frombits(s.bits) }

// histogramText says all that a histogram says but for counter resets, which
// encoders find out for themselves. Equal histograms have equal texts.
func histogramText(fh *histogram.FloatHistogram) string {
	if value.IsStaleNaN(fh.Sum) {
		return "stale"
	}
	fh = fh.Copy().Compact(0) // which lays equal buckets out alike
	var b []byte
	if fh.CounterResetHint == histogram.GaugeType {
		b = append(b, "gauge, "...)
	}
	b = strconv.AppendInt(append(b, "schema "...), int64(fh.Schema), 10)
	b = appendFloats(append(b, ", count "...), fh.Count)
	b = appendFloats(append(b, ", sum "...), fh.Sum)
	b = appendFloats(append(b, ", zero "...), fh.ZeroCount, fh.ZeroThreshold)
	b = appendBuckets(append(b, ", positive "...), fh.PositiveSpans, fh.PositiveBuckets)
	b = appendBuckets(append(b, ", negative "...), fh.NegativeSpans, fh.NegativeBuckets)
	if fh.CustomValues != nil {
		b = appendFloats(append(b, ", bounds "...), fh.CustomValues...)
	}
	return string(b)
}

func appendFloats(b []byte, vs ...float64) []byte {
	b = append(b, '[')
	for i, v := range vs {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return append(b, ']')
}

// appendBuckets shows spans as OFFSET+LENGTH, and buckets.
func appendBuckets(b []byte, spans []histogram.Span, buckets []float64) []byte {
	for _, s := range spans {
		b = strconv.AppendInt(b, int64(s.Offset), 10)
		b = strconv.AppendUint(append(b, '+'), uint64(s.Length), 10)
		b = append(b, ' ')
	}
	return appendFloats(b, buckets...)
}

// String shows the value and its kind.
func (s sample) String() string {
	switch s.kind {
	case chunkenc.ValFloat:
		if s.bits == value.StaleNaN {
			return "stale marker"
		}
		return strconv.FormatFloat(s.float(), 'g', -1, 64)
	case chunkenc.ValHistogram:
		return "histogram {" + s.text + "}"
	case chunkenc.ValFloatHistogram:
		return "float histogram {" + s.text + "}"
	}
	return "nothing"
}

func compareSamples(a, b sample) int {
	return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.kind, b.kind), cmp.Compare(a.bits, b.bits), cmp.Compare(a.text, b.text))
}

func equalSamples(a, b sample) bool { return compareSamples(a, b) == 0 }

// errShort says that a chunk has not even a header.
var errShort = errors.New("chunk too short")

// decode appends the samples of a chunk to dst.
func decode(dst []sample, d store.ChunkData) ([]sample, error) {
	c, err := d.Chunk()
	if err != nil {
		return dst, err
	}
	header := 3 // of histograms
	if d.Encoding == chunkenc.EncXOR {
		header = 2
	}
	if len(d.Bytes) < header {
		return dst, fmt.Errorf("%w: %d bytes", errShort, len(d.Bytes))
	}
	it := c.Iterator(nil)
	for {
		switch vt := it.Next(); vt {
		case chunkenc.ValNone:
			return dst, it.Err()
		case chunkenc.ValFloat:
			t, v := it.At()
			dst = append(dst, floatSample(t, v))
		case chunkenc.ValHistogram:
			t, h := it.AtHistogram(nil)
			s := histogramSample(t, h)
			s.h = nil
			dst = append(dst, s)
		case chunkenc.ValFloatHistogram:
			t, fh := it.AtFloatHistogram(nil)
			s := floatHistogramSample(t, fh)
			s.fh = nil
			dst = append(dst, s)
		default:
			return dst, fmt.Errorf("decode chunk: samples of type %s", vt)
		}
	}
}

// between returns the samples from mint to maxt of samples that ascend.
func between(samples []sample, mint, maxt int64) []sample {
	from, _ := slices.BinarySearchFunc(samples, mint, func(s sample, t int64) int { return cmp.Compare(s.t, t) })
	to := len(samples)
	if maxt < math.MaxInt64 {
		to, _ = slices.BinarySearchFunc(samples, maxt+1, func(s sample, t int64) int { return cmp.Compare(s.t, t) })
	}
	return samples[from:max(from, to)]
}

// diffSamples says how samples that were sent differ from those wanted, of which
// both ascend. It returns the empty string if they do not.
func diffSamples(want, got []sample) string {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got) || i < len(want) && want[i].t < got[i].t:
			return fmt.Sprintf("the sample at %d is missing (%s); %d samples sent, want %d", want[i].t, want[i], len(got), len(want))
		case i >= len(want) || got[i].t < want[i].t:
			return fmt.Sprintf("there is no sample at %d, but %s was sent; %d samples sent, want %d", got[i].t, got[i], len(got), len(want))
		case !equalSamples(want[i], got[i]):
			return fmt.Sprintf("the sample at %d is %s, want %s", got[i].t, got[i], want[i])
		}
	}
	return ""
}

// encode makes chunks of samples that ascend in time, cut as Prometheus' head
// cuts them.
func encode(samples []sample) ([]store.Chunk, error) {
	var out []store.Chunk
	var app *promcompat.Appender
	var c chunkenc.Chunk
	for i, s := range samples {
		prev := app
		fresh := i == 0 || s.kind != samples[i-1].kind || c.NumSamples() >= store.SamplesPerChunk
		if fresh {
			var err error
			if c, err = promcompat.NewChunk(s.kind); err != nil {
				return nil, err
			}
			if app, err = promcompat.NewAppender(c); err != nil {
				return nil, err
			}
		}
		next, recoded, err := appendSample(app, prev, s)
		if err != nil {
			return nil, err
		}
		if next != nil {
			c, fresh = next, !recoded
		}
		if fresh {
			out = append(out, store.Chunk{MinTime: s.t})
		}
		last := &out[len(out)-1]
		last.MaxTime, last.Raw = s.t, store.ChunkData{Encoding: c.Encoding(), Bytes: c.Bytes()}
	}
	return out, nil
}

func appendSample(app, prev *promcompat.Appender, s sample) (next chunkenc.Chunk, recoded bool, err error) {
	switch s.kind {
	case chunkenc.ValHistogram:
		return app.AppendHistogram(prev, s.t, s.h.Copy(), false)
	case chunkenc.ValFloatHistogram:
		return app.AppendFloatHistogram(prev, s.t, s.fh.Copy(), false)
	default:
		app.Append(s.t, s.float())
		return nil, false, nil
	}
}
