package store

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Having returns the matchers of series that have labels of these names, each with
// one of its values: {"cluster": {"eu", "us"}} is cluster=~"eu|us", whatever
// characters the values are made of. It is for [WithAllowed] and [WithServed], from
// configurations.
//
// Input: names and values are not empty, and each name has values; there may be no
// names, which is all series.
// Output: the matchers, by name.
// Errors: all that is wrong, joined, as ErrInvalidRequest.
func Having(values map[string][]string) ([]*labels.Matcher, error) {
	var out []*labels.Matcher
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		m, err := having(name, values[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: label %q: %w", ErrInvalidRequest, name, err))
			continue
		}
		out = append(out, m)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

func having(name string, values []string) (*labels.Matcher, error) {
	switch {
	case name == "":
		return nil, errors.New("name is empty")
	case len(values) == 0:
		return nil, errors.New("there are no values")
	case slices.Contains(values, ""):
		return nil, errors.New("value is empty, which series without the label have")
	case len(values) == 1:
		return labels.NewMatcher(labels.MatchEqual, name, values[0])
	}
	quoted := make([]string, 0, len(values))
	for _, v := range values {
		quoted = append(quoted, regexp.QuoteMeta(v))
	}
	return labels.NewMatcher(labels.MatchRegexp, name, strings.Join(quoted, "|"))
}
