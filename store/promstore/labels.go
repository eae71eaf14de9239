package promstore

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// pair is a label.
type pair[S string | []byte] struct{ name, value S }

var (
	errUnnamedLabel   = fmt.Errorf("%w: label without a name", store.ErrMalformed)
	errDuplicateLabel = fmt.Errorf("%w: label occurs twice", store.ErrMalformed)
)

// appendCanonical appends the labels in canonical form to dst, in whichever
// order they come. Labels without a value are left out: they are no labels.
func appendCanonical[S string | []byte](dst []byte, pairs []pair[S]) ([]byte, error) {
	slices.SortFunc(pairs, func(a, b pair[S]) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	for i, p := range pairs {
		switch {
		case len(p.value) == 0:
			continue
		case len(p.name) == 0:
			return nil, errUnnamedLabel
		case i > 0 && string(pairs[i-1].name) == string(p.name):
			return nil, fmt.Errorf("%w: %q", errDuplicateLabel, string(p.name))
		}
		dst = encoded.AppendLabel(dst, p.name, p.value)
	}
	return dst, nil
}

// labelRun collects the labels of a message of which they are field 1: Label
// entries, which are in canonical form already if they come in one run as
// Prometheus writes them.
type labelRun struct {
	from, to  int
	scattered bool
}

// add takes an entry that spans b[from:to].
func (l *labelRun) add(from, to int) {
	if l.to == 0 {
		l.from = from
	} else if l.to != from {
		l.scattered = true
	}
	l.to = to
}

// canonical returns the labels of message b in canonical form: a view of b if
// they are, else remade.
func (l *labelRun) canonical(b []byte) ([]byte, error) {
	if !l.scattered && encoded.CheckLabels(b[l.from:l.to]) == nil {
		return b[l.from:l.to:l.to], nil
	}
	return remakeLabels(b)
}

// remakeLabels reads the labels of a message of which they are field 1, in any
// valid encoding.
func remakeLabels(b []byte) ([]byte, error) {
	var pairs []pair[[]byte]
	f := fields{b: b}
	for f.next() {
		if !f.isBytes(1) {
			continue
		}
		var p pair[[]byte]
		l := fields{b: f.bytes}
		for l.next() {
			switch {
			case l.isBytes(1):
				p.name = l.bytes
			case l.isBytes(2):
				p.value = l.bytes
			}
		}
		if l.err != nil {
			return nil, l.err
		}
		if len(p.value) > 0 {
			pairs = append(pairs, p)
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	return appendCanonical(nil, pairs)
}
