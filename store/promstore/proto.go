package promstore

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// fields reads the fields of a message one after the other:
//
//	f := fields{b: message}
//	for f.next() {
//		if f.isBytes(1) {
//			// use f.bytes
//		}
//	}
//	return f.err
//
// A message that does not parse is a store.ErrMalformed. Groups are skipped.
type fields struct {
	b []byte

	num   protowire.Number
	typ   protowire.Type
	bits  uint64 // a number as it is on the wire
	bytes []byte // a message, string or packed list; a view of b
	from  int    // the field spans b[from:to], tag included
	to    int
	err   error
}

// next moves to the next field and reports whether there is one.
func (f *fields) next() bool {
	f.from = f.to
	if f.from == len(f.b) || f.err != nil {
		return false
	}
	b := f.b[f.from:]
	num, typ, n := protowire.Number(b[0]>>3), protowire.Type(b[0]&7), 1
	if num == 0 || num > 15 { // not a tag of one byte
		if num, typ, n = protowire.ConsumeTag(b); n < 0 {
			return f.fail(n)
		}
	}
	f.bits, f.bytes = 0, nil
	var m int
	switch b = b[n:]; typ {
	case protowire.VarintType:
		f.bits, m = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.bits, m = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		f.bytes, m = protowire.ConsumeBytes(b)
	default:
		m = protowire.ConsumeFieldValue(num, typ, b)
	}
	if m < 0 {
		return f.fail(m)
	}
	f.num, f.typ, f.to = num, typ, f.from+n+m
	return true
}

// isBytes reports whether the field is number num, of bytes.
func (f *fields) isBytes(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.BytesType
}

// isVarint reports whether the field is number num, a varint.
func (f *fields) isVarint(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.VarintType
}

// isFixed64 reports whether the field is number num, of 8 bytes.
func (f *fields) isFixed64(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.Fixed64Type
}

func (f *fields) fail(code int) bool {
	f.err = fmt.Errorf("%w: %w", store.ErrMalformed, protowire.ParseError(code))
	return false
}

// Response types that a remote read request accepts.
//
// Source: ReadRequest in Prometheus' prompb/remote.proto.
const (
	acceptSamples  = 0
	acceptStreamed = 1
)

// appendReadRequest appends a ReadRequest with one query.
//
// If namesOnly, the query hints that it wants no samples: Prometheus then
// answers a request for samples with series that have none.
func appendReadRequest(b []byte, req *store.SeriesRequest, namesOnly bool, accept ...uint64) []byte {
	q := protowire.AppendTag(nil, 1, protowire.VarintType)
	q = protowire.AppendVarint(q, uint64(req.MinTime))
	q = protowire.AppendTag(q, 2, protowire.VarintType)
	q = protowire.AppendVarint(q, uint64(req.MaxTime))
	for _, m := range req.Matchers {
		q = appendMatcher(q, m.Type, m.Name, m.Value)
	}
	if len(req.Matchers) == 0 { // Prometheus takes no matchers as no series
		q = appendMatcher(q, labels.MatchRegexp, labels.MetricName, ".*")
	}
	if namesOnly {
		var h []byte
		h = protowire.AppendTag(h, 2, protowire.BytesType)
		h = protowire.AppendString(h, "series")
		h = protowire.AppendTag(h, 3, protowire.VarintType)
		h = protowire.AppendVarint(h, uint64(req.MinTime))
		h = protowire.AppendTag(h, 4, protowire.VarintType)
		h = protowire.AppendVarint(h, uint64(req.MaxTime))
		q = protowire.AppendTag(q, 4, protowire.BytesType)
		q = protowire.AppendBytes(q, h)
	}
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, q)
	var types []byte
	for _, a := range accept {
		types = protowire.AppendVarint(types, a)
	}
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, types)
}

// appendMatcher appends a LabelMatcher as field 3 of a Query. Its types are
// numbered as labels.MatchType is.
func appendMatcher(q []byte, t labels.MatchType, name, value string) []byte {
	var m []byte
	m = protowire.AppendTag(m, 1, protowire.VarintType)
	m = protowire.AppendVarint(m, uint64(t))
	m = protowire.AppendTag(m, 2, protowire.BytesType)
	m = protowire.AppendString(m, name)
	m = protowire.AppendTag(m, 3, protowire.BytesType)
	m = protowire.AppendString(m, value)
	q = protowire.AppendTag(q, 3, protowire.BytesType)
	return protowire.AppendBytes(q, m)
}
