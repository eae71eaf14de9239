package parse_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
)

func ExampleMetricSelector() {
	matchers, err := parse.MetricSelector(`up{job="node", instance=~"a.*"}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range matchers {
		fmt.Println(m)
	}
	// Output:
	// job="node"
	// instance=~"a.*"
	// __name__="up"
}

func TestExpr(t *testing.T) {
	t.Parallel()
	expr, err := parse.Expr(`sum by (job) (rate(up{job="a"}[5m]))`)
	testutil.Ok(t, err)
	testutil.Equals(t, `sum by (job) (rate(up{job="a"}[5m]))`, expr.String())

	_, err = parse.Expr(`sum(`)
	var perr parser.ParseErrors
	testutil.Assert(t, errors.As(err, &perr), "got %T: %v", err, err)
}

func texts(ms []*labels.Matcher) []string {
	out := make([]string, 0, len(ms))
	for _, m := range ms {
		out = append(out, m.String())
	}
	return out
}

func TestMetricSelector(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{name: "name", in: `up`, want: []string{`__name__="up"`}},
		{name: "recording rule", in: `job:up:sum`, want: []string{`__name__="job:up:sum"`}},
		{name: "name and matcher", in: `up{job="a"}`, want: []string{`job="a"`, `__name__="up"`}},
		{name: "all operators", in: `{a="1",b!="2",c=~"3.*",d!~"4|5"}`, want: []string{`a="1"`, `b!="2"`, `c=~"3.*"`, `d!~"4|5"`}},
		{name: "everything", in: `{}`, want: []string{}},
		{name: "empty matcher", in: `{a=""}`, want: []string{`a=""`}},
		{name: "trailing comma", in: `{a="1",}`, want: []string{`a="1"`}},
		{name: "white space and comment", in: " up { a = '1' , # here\n b=`2` } # there", want: []string{`a="1"`, `b="2"`, `__name__="up"`}},
		{name: "quoted name", in: `{"http.requests", "a.b"=~"x"}`, want: []string{`__name__="http.requests"`, `"a.b"=~"x"`}},
		{name: "quoted name last", in: `{a="1", "größe"}`, want: []string{`a="1"`, `__name__="größe"`}},
		{name: "keyword as name", in: `sum{by="x"}`, want: []string{`by="x"`, `__name__="sum"`}},
		{name: "keyword as label", in: `{sum="x"}`, want: []string{`sum="x"`}},
		{name: "name twice", in: `up{__name__="down"}`, want: []string{`__name__="down"`, `__name__="up"`}},
		{name: "escapes", in: `{a="\"\u00e4\n"}`, want: []string{`a="\"ä\n"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse.MetricSelector(tc.in)
			testutil.Ok(t, err)
			if d := cmp.Diff(tc.want, texts(got)); d != "" {
				t.Fatalf("matchers differ (-want +got):\n%s", d)
			}
		})
	}
}

func TestMetricSelectorErrors(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, `#`, `{`, `}`, `up{`, `up}`, `{a}`, `{a=}`, `{a="1"`, `{a="1" b="2"}`, `{,}`, `{a="1",,}`, `{a="("`,
		`{a=~"("}`, `{a="\q"}`, `{"\q"}`, `{a=1}`, `{a=b}`, `{1="a"}`, `{a>"1"}`, `{a=="1"}`, `{"a"=}`,
		`up[5m]`, `up offset 5m`, `up @ 5`, `(up)`, `up + up`, `1`, `"up"`, `rate(up[5m])`, `up{a="1"}{b="2"}`, `up "`, `{a="x`, "\xff",
		`{a="b"} c`, `inf`, `nan`, `bool`,
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := parse.MetricSelector(in)
			testutil.NotOk(t, err)
			testutil.Equals(t, 0, len(got))
			var perr parser.ParseErrors
			testutil.Assert(t, errors.As(err, &perr), "got %T: %v", err, err)
			for _, e := range perr {
				pos := e.PositionRange
				testutil.Assert(t, 0 <= pos.Start && pos.Start <= pos.End && int(pos.End) <= len(in)+len("EOF"), "position %v of %q", pos, in)
			}
		})
	}
}

// selectorOf returns the matchers of an expression that is a bare selector: no
// offset, no @ and no parentheses, which a metric selector cannot have.
func selectorOf(in string) ([]*labels.Matcher, bool) {
	lex := parser.Lex(in)
	for {
		var item parser.Item
		lex.NextItem(&item)
		switch item.Typ {
		case parser.EOF:
			expr, err := parse.Expr(in)
			if err != nil {
				return nil, false
			}
			vs, ok := expr.(*parser.VectorSelector)
			if !ok || vs.OriginalOffset != 0 || vs.OriginalOffsetExpr != nil || vs.Anchored || vs.Smoothed {
				return nil, false
			}
			return vs.LabelMatchers, true
		case parser.ERROR, parser.AT, parser.DURATION, parser.LEFT_PAREN, parser.NUMBER:
			return nil, false
		}
	}
}

// FuzzMetricSelector holds the selector parser to the library's expression
// parser wherever the two accept the same language.
func FuzzMetricSelector(f *testing.F) {
	for _, in := range []string{
		`up`, `up{job="a",b!="c",d=~"e.*",f!~"g"}`, `{"http.requests", "a.b"=~"x",}`, `{}`, `{a=""}`, "{a='\\'', b=`\\`} # x", `sum{by="x"}`,
		`up{__name__="down"}`, `up offset 5m`, `(up)`, `up[5m]`, `{a="1"`, `{a=~"("}`, "\xff{", `offset`, `start{}`, `{le="+Inf"}`, `step`, `up smoothed`,
	} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := parse.MetricSelector(in)
		want, isSelector := selectorOf(in)
		if isSelector {
			if err != nil {
				t.Fatalf("parse %q: %v; the expression parser has %v", in, err, texts(want))
			}
			if d := cmp.Diff(texts(want), texts(got)); d != "" {
				t.Fatalf("matchers of %q differ (-want +got):\n%s", in, d)
			}
			return
		}
		if err != nil {
			return
		}
		// What only the selector parser accepts: everything empty, or two names.
		names, empty := 0, true
		for _, m := range got {
			if m.Name == labels.MetricName {
				names++
			}
			empty = empty && m.Matches("")
		}
		if _, exprErr := parse.Expr(in); exprErr != nil && !empty && names < 2 {
			t.Fatalf("parse %q: accepted as %v; the expression parser has %v", in, texts(got), exprErr)
		}
	})
}
