package wire

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// ReceiptType is the type of a receipt among hints. Peers send one only if they
// are asked to, since others may refuse what they do not know.
const ReceiptType = "type.googleapis.com/thanoskit.Receipt"

// MaxReceiptBytes bounds a receipt. Of members that are too many for it, those
// whose answers are incomplete are told of first.
const MaxReceiptBytes = 256 << 10

// memberCost is what a member takes of a receipt beside its fields.
const memberCost = 16

// What bounds a member in a receipt.
const (
	maxReceiptText     = 1 << 10 // bytes of each text
	maxReceiptWarnings = 16
	maxReceiptLabels   = 16 << 10 // bytes of label sets
)

// Receipt is what became of the members of a fan-out, between peers that are
// both ours:
//
//	message Receipt {
//	  repeated Member members = 1;
//	  int64 omitted = 2; // members that there was no room for
//	  repeated google.protobuf.Any hints = 3; // of label queries, which have room for one hint only
//	}
//	message Member {
//	  string name = 1;
//	  int32 status = 2; // store.MemberStatus
//	  string reason = 3;
//	  int32 code = 4; // the gRPC code of error
//	  string error = 5;
//	  repeated string warnings = 6;
//	  int64 series = 7;
//	  int64 chunks = 8;
//	  int64 bytes = 9;
//	  int64 first_series = 10; // ns
//	  int64 duration = 11; // ns
//	  repeated ZLabelSet label_sets = 12;
//	  int64 omitted_label_sets = 13; // that there was no room for
//	}
type Receipt struct {
	Members []store.MemberOutcome
	Omitted int
	Hints   []store.Any
}

// AppendReceipt appends r to dst. code returns the gRPC code of an error.
func AppendReceipt(dst []byte, r *Receipt, code func(error) uint32) []byte {
	members := make([][]byte, len(r.Members))
	room, omitted := MaxReceiptBytes, r.Omitted
	for _, complete := range []bool{false, true} {
		for i := range r.Members {
			m := &r.Members[i]
			if m.Complete() != complete {
				continue
			}
			b := appendMember([]byte{}, m, code) // nil is left out
			if room -= len(b) + memberCost; room < 0 {
				room = 0 // and stays: whoever is left out is not more telling
				omitted++
				continue
			}
			members[i] = b
		}
	}
	for _, b := range members {
		if b != nil {
			dst = protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), b)
		}
	}
	dst = appendInt64(dst, 2, int64(omitted))
	for i := range r.Hints {
		dst = appendAny(dst, 3, &r.Hints[i])
	}
	return dst
}

func appendMember(dst []byte, m *store.MemberOutcome, code func(error) uint32) []byte {
	dst = appendString(dst, 1, shortened(m.Member))
	dst = appendInt64(dst, 2, int64(m.Status))
	dst = appendString(dst, 3, shortened(m.Reason))
	if m.Err != nil {
		dst = appendInt64(dst, 4, int64(code(m.Err)))
		dst = appendString(dst, 5, shortened(m.Err.Error()))
	}
	for _, w := range m.Warnings[:min(len(m.Warnings), maxReceiptWarnings)] {
		dst = appendStrings(dst, 6, []string{shortened(w.Error())})
	}
	dst = appendInt64(dst, 7, m.Series)
	dst = appendInt64(dst, 8, m.Chunks)
	dst = appendInt64(dst, 9, m.Bytes)
	dst = appendInt64(dst, 10, int64(m.FirstSeries))
	dst = appendInt64(dst, 11, int64(m.Duration))
	most, omitted := len(dst)+maxReceiptLabels, m.OmittedLabelSets
	for _, lset := range m.LabelSets {
		next := appendMessage(dst, 12, func(dst []byte) []byte { return encoded.AppendLabels(dst, lset) })
		if len(next) > most {
			omitted++
			continue
		}
		dst = next
	}
	return appendInt64(dst, 13, int64(omitted))
}

// shortened makes a text fit for a receipt: of bounded length, and UTF-8.
func shortened(s string) string {
	if len(s) > maxReceiptText {
		s = s[:maxReceiptText] + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// DecodeReceipt decodes a receipt. fault returns the error for a gRPC code and a
// text, warning that for a text. Of members, what is beyond MaxReceiptBytes counts
// as omitted.
func DecodeReceipt(b []byte, fault func(code uint32, text string) error, warning func(text string) error) (*Receipt, error) {
	r := &Receipt{}
	room, beyond := MaxReceiptBytes, 0
	sb := labels.NewScratchBuilder(0)
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			m.sub(func(b []byte) error {
				if room -= len(b) + memberCost; room < 0 {
					room = 0
					beyond++
					return nil
				}
				member, err := decodeMember(b, &sb, fault, warning)
				r.Members = append(r.Members, member)
				return err
			})
		case 2:
			r.Omitted = omittedCount(&m)
		case 3:
			m.sub(func(b []byte) error {
				var h *store.Any
				err := decodeAny(b, &h)
				r.Hints = append(r.Hints, *h)
				return err
			})
		}
	}
	if m.err != nil {
		return nil, malformed("receipt", m.err)
	}
	r.Omitted += beyond
	return r, nil
}

func decodeMember(b []byte, sb *labels.ScratchBuilder, fault func(uint32, string) error, warning func(string) error) (out store.MemberOutcome, err error) {
	var code uint32
	var text string
	failed := false
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			out.Member = m.string()
		case 2:
			out.Status = memberStatus(m.enum())
		case 3:
			out.Reason = m.string()
		case 4:
			code, failed = uint32(m.enum()), true
		case 5:
			text, failed = m.string(), true
		case 6:
			out.Warnings = append(out.Warnings, warning(m.string()))
		case 7:
			out.Series = m.int64()
		case 8:
			out.Chunks = m.int64()
		case 9:
			out.Bytes = m.int64()
		case 10:
			out.FirstSeries = time.Duration(m.int64())
		case 11:
			out.Duration = time.Duration(m.int64())
		case 12:
			m.sub(func(b []byte) error {
				var set labelSet
				err := set.addAll(b)
				if err != nil {
					return err
				}
				lset, err := set.labels(sb)
				out.LabelSets = append(out.LabelSets, lset)
				return err
			})
		case 13:
			out.OmittedLabelSets = omittedCount(&m)
		}
	}
	if failed {
		out.Err = fault(code, text)
	}
	return out, m.err
}

// omittedCount bounds what a peer says is missing, so that sums do not overflow.
func omittedCount(m *message) int { return min(m.count(), math.MaxInt32) }

// memberStatus takes a status that is not known for a failure.
func memberStatus(n int32) store.MemberStatus {
	known := []store.MemberStatus{store.Answered, store.Pruned, store.Failed, store.TimedOut, store.Canceled}
	if s := store.MemberStatus(n); n >= 0 && n <= 0xff && slices.Contains(known, s) {
		return s
	}
	return store.Failed
}
