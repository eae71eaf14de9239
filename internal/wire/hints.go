package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// appendQueryHints appends h, unless it is nil, as a thanos.QueryHints. Its
// messages func, grouping and range are written even when they are empty:
// Thanos' own rendering of hints reads func without looking whether it is there.
func appendQueryHints(dst []byte, num protowire.Number, h *store.QueryHints) []byte {
	if h == nil {
		return dst
	}
	return appendMessage(dst, num, func(dst []byte) []byte {
		dst = appendInt64(dst, 1, h.Step.Milliseconds())
		dst = appendMessage(dst, 2, func(dst []byte) []byte { return appendString(dst, 1, h.Func) })
		dst = appendMessage(dst, 4, func(dst []byte) []byte {
			dst = appendBool(dst, 1, h.By)
			return appendStrings(dst, 3, h.Grouping)
		})
		dst = appendMessage(dst, 5, func(dst []byte) []byte { return appendInt64(dst, 1, h.Range.Milliseconds()) })
		dst = appendStrings(dst, 6, h.ProjectionLabels)
		dst = appendBool(dst, 7, h.ProjectionInclude)
		return appendString(dst, 8, h.SeriesHashLabel)
	})
}

// decodeQueryHints merges b into *h, which is made if it is nil.
func decodeQueryHints(b []byte, h **store.QueryHints) error {
	if *h == nil {
		*h = &store.QueryHints{}
	}
	out := *h
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			out.Step = m.millis()
		case 2:
			m.sub(func(b []byte) error {
				f := message{rest: b}
				for f.next() {
					if f.num == 1 {
						out.Func = f.string()
					}
				}
				return f.err
			})
		case 4:
			m.sub(func(b []byte) error { return decodeGrouping(b, out) })
		case 5:
			m.sub(func(b []byte) error {
				r := message{rest: b}
				for r.next() {
					if r.num == 1 {
						out.Range = r.millis()
					}
				}
				return r.err
			})
		case 6:
			out.ProjectionLabels = append(out.ProjectionLabels, m.string())
		case 7:
			out.ProjectionInclude = m.bool()
		case 8:
			out.SeriesHashLabel = m.string()
		}
	}
	return m.err
}

func decodeGrouping(b []byte, h *store.QueryHints) error {
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			h.By = m.bool()
		case 3:
			h.Grouping = append(h.Grouping, m.string())
		}
	}
	return m.err
}

func appendShard(dst []byte, num protowire.Number, s *store.Shard) []byte {
	if s == nil {
		return dst
	}
	return appendMessage(dst, num, func(dst []byte) []byte {
		dst = appendInt64(dst, 1, s.Index)
		dst = appendInt64(dst, 2, s.Total)
		dst = appendBool(dst, 3, s.By)
		return appendStrings(dst, 4, s.Labels)
	})
}

// decodeShard merges b into *s, which is made if it is nil.
func decodeShard(b []byte, s **store.Shard) error {
	if *s == nil {
		*s = &store.Shard{}
	}
	out := *s
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			out.Index = m.int64()
		case 2:
			out.Total = m.int64()
		case 3:
			out.By = m.bool()
		case 4:
			out.Labels = append(out.Labels, m.string())
		}
	}
	return m.err
}
