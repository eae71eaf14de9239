package httpapi

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// flushBytes is what an encoder holds before it writes.
const flushBytes = 32 << 10

// encoder writes JSON, part by part. Errors are those of the writer; nothing is
// written after the first.
//
// Source: web/api/v1/json_codec.go and util/jsonutil in Prometheus, whose output
// is the same but for bytes that are not UTF-8.
type encoder struct {
	w   io.Writer
	buf []byte
	err error
}

func newEncoder(w io.Writer) *encoder {
	return &encoder{w: w, buf: make([]byte, 0, flushBytes/8)}
}

// close writes what is left.
func (e *encoder) close() error {
	e.flush()
	return e.err
}

func (e *encoder) flush() {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// between is called where the buffer may be written.
func (e *encoder) between() {
	if len(e.buf) >= flushBytes {
		e.flush()
	}
}

func (e *encoder) raw(s string) *encoder {
	e.buf = append(e.buf, s...)
	return e
}

// comma separates the item at i from the one before.
func (e *encoder) comma(i int) {
	e.between()
	if i > 0 {
		e.buf = append(e.buf, ',')
	}
}

// strings writes a field of the envelope, nothing if it is empty.
func (e *encoder) strings(name string, items []string) {
	if len(items) == 0 {
		return
	}
	e.raw(`,"`).raw(name).raw(`":[`)
	for i, s := range items {
		e.comma(i)
		e.string(s)
	}
	e.raw(`]`)
}

// value writes a result of PromQL.
func (e *encoder) value(v parser.Value) {
	switch v := v.(type) {
	case promql.Vector:
		e.raw(`[`)
		for i := range v {
			e.comma(i)
			e.sample(&v[i])
		}
		e.raw(`]`)
	case promql.Matrix:
		e.raw(`[`)
		for i := range v {
			e.comma(i)
			e.series(&v[i])
		}
		e.raw(`]`)
	case promql.Scalar:
		e.timestampOf(v.T).raw(`"`)
		e.buf = strconv.AppendFloat(e.buf, v.V, 'f', -1, 64) // never with an exponent
		e.raw(`"]`)
	case promql.String:
		e.timestampOf(v.T)
		e.string(v.V)
		e.raw(`]`)
	}
}

func (e *encoder) sample(s *promql.Sample) {
	e.raw(`{"metric":`)
	e.labels(s.Metric)
	if s.H == nil {
		e.raw(`,"value":`)
		e.float(s.T, s.F)
	} else {
		e.raw(`,"histogram":`)
		e.histogram(s.T, s.H)
	}
	e.raw(`}`)
}

func (e *encoder) series(s *promql.Series) {
	e.raw(`{"metric":`)
	e.labels(s.Metric)
	if len(s.Floats) > 0 {
		e.raw(`,"values":[`)
		for i, p := range s.Floats {
			e.comma(i)
			e.float(p.T, p.F)
		}
		e.raw(`]`)
	}
	if len(s.Histograms) > 0 {
		e.raw(`,"histograms":[`)
		for i, p := range s.Histograms {
			e.comma(i)
			e.histogram(p.T, p.H)
		}
		e.raw(`]`)
	}
	e.raw(`}`)
}

// float writes a point.
func (e *encoder) float(t int64, v float64) {
	e.timestamp(t)
	e.number(v)
	e.raw(`]`)
}

// timestampOf begins a scalar or a string, whose fraction Prometheus writes
// without zeros at its end.
func (e *encoder) timestampOf(t int64) *encoder {
	e.timestamp(t)
	b := e.buf[:len(e.buf)-1]
	if t%1000 != 0 {
		b = bytes.TrimRight(b, "0")
	}
	e.buf = b
	return e.raw(`,`)
}

// timestamp begins a point: milliseconds as seconds, with a fraction of three
// digits if it is not zero.
func (e *encoder) timestamp(t int64) *encoder {
	e.raw(`[`)
	u := uint64(t)
	if t < 0 {
		e.raw(`-`)
		u = -u
	}
	e.buf = strconv.AppendUint(e.buf, u/1000, 10)
	if ms := u % 1000; ms != 0 {
		e.buf = append(e.buf, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return e.raw(`,`)
}

// number writes a value in quotes, so that it may be NaN or infinite.
func (e *encoder) number(v float64) {
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	e.raw(`"`)
	e.buf = strconv.AppendFloat(e.buf, v, format, -1, 64)
	e.raw(`"`)
}

// histogram writes a point with its buckets that are not empty: which bounds
// belong to the bucket, lower bound, upper bound, count.
func (e *encoder) histogram(t int64, h *histogram.FloatHistogram) {
	e.timestamp(t).raw(`{"count":`)
	e.number(h.Count)
	e.raw(`,"sum":`)
	e.number(h.Sum)
	n := 0
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		if b.Count == 0 {
			continue
		}
		if n == 0 {
			e.raw(`,"buckets":[`)
		}
		e.comma(n)
		e.raw(`[`).raw(bounds(b.LowerInclusive, b.UpperInclusive)).raw(`,`)
		e.number(b.Lower)
		e.raw(`,`)
		e.number(b.Upper)
		e.raw(`,`)
		e.number(b.Count)
		e.raw(`]`)
		n++
	}
	if n > 0 {
		e.raw(`]`)
	}
	e.raw(`}]`)
}

// bounds says which bounds are inclusive.
func bounds(lower, upper bool) string {
	switch {
	case lower && upper:
		return "3"
	case upper:
		return "0"
	case lower:
		return "1"
	}
	return "2"
}

// labels writes a label set as an object.
func (e *encoder) labels(lset labels.Labels) {
	e.raw(`{`)
	i := 0
	lset.Range(func(l labels.Label) {
		e.comma(i)
		e.string(l.Name)
		e.raw(`:`)
		e.string(l.Value)
		i++
	})
	e.raw(`}`)
}

const hexDigits = "0123456789abcdef"

// string writes a string; what is not UTF-8 in it becomes U+FFFD.
func (e *encoder) string(s string) {
	b := append(e.buf, '"')
	from := 0 // s[from:i] is to be copied as it is
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(append(b, s[from:i]...), "\ufffd"...)
			from = i + n
		}
		i += n
	}
	e.buf = append(append(b, s[from:]...), '"')
}
