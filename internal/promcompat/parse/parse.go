package parse

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// ErrUnknownParser is returned when parser.NewParser has none of the signatures
// that this package knows.
var ErrUnknownParser = errors.New("PromQL parser has an unknown signature")

// The parsers that parser.NewParser returns: until v0.310 one per input, from
// v0.311 on one per set of options.
type (
	inputParser interface {
		ParseExpr() (parser.Expr, error)
		Close()
	}
	optionsParser interface {
		ParseExpr(input string) (parser.Expr, error)
		ParseMetricSelector(input string) ([]*labels.Matcher, error)
	}
)

// Expr parses a PromQL expression with the default options of the linked
// parser.
//
// Errors: parser.ParseErrors with positions for input that does not parse;
// ErrUnknownParser.
func Expr(input string) (parser.Expr, error) {
	switch p := newParser(input).(type) {
	case inputParser:
		defer p.Close()
		return p.ParseExpr()
	case optionsParser:
		return p.ParseExpr(input)
	default:
		return nil, unknownParser()
	}
}

// MetricSelector parses an instant vector selector without modifiers, such
// as up{job="x"}, into its matchers in the order written, the metric name last.
// It accepts selectors that match everything, such as {}. With an error there
// are no matchers.
//
// Errors: parser.ParseErrors with positions for input that does not parse;
// ErrUnknownParser.
func MetricSelector(input string) ([]*labels.Matcher, error) {
	switch p := newParser(input).(type) {
	case inputParser:
		// Beside this parser stands a function for selectors, which became a
		// method of the other one: no code can name it in both versions.
		p.Close()
		return parseSelector(input)
	case optionsParser:
		// It returns what it had read before an error.
		matchers, err := p.ParseMetricSelector(input)
		if err != nil {
			return nil, err
		}
		return matchers, nil
	default:
		return nil, unknownParser()
	}
}

// newParser calls parser.NewParser with input or with zero options, whichever
// it takes, and returns nil when it takes neither.
func newParser(input string) any {
	fn := reflect.ValueOf(parser.NewParser)
	typ := fn.Type()
	if typ.NumIn() == 0 || typ.NumOut() != 1 {
		return nil
	}
	switch in := typ.In(0); {
	case in.Kind() == reflect.String && typ.NumIn() == 2 && typ.IsVariadic():
		return fn.Call([]reflect.Value{reflect.ValueOf(input)})[0].Interface()
	case in.Kind() == reflect.Struct && typ.NumIn() == 1:
		return fn.Call([]reflect.Value{reflect.Zero(in)})[0].Interface()
	default:
		return nil
	}
}

func unknownParser() error {
	return fmt.Errorf("call parser.NewParser, a %s: %w", reflect.TypeOf(parser.NewParser), ErrUnknownParser)
}
