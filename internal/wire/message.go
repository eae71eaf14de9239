package wire

import (
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// message reads the fields of one message in order:
//
//	for m.next() {
//		switch m.num {
//		case 1:
//			x = m.int64()
//		}
//	}
//	return m.err
//
// A known field of another wire type than its own is an error, as for Thanos;
// an unknown field is skipped.
type message struct {
	rest []byte
	err  error

	num  protowire.Number
	typ  protowire.Type
	x    uint64 // value of a varint
	data []byte // value of a length-delimited field
}

// next reads the next field; false means the end or an error.
func (m *message) next() bool {
	if m.err != nil || len(m.rest) == 0 {
		return false
	}
	if tag := m.rest[0]; tag&0x87 == byte(protowire.BytesType) && tag > 7 { // most are
		if body, end := lengthDelimited(m.rest, 1); end > 0 {
			m.num, m.typ, m.data, m.rest = protowire.Number(tag>>3), protowire.BytesType, body, m.rest[end:]
			return true
		}
	}
	num, typ, n := protowire.ConsumeTag(m.rest)
	if n < 0 {
		return m.fail(n)
	}
	b := m.rest[n:]
	m.num, m.typ, m.data = num, typ, nil
	switch typ {
	case protowire.VarintType:
		m.x, n = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		m.data, n = protowire.ConsumeBytes(b)
		m.data = slices.Clip(m.data)
	default:
		n = protowire.ConsumeFieldValue(num, typ, b)
	}
	if n < 0 {
		return m.fail(n)
	}
	m.rest = b[n:]
	return true
}

func (m *message) fail(code int) bool {
	m.err = protowire.ParseError(code)
	return false
}

// is reports whether the field has the wire type that it should have.
func (m *message) is(typ protowire.Type) bool {
	if m.typ != typ && m.err == nil {
		m.err = fmt.Errorf("field %d has wire type %d", m.num, m.typ)
	}
	return m.err == nil
}

// The value of the current field, or zero and an error in m.err. Bytes are a
// view, strings are copies.

func (m *message) uint64() uint64 {
	if !m.is(protowire.VarintType) {
		return 0
	}
	return m.x
}

func (m *message) int64() int64 { return int64(m.uint64()) }

// enum truncates to 32 bits, as every protobuf implementation does.
func (m *message) enum() int32 { return int32(m.uint64()) }

func (m *message) bool() bool { return m.uint64() != 0 }

// count is a number of which only positive ones mean something.
func (m *message) count() int { return int(min(max(m.int64(), 0), math.MaxInt)) }

func (m *message) millis() time.Duration { return fromMillis(m.int64()) }

func (m *message) bytes() []byte {
	if !m.is(protowire.BytesType) {
		return nil
	}
	return m.data
}

func (m *message) string() string { return string(m.bytes()) }

// sub decodes the current field, a message, with decode.
func (m *message) sub(decode func(b []byte) error) {
	if b := m.bytes(); m.err == nil {
		m.err = decode(b)
	}
}

// wellFormed is for messages of which nothing is wanted.
func wellFormed(b []byte) error {
	m := message{rest: b}
	for m.next() {
	}
	return m.err
}

// countFields returns how often a field occurs in b, which need not be
// well-formed: what comes after the first damage does not count.
func countFields(b []byte, num protowire.Number) int {
	m, n := message{rest: b}, 0
	for m.next() {
		if m.num == num {
			n++
		}
	}
	return n
}

func malformed(what string, cause error) error {
	return fmt.Errorf("decode %s: %w: %w", what, store.ErrMalformed, cause)
}

// fromMillis saturates.
func fromMillis(ms int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	switch {
	case ms > most:
		return math.MaxInt64
	case ms < -most:
		return math.MinInt64
	}
	return time.Duration(ms) * time.Millisecond
}

// The functions below append a field, and nothing if it has its zero value.

func appendInt64(dst []byte, num protowire.Number, x int64) []byte {
	if x == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), uint64(x))
}

func appendBool(dst []byte, num protowire.Number, x bool) []byte {
	if !x {
		return dst
	}
	return appendInt64(dst, num, 1)
}

func appendString(dst []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), s)
}

// appendStrings appends a repeated field, empty strings too.
func appendStrings(dst []byte, num protowire.Number, ss []string) []byte {
	for _, s := range ss {
		dst = protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), s)
	}
	return dst
}

// appendMessage appends a message field that body writes, an empty one too.
func appendMessage(dst []byte, num protowire.Number, body func([]byte) []byte) []byte {
	dst = append(protowire.AppendTag(dst, num, protowire.BytesType), 0)
	from := len(dst)
	dst = body(dst)
	n := len(dst) - from
	if k := protowire.SizeVarint(uint64(n)); k > 1 { // one byte was set aside
		var room [9]byte
		dst = append(dst, room[:k-1]...)
		copy(dst[from+k-1:], dst[from:from+n])
	}
	protowire.AppendVarint(dst[:from-1], uint64(n))
	return dst
}

func appendAny(dst []byte, num protowire.Number, a *store.Any) []byte {
	if a == nil {
		return dst
	}
	return appendMessage(dst, num, func(dst []byte) []byte {
		dst = appendString(dst, 1, a.TypeURL)
		if len(a.Value) > 0 {
			dst = protowire.AppendBytes(protowire.AppendTag(dst, 2, protowire.BytesType), a.Value)
		}
		return dst
	})
}

// decodeAny merges b into *a, which is made if it is nil.
func decodeAny(b []byte, a **store.Any) error {
	if *a == nil {
		*a = &store.Any{}
	}
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			(*a).TypeURL = m.string()
		case 2:
			(*a).Value = append([]byte(nil), m.bytes()...)
		}
	}
	return m.err
}
