package remoteproto

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// ResponseType is a form that an answer can have.
type ResponseType uint64

const (
	// Samples is one ReadResponse, compressed, with a result for each query.
	Samples ResponseType = 0
	// Streamed is a stream of frames with a ChunkedReadResponse in each.
	Streamed ResponseType = 1
)

// Media types of requests and answers, and the parameter that tells messages
// apart.
const (
	MessageType   = "application/x-protobuf"
	SampledProto  = "prometheus.ReadResponse"
	StreamedType  = "application/x-streamed-protobuf"
	StreamedProto = "prometheus.ChunkedReadResponse"
)

// Request is a ReadRequest.
type Request struct {
	Queries []Query
	// Accept are the forms that the answer may have, best first. None means
	// Samples.
	Accept []ResponseType
}

// Query is a Query message. An absent matcher is none: no matchers select
// nothing, to Prometheus.
type Query struct {
	MinTime, MaxTime int64 // ms, both inclusive
	Matchers         []*labels.Matcher
	Hints            *Hints // nil for none
}

// Hints are a ReadHints message; times and spans are in milliseconds. Those of
// the range of the query are left out: they are the query's.
type Hints struct {
	Step     int64
	Func     string
	Grouping []string
	By       bool
	Range    int64
}

// NamesOnly is the Func that says that no samples are wanted.
const NamesOnly = "series"

// AppendRequest appends a ReadRequest to b.
func AppendRequest(b []byte, queries []Query, accept ...ResponseType) []byte {
	var q []byte
	for i := range queries {
		q = queries[i].append(q[:0])
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, q)
	}
	if len(accept) == 0 {
		return b
	}
	var types []byte
	for _, a := range accept {
		types = protowire.AppendVarint(types, uint64(a))
	}
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, types)
}

func (q *Query) append(b []byte) []byte {
	b = appendVarint(b, 1, uint64(q.MinTime))
	b = appendVarint(b, 2, uint64(q.MaxTime))
	var sub []byte
	for _, m := range q.Matchers { // whose types are numbered as labels.MatchType is
		sub = appendVarint(sub[:0], 1, uint64(m.Type))
		sub = appendString(sub, 2, m.Name)
		sub = appendString(sub, 3, m.Value)
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, sub)
	}
	if h := q.Hints; h != nil {
		sub = h.append(sub[:0], q.MinTime, q.MaxTime)
		b = protowire.AppendTag(b, 4, protowire.BytesType)
		b = protowire.AppendBytes(b, sub)
	}
	return b
}

func (h *Hints) append(b []byte, mint, maxt int64) []byte {
	b = appendVarint(b, 1, uint64(h.Step))
	b = appendString(b, 2, h.Func)
	b = appendVarint(b, 3, uint64(mint))
	b = appendVarint(b, 4, uint64(maxt))
	for _, g := range h.Grouping {
		b = appendString(b, 5, g)
	}
	if h.By {
		b = appendVarint(b, 6, 1)
	}
	return appendVarint(b, 7, uint64(h.Range))
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendString(b []byte, num protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// ParseRequest parses a ReadRequest. The result shares no memory with b.
//
// Errors: store.ErrMalformed if it does not parse, store.ErrInvalidRequest if a
// matcher is not valid.
func ParseRequest(b []byte) (*Request, error) {
	req := &Request{}
	f := NewFields(b)
	for f.Next() {
		switch {
		case f.IsBytes(1):
			q, err := parseQuery(f.Bytes)
			if err != nil {
				return nil, err
			}
			req.Queries = append(req.Queries, q)
		case f.IsVarint(2):
			req.Accept = append(req.Accept, ResponseType(f.Bits))
		case f.IsBytes(2):
			for p := f.Bytes; len(p) > 0; {
				v, n := protowire.ConsumeVarint(p)
				if n < 0 {
					return nil, fmt.Errorf("%w: %w", store.ErrMalformed, protowire.ParseError(n))
				}
				req.Accept, p = append(req.Accept, ResponseType(v)), p[n:]
			}
		}
	}
	return req, f.Err()
}

func parseQuery(b []byte) (q Query, err error) {
	f := NewFields(b)
	for f.Next() && err == nil {
		switch {
		case f.IsVarint(1):
			q.MinTime = int64(f.Bits)
		case f.IsVarint(2):
			q.MaxTime = int64(f.Bits)
		case f.IsBytes(3):
			var m *labels.Matcher
			m, err = parseMatcher(f.Bytes)
			q.Matchers = append(q.Matchers, m)
		case f.IsBytes(4):
			q.Hints, err = parseHints(f.Bytes)
		}
	}
	if err == nil {
		err = f.Err()
	}
	return q, err
}

func parseMatcher(b []byte) (*labels.Matcher, error) {
	var (
		typ         uint64
		name, value string
	)
	f := NewFields(b)
	for f.Next() {
		switch {
		case f.IsVarint(1):
			typ = f.Bits
		case f.IsBytes(2):
			name = string(f.Bytes)
		case f.IsBytes(3):
			value = string(f.Bytes)
		}
	}
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case typ > uint64(labels.MatchNotRegexp):
		return nil, fmt.Errorf("%w: matcher of type %d", store.ErrInvalidRequest, typ)
	}
	m, err := labels.NewMatcher(labels.MatchType(typ), name, value)
	if err != nil {
		return nil, fmt.Errorf("%w: matcher on %q: %w", store.ErrInvalidRequest, name, err)
	}
	return m, nil
}

func parseHints(b []byte) (*Hints, error) {
	h := &Hints{}
	f := NewFields(b)
	for f.Next() {
		switch {
		case f.IsVarint(1):
			h.Step = span(f.Bits)
		case f.IsBytes(2):
			h.Func = string(f.Bytes)
		case f.IsBytes(5):
			h.Grouping = append(h.Grouping, string(f.Bytes))
		case f.IsVarint(6):
			h.By = f.Bits != 0
		case f.IsVarint(7):
			h.Range = span(f.Bits)
		}
	}
	return h, f.Err()
}

// span returns milliseconds that a time.Duration can hold; what is none is 0.
func span(bits uint64) int64 {
	const nanoseconds = 1_000_000 // in a millisecond
	if bits > math.MaxInt64/nanoseconds {
		return 0
	}
	return int64(bits)
}
