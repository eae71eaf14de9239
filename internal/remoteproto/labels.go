package remoteproto

import (
	"fmt"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// LabelRun collects the labels of a message of which they are field 1: Label
// entries, which are in canonical form already if they come in one run as
// Prometheus writes them.
type LabelRun struct {
	from, to  int
	scattered bool
}

// Add takes an entry that spans b[from:to].
func (l *LabelRun) Add(from, to int) {
	if l.to == 0 {
		l.from = from
	} else if l.to != from {
		l.scattered = true
	}
	l.to = to
}

// Canonical returns the labels of message b in canonical form: a view of b if
// they are, else remade.
func (l *LabelRun) Canonical(b []byte) ([]byte, error) {
	if !l.scattered && encoded.CheckLabels(b[l.from:l.to]) == nil {
		return b[l.from:l.to:l.to], nil
	}
	return remakeLabels(b)
}

// remakeLabels reads the labels of a message of which they are field 1, in any
// valid encoding.
func remakeLabels(b []byte) ([]byte, error) {
	var pairs []encoded.Pair[[]byte]
	f := NewFields(b)
	for f.Next() {
		if !f.IsBytes(1) {
			continue
		}
		var p encoded.Pair[[]byte]
		l := NewFields(f.Bytes)
		for l.Next() {
			switch {
			case l.IsBytes(1):
				p.Name = l.Bytes
			case l.IsBytes(2):
				p.Value = l.Bytes
			}
		}
		if l.Err() != nil {
			return nil, l.Err()
		}
		if len(p.Value) > 0 {
			pairs = append(pairs, p)
		}
	}
	if f.Err() != nil {
		return nil, f.Err()
	}
	out, err := encoded.AppendUnsorted(nil, pairs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrMalformed, err)
	}
	return out, nil
}
