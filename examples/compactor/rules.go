package main

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/thanoskit/thanoskit/compact"
)

// retentionRules declares a flag for retention by external labels, which may be
// given several times.
func retentionRules(flags *flag.FlagSet, to *[]compact.RetentionRule) {
	const usage = `how long blocks are kept whose external labels match, instead of what is said by the other flags: {tenant="a"} raw=7d 5m=30d 1h=1y, where what is not named is for ever (repeatable; the first that matches counts; not in Thanos)`
	flags.Func("retention.rule", usage, func(s string) error {
		rule, err := parseRule(s)
		if err != nil {
			return err
		}
		*to = append(*to, rule)
		return nil
	})
}

// parseRule parses matchers and durations by resolution.
func parseRule(s string) (rule compact.RetentionRule, err error) {
	end := strings.LastIndexByte(s, '}') + 1
	if rule.Matchers, err = matchers(s[:end]); err != nil {
		return rule, err
	}
	if len(rule.Matchers) == 0 {
		return rule, fmt.Errorf("%q has no matchers", s)
	}
	to := map[string]*time.Duration{"raw": &rule.Raw, "5m": &rule.FiveMinutes, "1h": &rule.OneHour}
	for field := range strings.FieldsSeq(s[end:]) {
		resolution, value, _ := strings.Cut(field, "=")
		d, err := model.ParseDuration(value)
		if to[resolution] == nil || err != nil {
			return rule, fmt.Errorf("%q is not a resolution (raw, 5m, 1h), =, and a duration", field)
		}
		*to[resolution] = time.Duration(d)
	}
	return rule, nil
}
