package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
)

func TestHaving(t *testing.T) {
	t.Parallel()
	ms, err := store.Having(map[string][]string{"zone": {"1.b", "1|c", "2"}, "cluster": {"a.*"}})
	testutil.Ok(t, err)
	testutil.Equals(t, 2, len(ms))
	testutil.Equals(t, `cluster="a.*"`, ms[0].String())
	for value, want := range map[string]bool{"1.b": true, "1xb": false, "1|c": true, "1": false, "c": false, "2": true, "22": false, "": false} {
		testutil.Equals(t, want, ms[1].Matches(value), value)
	}
	ms, err = store.Having(nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(ms))
	for want, values := range map[string]map[string][]string{
		`label "": name is empty`:                  {"": {"a"}},
		`label "cluster": there are no values`:     {"cluster": nil},
		`label "cluster": value is empty, which s`: {"cluster": {"a", ""}},
		`label "a": there are no values`:           {"b": nil, "a": {}},
	} {
		_, err := store.Having(values)
		testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest) && strings.Contains(err.Error(), want), "%v", err)
	}
}

func ExampleHaving() {
	ms, err := store.Having(map[string][]string{"cluster": {"eu", "us"}, "env": {"prod"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range ms {
		fmt.Println(m)
	}
	// Output:
	// cluster=~"eu|us"
	// env="prod"
}
