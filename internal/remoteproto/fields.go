package remoteproto

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// Fields reads the fields of a message one after the other:
//
//	f := NewFields(message)
//	for f.Next() {
//		if f.IsBytes(1) {
//			// use f.Bytes
//		}
//	}
//	return f.Err()
//
// A message that does not parse is a store.ErrMalformed. Groups are skipped.
type Fields struct {
	b []byte

	// Of the field that Next has moved to:
	Num      protowire.Number
	Type     protowire.Type
	Bits     uint64 // a number as it is on the wire
	Bytes    []byte // a message, string or packed list; a view of the message
	From, To int    // the field spans message[From:To], tag included

	err error
}

// NewFields returns the fields of message b.
func NewFields(b []byte) Fields { return Fields{b: b} }

// Err returns why Next found no further field; nil at the end of the message.
func (f *Fields) Err() error { return f.err }

// Next moves to the next field and reports whether there is one.
func (f *Fields) Next() bool {
	f.From = f.To
	if f.From == len(f.b) || f.err != nil {
		return false
	}
	b := f.b[f.From:]
	num, typ, n := protowire.Number(b[0]>>3), protowire.Type(b[0]&7), 1
	if num == 0 || num > 15 { // not a tag of one byte
		if num, typ, n = protowire.ConsumeTag(b); n < 0 {
			return f.fail(n)
		}
	}
	f.Bits, f.Bytes = 0, nil
	var m int
	switch b = b[n:]; typ {
	case protowire.VarintType:
		f.Bits, m = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.Bits, m = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		f.Bytes, m = protowire.ConsumeBytes(b)
	default:
		m = protowire.ConsumeFieldValue(num, typ, b)
	}
	if m < 0 {
		return f.fail(m)
	}
	f.Num, f.Type, f.To = num, typ, f.From+n+m
	return true
}

// IsBytes reports whether the field is number num, of bytes.
func (f *Fields) IsBytes(num protowire.Number) bool {
	return f.Num == num && f.Type == protowire.BytesType
}

// IsVarint reports whether the field is number num, a varint.
func (f *Fields) IsVarint(num protowire.Number) bool {
	return f.Num == num && f.Type == protowire.VarintType
}

// IsFixed64 reports whether the field is number num, of 8 bytes.
func (f *Fields) IsFixed64(num protowire.Number) bool {
	return f.Num == num && f.Type == protowire.Fixed64Type
}

func (f *Fields) fail(code int) bool {
	f.err = fmt.Errorf("%w: %w", store.ErrMalformed, protowire.ParseError(code))
	return false
}
