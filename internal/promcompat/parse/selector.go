package parse

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/strutil"
)

// parseSelector reads a metric selector from the library's lexer, which is the
// same in every version, with the grammar of its START_METRIC_SELECTOR:
//
//	selector = braces | name [ braces ]
//	braces   = "{" [ matcher { "," matcher } [ "," ] ] "}"
//	matcher  = ( identifier | string ) operator string | string
//
// A string alone is the metric's name, as in {"http.requests", job="x"}.
func parseSelector(input string) ([]*labels.Matcher, error) {
	p := &selectorParser{input: input, lex: parser.Lex(input)}
	p.next()
	return p.selector()
}

type selectorParser struct {
	input string
	lex   *parser.Lexer
	item  parser.Item
}

// next reads the next item that is not a comment into p.item. It is not called
// on an error or on the end of the input, behind which the lexer has nothing.
func (p *selectorParser) next() {
	for {
		p.lex.NextItem(&p.item)
		if p.item.Typ != parser.COMMENT {
			return
		}
	}
}

func (p *selectorParser) selector() ([]*labels.Matcher, error) {
	var (
		matchers []*labels.Matcher
		name     parser.Item
		err      error
	)
	hasName := isMetricIdentifier(p.item.Typ)
	if hasName {
		name = p.item
		p.next()
	}
	switch {
	case p.item.Typ == parser.LEFT_BRACE:
		if matchers, err = p.matchers(); err != nil {
			return nil, err
		}
	case !hasName:
		return nil, p.unexpected("metric name or \"{\"")
	}
	if p.item.Typ != parser.EOF {
		return nil, p.unexpected("end of input")
	}
	if !hasName {
		return matchers, nil
	}
	m, err := labels.NewMatcher(labels.MatchEqual, labels.MetricName, name.Val)
	if err != nil {
		return nil, p.errorAt(name, err)
	}
	return append(matchers, m), nil
}

// matchers reads from the opening brace to behind the closing one.
func (p *selectorParser) matchers() ([]*labels.Matcher, error) {
	matchers := []*labels.Matcher{}
	p.next()
	for p.item.Typ != parser.RIGHT_BRACE {
		m, err := p.matcher()
		if err != nil {
			return nil, err
		}
		matchers = append(matchers, m)
		switch p.item.Typ {
		case parser.COMMA:
			p.next()
		case parser.RIGHT_BRACE:
		default:
			return nil, p.unexpected("\",\" or \"}\"")
		}
	}
	p.next()
	return matchers, nil
}

func (p *selectorParser) matcher() (*labels.Matcher, error) {
	var (
		label = p.item
		name  = label.Val
		err   error
	)
	switch label.Typ {
	case parser.IDENTIFIER:
		p.next()
	case parser.STRING:
		if name, err = p.unquote(); err != nil {
			return nil, err
		}
		if p.item.Typ == parser.COMMA || p.item.Typ == parser.RIGHT_BRACE {
			m, err := labels.NewMatcher(labels.MatchEqual, labels.MetricName, name)
			if err != nil {
				return nil, p.errorAt(label, err)
			}
			return m, nil
		}
	default:
		return nil, p.unexpected("identifier or \"}\"")
	}
	typ, ok := matchTypes(p.item.Typ)
	if !ok {
		return nil, p.unexpected("label matching operator")
	}
	p.next()
	if p.item.Typ != parser.STRING {
		return nil, p.unexpected("string")
	}
	value, err := p.unquote()
	if err != nil {
		return nil, err
	}
	m, err := labels.NewMatcher(typ, name, value)
	if err != nil {
		return nil, p.errorAt(label, err)
	}
	return m, nil
}

// unquote returns the content of the string that p stands on and moves on.
func (p *selectorParser) unquote() (string, error) {
	s, err := strutil.Unquote(p.item.Val)
	if err != nil {
		return "", p.errorAt(p.item, fmt.Errorf("unquote string %s: %w", p.item.Val, err))
	}
	p.next()
	return s, nil
}

// unexpected says what was found where want was wanted; the lexer's own error
// if it had one.
func (p *selectorParser) unexpected(want string) error {
	switch p.item.Typ {
	case parser.ERROR:
		return p.errorAt(p.item, fmt.Errorf("%s", p.item.Val))
	case parser.EOF:
		return p.errorAt(p.item, fmt.Errorf("unexpected end of input, expected %s", want))
	default:
		return p.errorAt(p.item, fmt.Errorf("unexpected %s, expected %s", p.item.String(), want))
	}
}

func (p *selectorParser) errorAt(item parser.Item, err error) error {
	at := posrange.PositionRange{Start: item.Pos, End: item.Pos + posrange.Pos(len(item.Val))}
	if item.Typ == parser.ERROR {
		// Val is a message, not input.
		at.End = posrange.Pos(len(p.input))
	}
	return parser.ParseErrors{{PositionRange: at, Err: err, Query: p.input}}
}

func matchTypes(op parser.ItemType) (labels.MatchType, bool) {
	switch op {
	case parser.EQL:
		return labels.MatchEqual, true
	case parser.NEQ:
		return labels.MatchNotEqual, true
	case parser.EQL_REGEX:
		return labels.MatchRegexp, true
	case parser.NEQ_REGEX:
		return labels.MatchNotRegexp, true
	default:
		return 0, false
	}
}

// isMetricIdentifier reports whether an item may stand as a metric's name: the
// keywords that the grammar lets a metric be called by are among them.
func isMetricIdentifier(typ parser.ItemType) bool {
	switch typ {
	case parser.IDENTIFIER, parser.METRIC_IDENTIFIER,
		parser.AVG, parser.BOTTOMK, parser.BY, parser.COUNT, parser.COUNT_VALUES, parser.GROUP,
		parser.LAND, parser.LOR, parser.LUNLESS, parser.MAX, parser.MIN, parser.OFFSET,
		parser.QUANTILE, parser.STDDEV, parser.STDVAR, parser.SUM, parser.TOPK, parser.WITHOUT,
		parser.START, parser.END, parser.LIMITK, parser.LIMIT_RATIO, parser.STEP,
		parser.ANCHORED, parser.SMOOTHED:
		return true
	default:
		return false
	}
}
