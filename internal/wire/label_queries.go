package wire

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// AppendLabelNamesRequest appends r as a thanos.LabelNamesRequest to dst.
//
// Source: storepb/rpc.proto, LabelNamesRequest.
func AppendLabelNamesRequest(dst []byte, r *store.LabelNamesRequest) []byte {
	dst = appendStrategy(dst, 2, r.Strategy)
	dst = appendInt64(dst, 3, r.MinTime)
	dst = appendInt64(dst, 4, r.MaxTime)
	dst = appendAny(dst, 5, r.StoreHints)
	dst = appendMatchers(dst, 6, r.Matchers)
	dst = appendStrings(dst, 7, r.WithoutReplicaLabels)
	return appendInt64(dst, 8, int64(max(r.Limit, 0)))
}

// DecodeLabelNamesRequest decodes a thanos.LabelNamesRequest; see
// DecodeSeriesRequest.
func DecodeLabelNamesRequest(b []byte) (*store.LabelNamesRequest, error) {
	r := &store.LabelNamesRequest{}
	ms := make(matchers, 0, countFields(b, 6))
	var disabled bool
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			disabled = m.bool()
		case 2:
			r.Strategy = m.strategy()
		case 3:
			r.MinTime = m.int64()
		case 4:
			r.MaxTime = m.int64()
		case 5:
			m.sub(func(b []byte) error { return decodeAny(b, &r.StoreHints) })
		case 6:
			m.sub(ms.add)
		case 7:
			r.WithoutReplicaLabels = append(r.WithoutReplicaLabels, m.string())
		case 8:
			r.Limit = m.count()
		}
	}
	if m.err != nil {
		return nil, malformed("label names request", m.err)
	}
	if disabled {
		r.Strategy = store.Abort
	}
	var err error
	if r.Matchers, err = ms.compile(); err != nil {
		return nil, fmt.Errorf("decode label names request: %w", err)
	}
	return r, nil
}

// AppendLabelValuesRequest appends r as a thanos.LabelValuesRequest to dst.
//
// Source: storepb/rpc.proto, LabelValuesRequest.
func AppendLabelValuesRequest(dst []byte, r *store.LabelValuesRequest) []byte {
	dst = appendString(dst, 1, r.Label)
	dst = appendStrategy(dst, 3, r.Strategy)
	dst = appendInt64(dst, 4, r.MinTime)
	dst = appendInt64(dst, 5, r.MaxTime)
	dst = appendAny(dst, 6, r.StoreHints)
	dst = appendMatchers(dst, 7, r.Matchers)
	dst = appendStrings(dst, 8, r.WithoutReplicaLabels)
	return appendInt64(dst, 9, int64(max(r.Limit, 0)))
}

// DecodeLabelValuesRequest decodes a thanos.LabelValuesRequest; see
// DecodeSeriesRequest. A request without a label is decoded as it is.
func DecodeLabelValuesRequest(b []byte) (*store.LabelValuesRequest, error) {
	r := &store.LabelValuesRequest{}
	ms := make(matchers, 0, countFields(b, 7))
	var disabled bool
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			r.Label = m.string()
		case 2:
			disabled = m.bool()
		case 3:
			r.Strategy = m.strategy()
		case 4:
			r.MinTime = m.int64()
		case 5:
			r.MaxTime = m.int64()
		case 6:
			m.sub(func(b []byte) error { return decodeAny(b, &r.StoreHints) })
		case 7:
			m.sub(ms.add)
		case 8:
			r.WithoutReplicaLabels = append(r.WithoutReplicaLabels, m.string())
		case 9:
			r.Limit = m.count()
		}
	}
	if m.err != nil {
		return nil, malformed("label values request", m.err)
	}
	if disabled {
		r.Strategy = store.Abort
	}
	var err error
	if r.Matchers, err = ms.compile(); err != nil {
		return nil, fmt.Errorf("decode label values request: %w", err)
	}
	return r, nil
}

// Strings is the answer to a request for label names or for label values: the
// two messages have the same fields.
type Strings struct {
	Values   []string
	Warnings []string
	Hints    *store.Any // nil for none
}

// AppendStrings appends s as a thanos.LabelNamesResponse, or LabelValuesResponse,
// to dst.
//
// Source: storepb/rpc.proto.
func AppendStrings(dst []byte, s *Strings) []byte {
	dst = appendStrings(dst, 1, s.Values)
	dst = appendStrings(dst, 2, s.Warnings)
	return appendAny(dst, 3, s.Hints)
}

// DecodeStrings decodes a thanos.LabelNamesResponse or LabelValuesResponse. The
// result shares no memory with b; its strings share memory with each other, so
// that who keeps few of many should clone them.
//
// Errors: store.ErrMalformed.
//
// Cost: one copy of b and two allocations, however many the values.
func DecodeStrings(b []byte) (*Strings, error) {
	out := &Strings{}
	out.Values = slices.Grow(out.Values, countFields(b, 1))
	all := string(b)
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			if m.is(protowire.BytesType) {
				end := len(b) - len(m.rest)
				out.Values = append(out.Values, all[end-len(m.data):end])
			}
		case 2:
			out.Warnings = append(out.Warnings, m.string())
		case 3:
			m.sub(func(b []byte) error { return decodeAny(b, &out.Hints) })
		}
	}
	if m.err != nil {
		return nil, malformed("label names or values", m.err)
	}
	return out, nil
}
