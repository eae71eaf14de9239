package program

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
)

// Prefer is a selector of replicas that come before others.
type Prefer struct {
	name     string
	matchers []*labels.Matcher
}

// NewPrefer declares the flag.
func NewPrefer(flags *flag.FlagSet, name, usage string) *Prefer {
	p := &Prefer{name: name}
	flags.Func(name, usage, func(s string) (err error) {
		if p.matchers = nil; strings.TrimSpace(s) != "" {
			p.matchers, err = parse.MetricSelector(s)
		}
		return err
	})
	return p
}

// Among returns the matchers, nil if there are none.
//
// Errors: if none is on a replica label, which another flag names: then all replicas
// are the same to them.
func (p *Prefer) Among(replicaLabels []string, flag string) ([]*labels.Matcher, error) {
	isReplica := func(m *labels.Matcher) bool { return slices.Contains(replicaLabels, m.Name) }
	switch {
	case len(p.matchers) == 0:
		return nil, nil
	case !slices.ContainsFunc(p.matchers, isReplica):
		return nil, fmt.Errorf("--%s=%s: none of its labels is a --%s", p.name, selectorOf(p.matchers), flag)
	}
	return p.matchers, nil
}

func selectorOf(ms []*labels.Matcher) string {
	text := make([]string, 0, len(ms))
	for _, m := range ms {
		text = append(text, m.String())
	}
	return "{" + strings.Join(text, ",") + "}"
}
