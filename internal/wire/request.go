package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// AppendSeriesRequest appends r as a thanos.SeriesRequest to dst. batch is the
// number of series wanted in each response; 0 and 1 ask for single series.
//
// Of durations, whole milliseconds are written; the deprecated fields (6, 10 and
// 11) never.
//
// Source: storepb/rpc.proto, SeriesRequest.
func AppendSeriesRequest(dst []byte, r *store.SeriesRequest, batch int) []byte {
	dst = appendInt64(dst, 1, r.MinTime)
	dst = appendInt64(dst, 2, r.MaxTime)
	dst = appendMatchers(dst, 3, r.Matchers)
	dst = appendInt64(dst, 4, r.MaxResolution.Milliseconds())
	dst = appendAggregates(dst, 5, r.Aggregates)
	dst = appendStrategy(dst, 7, r.Strategy)
	dst = appendBool(dst, 8, r.SkipChunks)
	dst = appendAny(dst, 9, r.StoreHints)
	dst = appendQueryHints(dst, 12, r.Hints)
	dst = appendShard(dst, 13, r.Shard)
	dst = appendStrings(dst, 14, r.WithoutReplicaLabels)
	dst = appendInt64(dst, 15, int64(max(r.Limit, 0)))
	return appendInt64(dst, 16, int64(max(batch, 0)))
}

// DecodeSeriesRequest decodes a thanos.SeriesRequest. Nothing of the result
// shares memory with b.
//
// Output: matchers are compiled; durations that do not fit are the longest that
// does; a negative limit or batch is none; the deprecated switch against
// partial responses means Abort; the deprecated step and range, and aggregates
// that do not exist, are ignored.
//
// Errors: store.ErrMalformed if b is damaged, store.ErrInvalidRequest if a
// matcher cannot be, or all regular expressions together are too large.
//
// Cost: at most 128 bytes for each byte of b, and a constant for regular
// expressions.
func DecodeSeriesRequest(b []byte) (r *store.SeriesRequest, batch int, err error) {
	r = &store.SeriesRequest{}
	ms := make(matchers, 0, countFields(b, 3))
	var disabled bool
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			r.MinTime = m.int64()
		case 2:
			r.MaxTime = m.int64()
		case 3:
			m.sub(ms.add)
		case 4:
			r.MaxResolution = m.millis()
		case 5:
			r.Aggregates |= m.aggregates()
		case 6:
			disabled = m.bool()
		case 7:
			r.Strategy = m.strategy()
		case 8:
			r.SkipChunks = m.bool()
		case 9:
			m.sub(func(b []byte) error { return decodeAny(b, &r.StoreHints) })
		case 10, 11:
			m.int64()
		case 12:
			m.sub(func(b []byte) error { return decodeQueryHints(b, &r.Hints) })
		case 13:
			m.sub(func(b []byte) error { return decodeShard(b, &r.Shard) })
		case 14:
			r.WithoutReplicaLabels = append(r.WithoutReplicaLabels, m.string())
		case 15:
			r.Limit = m.count()
		case 16:
			batch = m.count()
		}
	}
	if m.err != nil {
		return nil, 0, malformed("series request", m.err)
	}
	if disabled {
		r.Strategy = store.Abort
	}
	if r.Matchers, err = ms.compile(); err != nil {
		return nil, 0, fmt.Errorf("decode series request: %w", err)
	}
	return r, batch, nil
}

func appendStrategy(dst []byte, num protowire.Number, s store.PartialResponseStrategy) []byte {
	return appendBool(dst, num, s == store.Abort) // ABORT is 1, WARN is 0
}

// strategy takes what does not exist for Warn, as Thanos does.
func (m *message) strategy() store.PartialResponseStrategy {
	if m.enum() == 1 {
		return store.Abort
	}
	return store.Warn
}

// appendAggregates appends the set in packed form. The value of an aggregate in
// enum Aggr is the position of its bit plus 1; 0 is RAW.
func appendAggregates(dst []byte, num protowire.Number, a store.Aggregates) []byte {
	var list [8]byte
	packed := list[:0]
	for i := range aggregateKinds {
		if a.Has(1 << i) {
			packed = append(packed, byte(i+1))
		}
	}
	if len(packed) == 0 {
		return dst
	}
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), packed)
}

// aggregateKinds is the number of aggregates that a store.Aggregates can hold.
const aggregateKinds = 5

// aggregates reads a repeated enum, packed or not.
func (m *message) aggregates() (a store.Aggregates) {
	if m.typ == protowire.VarintType {
		return aggregate(m.enum())
	}
	for b := m.bytes(); len(b) > 0 && m.err == nil; {
		x, n := protowire.ConsumeVarint(b)
		if n < 0 {
			m.fail(n)
			return 0
		}
		a |= aggregate(int32(x))
		b = b[n:]
	}
	return a
}

func aggregate(x int32) store.Aggregates {
	if x < 1 || x > aggregateKinds {
		return 0
	}
	return 1 << (x - 1)
}
