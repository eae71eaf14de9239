package wire

import (
	"fmt"
	"regexp/syntax"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// matcher is a matcher before it is compiled.
type matcher struct {
	typ         int32
	name, value string
}

type matchers []matcher

// add decodes one LabelMatcher.
func (ms *matchers) add(b []byte) error {
	var x matcher
	m := message{rest: b}
	for m.next() {
		switch m.num {
		case 1:
			x.typ = m.enum()
		case 2:
			x.name = m.string()
		case 3:
			x.value = m.string()
		}
	}
	*ms = append(*ms, x)
	return m.err
}

// compile makes the matchers usable.
func (ms matchers) compile() ([]*labels.Matcher, error) {
	if len(ms) == 0 {
		return nil, nil
	}
	out := make([]*labels.Matcher, 0, len(ms))
	size := 0
	for _, x := range ms {
		typ, ok := matchType(x.typ)
		if !ok {
			return nil, fmt.Errorf("%w: matcher type %d on label %q", store.ErrInvalidRequest, x.typ, x.name)
		}
		if typ == labels.MatchRegexp || typ == labels.MatchNotRegexp {
			if size += regexpSize(x.value); size > maxRegexpSize {
				return nil, fmt.Errorf("%w: regular expressions too large", store.ErrInvalidRequest)
			}
		}
		m, err := labels.NewMatcher(typ, x.name, x.value)
		if err != nil {
			return nil, fmt.Errorf("%w: matcher on label %q: %w", store.ErrInvalidRequest, x.name, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// maxRegexpSize bounds the regular expressions of a request, in instructions of
// the compiled programs. A person's take hundreds, a dashboard's with ten
// thousand alternatives some hundred thousands; but a few bytes like x{1000} can
// take a thousand, and a message has room for many of them.
const maxRegexpSize = 1 << 20

// regexpSize estimates the instructions that the regular expression takes, from
// above. A small one has its cost too; one that is wrong has none.
func regexpSize(expr string) int {
	const least = 64
	re, err := syntax.Parse(expr, syntax.Perl|syntax.DotNL) // as Prometheus does
	if err != nil {
		return 0
	}
	return least + programSize(re)
}

// programSize relies on the parser's bounds for depth and nested repetition.
func programSize(re *syntax.Regexp) int {
	n := 2 + len(re.Rune) // of a literal, or of the ranges of a class
	for _, sub := range re.Sub {
		n += programSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return n
}

// matchType maps enum LabelMatcher.Type: EQ 0, NEQ 1, RE 2, NRE 3.
func matchType(x int32) (labels.MatchType, bool) {
	switch x {
	case 0:
		return labels.MatchEqual, true
	case 1:
		return labels.MatchNotEqual, true
	case 2:
		return labels.MatchRegexp, true
	case 3:
		return labels.MatchNotRegexp, true
	}
	return 0, false
}

func matchTypeOnWire(t labels.MatchType) int64 {
	switch t {
	case labels.MatchNotEqual:
		return 1
	case labels.MatchRegexp:
		return 2
	case labels.MatchNotRegexp:
		return 3
	}
	return 0
}

func appendMatchers(dst []byte, num protowire.Number, ms []*labels.Matcher) []byte {
	for _, m := range ms {
		dst = appendMessage(dst, num, func(dst []byte) []byte {
			dst = appendInt64(dst, 1, matchTypeOnWire(m.Type))
			dst = appendString(dst, 2, m.Name)
			return appendString(dst, 3, m.Value)
		})
	}
	return dst
}
