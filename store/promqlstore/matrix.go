package promqlstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/thanoskit/thanoskit/internal/promapi"
)

// matrixSeries is a series of a matrix.
type matrixSeries struct {
	Metric     map[string]string `json:"metric"`
	Values     floats            `json:"values"`
	Histograms []histogramTime   `json:"histograms"`
}

// decodeMatrix decodes the data of an answer to an instant query, calling add
// for each series. The series is used again.
func decodeMatrix(dec *json.Decoder, add func(*matrixSeries) error) error {
	if err := promapi.Expect(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		switch key {
		case "resultType":
			var t string
			if err := dec.Decode(&t); err != nil {
				return err
			}
			if t != "matrix" {
				return fmt.Errorf("result of type %q", t)
			}
		case "result":
			if err := decodeSeries(dec, add); err != nil {
				return err
			}
		default: // "stats" and what may come
			var skipped json.RawMessage
			if err := dec.Decode(&skipped); err != nil {
				return err
			}
		}
	}
	return promapi.Expect(dec, '}')
}

func decodeSeries(dec *json.Decoder, add func(*matrixSeries) error) error {
	if tok, err := dec.Token(); err != nil || tok == nil { // null for none
		return err
	} else if tok != json.Delim('[') {
		return fmt.Errorf("%v instead of an array", tok)
	}
	s := matrixSeries{Metric: map[string]string{}}
	for dec.More() {
		clear(s.Metric)
		s.Values, s.Histograms = s.Values[:0], s.Histograms[:0]
		if err := dec.Decode(&s); err != nil {
			return err
		}
		if err := add(&s); err != nil {
			return err
		}
	}
	return promapi.Expect(dec, ']')
}

// float is a sample.
type float struct {
	t int64 // ms
	v float64
}

// floats are samples as JSON: pairs of seconds and a quoted value. They are read
// by hand, because they are nearly all of an answer.
type floats []float

var (
	errNoPair  = errors.New("sample is not a pair of a time and a value")
	errBadTime = errors.New("time is out of range")
)

// UnmarshalJSON reads valid JSON, as package json promises.
func (f *floats) UnmarshalJSON(b []byte) error {
	out := (*f)[:0]
	p := scanner{b}
	if p.null() {
		*f = out
		return nil
	}
	if !p.skip('[') {
		return errNoPair
	}
	for !p.skip(']') {
		if len(out) > 0 && !p.skip(',') {
			return errNoPair
		}
		if !p.skip('[') {
			return errNoPair
		}
		t, err := p.time()
		if err != nil {
			return err
		}
		if !p.skip(',') || !p.skip('"') {
			return errNoPair
		}
		end := bytes.IndexByte(p.b, '"')
		if end < 0 {
			return errNoPair
		}
		v, err := strconv.ParseFloat(string(p.b[:end]), 64)
		if err != nil {
			return fmt.Errorf("value: %w", err)
		}
		p.b = p.b[end+1:]
		if !p.skip(']') {
			return errNoPair
		}
		out = append(out, float{t, v})
	}
	*f = out
	return nil
}

// scanner reads JSON.
type scanner struct{ b []byte }

// space skips white space.
func (p *scanner) space() {
	for len(p.b) > 0 && (p.b[0] == ' ' || p.b[0] == '\n' || p.b[0] == '\t' || p.b[0] == '\r') {
		p.b = p.b[1:]
	}
}

// skip skips white space and c, and reports whether c was there.
func (p *scanner) skip(c byte) bool {
	p.space()
	if len(p.b) == 0 || p.b[0] != c {
		return false
	}
	p.b = p.b[1:]
	return true
}

func (p *scanner) null() bool {
	p.space()
	return bytes.HasPrefix(p.b, []byte("null"))
}

// time reads a number of seconds as milliseconds.
func (p *scanner) time() (int64, error) {
	p.space()
	n := 0
	for n < len(p.b) && (p.b[n] >= '0' && p.b[n] <= '9' || p.b[n] == '.' || p.b[n] == '-' || p.b[n] == '+' || p.b[n] == 'e' || p.b[n] == 'E') {
		n++
	}
	number := p.b[:n]
	p.b = p.b[n:]
	if t, ok := plainMillis(number); ok {
		return t, nil
	}
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil {
		return 0, fmt.Errorf("time: %w", err)
	}
	ms := math.Round(seconds * 1000)
	if ms < math.MinInt64/2 || ms > math.MaxInt64/2 {
		return 0, errBadTime
	}
	return int64(ms), nil
}

// plainMillis reads seconds as Prometheus writes them: up to three digits after
// the point, and no exponent.
func plainMillis(b []byte) (ms int64, ok bool) {
	const maxDigits = 15
	if len(b) == 0 || len(b) > maxDigits {
		return 0, false
	}
	decimals := -1 // no point yet
	for _, c := range b {
		switch {
		case c == '.' && decimals < 0:
			decimals = 0
		case c >= '0' && c <= '9' && decimals < 3:
			ms = ms*10 + int64(c-'0')
			if decimals >= 0 {
				decimals++
			}
		default:
			return 0, false
		}
	}
	for range 3 - max(decimals, 0) {
		ms *= 10
	}
	return ms, true
}

// histogramTime is the time of a native histogram, in milliseconds: all that is
// read of it.
type histogramTime int64

// UnmarshalJSON reads a pair of seconds and an object.
func (h *histogramTime) UnmarshalJSON(b []byte) error {
	p := scanner{b}
	if !p.skip('[') {
		return errNoPair
	}
	t, err := p.time()
	*h = histogramTime(t)
	return err
}
