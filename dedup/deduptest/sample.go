package deduptest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Sample is one sample of a replica or a result.
type Sample struct {
	T    int64              // Time in ms.
	Type chunkenc.ValueType // chunkenc.ValNone only in the zero value.
	// V is the value of a float. A histogram's buckets, count and sum follow
	// from it; it is a whole number that is not negative.
	V float64
	// Hint is a histogram's counter reset hint.
	Hint histogram.CounterResetHint
	// Custom is whether a histogram has custom buckets.
	Custom bool
}

// Equal reports whether s and o are the same sample, floats bit for bit.
func (s Sample) Equal(o Sample) bool {
	return s.T == o.T && s.Type == o.Type && s.Hint == o.Hint && s.Custom == o.Custom && math.Float64bits(s.V) == math.Float64bits(o.V)
}

// String returns the sample as it stands in a timeline.
func (s Sample) String() string {
	return formatTime(s.T) + "=" + s.value()
}

func (s Sample) value() string {
	switch s.Type {
	case chunkenc.ValFloat:
		switch bits := math.Float64bits(s.V); {
		case bits == value.StaleNaN:
			return "stale"
		case math.IsNaN(s.V) && bits != math.Float64bits(math.NaN()):
			return fmt.Sprintf("bits:%016x", bits)
		}
		return strconv.FormatFloat(s.V, 'g', -1, 64)
	case chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
		return s.layout() + strconv.FormatFloat(s.V, 'f', -1, 64) + hintName(s.Hint)
	default:
		return s.Type.String()
	}
}

// layout is how a histogram's value begins.
func (s Sample) layout() string {
	out := "h"
	if s.Type == chunkenc.ValFloatHistogram {
		out = "fh"
	}
	if s.Custom {
		out = "c" + out
	}
	return out
}

// intHistogram is the histogram with integer counts that V and Hint stand for.
func (s Sample) intHistogram() *histogram.Histogram {
	n := int64(s.V)
	h := &histogram.Histogram{
		CounterResetHint: s.Hint,
		Count:            uint64(2*n + 1),
		Sum:              s.V,
		PositiveSpans:    []histogram.Span{{Offset: 0, Length: 2}},
		PositiveBuckets:  []int64{n, 1}, // n, n+1
	}
	if s.Custom {
		h.Schema, h.CustomValues = histogram.CustomBucketsSchema, []float64{1, 10}
	}
	return h
}

// readHistogram is the sample of which h is the histogram. One that no sample
// stands for has NaN as its value and so equals none that was parsed.
func readHistogram(t int64, h *histogram.Histogram) Sample {
	s := Sample{T: t, Type: chunkenc.ValHistogram, V: h.Sum, Hint: h.CounterResetHint, Custom: h.UsesCustomBuckets()}
	if !s.intHistogram().Equals(h) {
		s.V = math.NaN()
	}
	return s
}

// readFloatHistogram does for float counts what readHistogram does.
func readFloatHistogram(t int64, fh *histogram.FloatHistogram) Sample {
	s := Sample{T: t, Type: chunkenc.ValFloatHistogram, V: fh.Sum, Hint: fh.CounterResetHint, Custom: fh.UsesCustomBuckets()}
	if !s.intHistogram().ToFloat(nil).Equals(fh) {
		s.V = math.NaN()
	}
	return s
}

// hintName is how a histogram's value ends for hint.
func hintName(hint histogram.CounterResetHint) string {
	switch hint {
	case histogram.CounterReset:
		return "/reset"
	case histogram.NotCounterReset:
		return "/noreset"
	case histogram.GaugeType:
		return "/gauge"
	default:
		return ""
	}
}

// formatTime writes t in seconds if it has less than eight digits, else in ms.
func formatTime(t int64) string {
	const limit = 10_000_000
	if t <= -limit || t >= limit {
		return strconv.FormatInt(t, 10)
	}
	return strconv.FormatFloat(float64(t)/1000, 'f', -1, 64) + "s"
}

// parseTime reads a duration or a number of ms.
func parseTime(s string) (int64, error) {
	if t, err := strconv.ParseInt(s, 10, 64); err == nil {
		return t, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("parse time %q: neither a duration nor a number of ms", s)
	}
	if d%time.Millisecond != 0 {
		return 0, fmt.Errorf("parse time %q: finer than a ms", s)
	}
	return d.Milliseconds(), nil
}

// parseSamples reads one field, which stands for one sample or a range of them.
func parseSamples(field string) ([]Sample, error) {
	at, val, ok := strings.Cut(field, "=")
	if !ok {
		return nil, fmt.Errorf("parse sample %q: no = between time and value", field)
	}
	if start, rest, ok := strings.Cut(at, ".."); ok {
		end, step, _ := strings.Cut(rest, "/")
		return parseRange(start, end, step, val)
	}
	t, err := parseTime(at)
	if err != nil {
		return nil, err
	}
	s, err := parseValue(val)
	s.T = t
	return []Sample{s}, err
}

// maxRange is how many samples one field may stand for.
const maxRange = 100_000

func parseRange(start, end, step, val string) ([]Sample, error) {
	var times [3]int64
	for i, s := range []string{start, end, step} {
		t, err := parseTime(s)
		if err != nil {
			return nil, err
		}
		times[i] = t
	}
	if times[1] < times[0] || times[2] <= 0 {
		return nil, fmt.Errorf("parse range %s..%s/%s: want START..END/STEP in ascending order", start, end, step)
	}
	steps := uint64(times[1]-times[0]) / uint64(times[2])
	if steps >= maxRange {
		return nil, fmt.Errorf("parse range %s..%s/%s: more than %d samples", start, end, step, maxRange)
	}

	val, inc, ok := strings.Cut(val, "+")
	if !ok {
		return nil, fmt.Errorf("parse values %q: want VALUE+INCREMENT", val)
	}
	s, err := parseValue(val)
	if err != nil {
		return nil, err
	}
	by, err := strconv.ParseFloat(inc, 64)
	if err != nil {
		return nil, fmt.Errorf("parse increment %q: %w", inc, err)
	}
	s.T = times[0]
	out := []Sample{s}
	for range steps {
		s.T += times[2]
		s.V += by
		out = append(out, s)
	}
	return out, nil
}

func parseValue(s string) (Sample, error) {
	text, custom := strings.CutPrefix(s, "c")
	text, isFloatHistogram := strings.CutPrefix(text, "fh")
	isHistogram := isFloatHistogram
	if !isHistogram {
		text, isHistogram = strings.CutPrefix(text, "h")
	}
	if !isHistogram {
		v, err := parseFloat(s)
		return Sample{Type: chunkenc.ValFloat, V: v}, err
	}

	out := Sample{Type: chunkenc.ValHistogram, Custom: custom}
	if isFloatHistogram {
		out.Type = chunkenc.ValFloatHistogram
	}
	for _, hint := range []histogram.CounterResetHint{histogram.CounterReset, histogram.NotCounterReset, histogram.GaugeType} {
		if number, ok := strings.CutSuffix(text, hintName(hint)); ok {
			out.Hint, text = hint, number
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return Sample{}, fmt.Errorf("parse histogram %q: %w", s, err)
	}
	out.V = float64(n)
	return out, nil
}

func parseFloat(s string) (float64, error) {
	if s == "stale" {
		return math.Float64frombits(value.StaleNaN), nil
	}
	if digits, ok := strings.CutPrefix(s, "bits:"); ok {
		bits, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			return 0, fmt.Errorf("parse value %q: %w", s, err)
		}
		return math.Float64frombits(bits), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("parse value %q: %w", s, err)
	}
	return v, nil
}
