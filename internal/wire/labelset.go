package wire

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// labelSet collects a label set in whatever form it comes, as views of the
// message, to bring it into canonical form.
type labelSet struct{ views []labelView }

type labelView struct{ name, value []byte }

func (s *labelSet) reset() {
	clear(s.views)
	s.views = s.views[:0]
}

// add decodes one Label.
func (s *labelSet) add(b []byte) error {
	var l labelView
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			l.name = m.bytes()
		case 2:
			l.value = m.bytes()
		}
	}
	if n := max(len(l.name), len(l.value)); n > maxLabelBytes && m.err == nil {
		return fmt.Errorf("label name or value of %d bytes", n)
	}
	s.views = append(s.views, l)
	return m.err
}

// maxLabelBytes is the most that a name or a value may have: above it,
// labels.Labels panics in its default layout.
const maxLabelBytes = 1<<24 - 1

// addAll decodes the labels, field 1, of a ZLabelSet or a Series.
func (s *labelSet) addAll(b []byte) error {
	s.views = slices.Grow(s.views, countFields(b, 1))
	m := message{rest: b}
	for m.next() {
		if m.num == 1 {
			m.sub(s.add)
		}
	}
	return m.err
}

// sort orders the labels by name.
func (s *labelSet) sort() error {
	byName := func(a, b labelView) int { return bytes.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(s.views, byName) {
		slices.SortFunc(s.views, byName)
	}
	for i := 1; i < len(s.views); i++ {
		if bytes.Equal(s.views[i-1].name, s.views[i].name) {
			return fmt.Errorf("duplicate label name %q", s.views[i].name)
		}
	}
	return nil
}

// append appends the canonical form to dst.
func (s *labelSet) append(dst []byte) ([]byte, error) {
	if err := s.sort(); err != nil {
		return dst, err
	}
	for _, l := range s.views {
		dst = encoded.AppendLabel(dst, l.name, l.value)
	}
	return dst, nil
}

// labels copies the label set.
func (s *labelSet) labels(sb *labels.ScratchBuilder) (labels.Labels, error) {
	if err := s.sort(); err != nil {
		return labels.EmptyLabels(), err
	}
	sb.Reset()
	for _, l := range s.views {
		sb.Add(string(l.name), string(l.value))
	}
	return sb.Labels(), nil
}
