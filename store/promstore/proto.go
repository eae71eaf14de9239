package promstore

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// field is the value of a field of a message: bytes for a message, string or
// packed list, bits for a number as it is on the wire. It spans from to to in
// its message, tag included.
type field struct {
	bits     uint64
	bytes    []byte
	from, to int
}

// eachField calls f with every field of message b, and stops at its error. A
// message that does not parse is a store.ErrMalformed.
func eachField(b []byte, f func(protowire.Number, protowire.Type, field) error) error {
	for i := 0; i < len(b); {
		num, typ, n := protowire.ConsumeTag(b[i:])
		if n < 0 {
			return fmt.Errorf("%w: %w", store.ErrMalformed, protowire.ParseError(n))
		}
		v := field{from: i}
		m := 0
		switch rest := b[i+n:]; typ {
		case protowire.VarintType:
			v.bits, m = protowire.ConsumeVarint(rest)
		case protowire.Fixed64Type:
			v.bits, m = protowire.ConsumeFixed64(rest)
		case protowire.BytesType:
			v.bytes, m = protowire.ConsumeBytes(rest)
		default:
			m = protowire.ConsumeFieldValue(num, typ, rest)
		}
		if m < 0 {
			return fmt.Errorf("%w: %w", store.ErrMalformed, protowire.ParseError(m))
		}
		i += n + m
		v.to = i
		if err := f(num, typ, v); err != nil {
			return err
		}
	}
	return nil
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
