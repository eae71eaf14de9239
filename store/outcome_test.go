package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/store"
)

func cluster(name string) []labels.Labels {
	return []labels.Labels{labels.FromStrings("cluster", name, "replica", "a"), labels.FromStrings("cluster", name, "replica", "b")}
}

func requires(cluster string) [][]*labels.Matcher {
	return [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "cluster", cluster)}}
}

func TestRequire(t *testing.T) {
	lost, note := errors.New("lost"), fmt.Errorf("%w: metric might not be a counter", annotations.PromQLInfo)
	both := append(cluster("eu"), cluster("us")...)
	for _, tc := range []struct {
		name    string
		members []store.MemberOutcome
		omitted int
		missing []string // members; nil if nothing is
		nobody  bool
	}{
		{name: "nobody at all", nobody: true},
		{name: "nobody with such labels", nobody: true, members: []store.MemberOutcome{
			{Member: "us", LabelSets: cluster("us")}, {Member: "unknown"},
		}},
		{name: "answered and pruned", members: []store.MemberOutcome{
			{Member: "eu", LabelSets: cluster("eu")},
			{Member: "eu history", LabelSets: cluster("eu"), Status: store.Pruned},
			{Member: "us", LabelSets: cluster("us"), Status: store.Failed, Err: lost},
		}},
		{name: "one of two failed", missing: []string{"b"}, members: []store.MemberOutcome{
			{Member: "a", LabelSets: cluster("eu")}, {Member: "b", LabelSets: cluster("eu"), Status: store.TimedOut, Err: lost},
		}},
		{name: "warned", missing: []string{"eu"}, members: []store.MemberOutcome{
			{Member: "eu", LabelSets: cluster("eu"), Warnings: []error{note, lost}},
		}},
		{name: "warned of an expression", members: []store.MemberOutcome{
			{Member: "eu", LabelSets: cluster("eu"), Warnings: []error{note}},
		}},
		{name: "a fan-out of which another part failed", members: []store.MemberOutcome{
			{Member: "q", LabelSets: both, Warnings: []error{lost}},
			{Member: "q/eu", LabelSets: cluster("eu")},
			{Member: "q/us", LabelSets: cluster("us"), Status: store.Failed, Err: lost},
		}},
		{name: "a fan-out of which this part failed", missing: []string{"q/eu"}, members: []store.MemberOutcome{
			{Member: "q", LabelSets: both, Warnings: []error{lost}},
			{Member: "q/eu", LabelSets: cluster("eu"), Status: store.Failed, Err: lost},
			{Member: "q/us", LabelSets: cluster("us")},
		}},
		{name: "a fan-out that does not say what it lost", missing: []string{"q"}, members: []store.MemberOutcome{
			{Member: "q", LabelSets: both, Warnings: []error{lost}},
			{Member: "q/eu", LabelSets: cluster("eu")},
		}},
		{name: "a fan-out that failed itself", missing: []string{"q"}, members: []store.MemberOutcome{
			{Member: "q", LabelSets: both, Status: store.Failed, Err: lost},
			{Member: "q/eu", LabelSets: cluster("eu")},
		}},
		{name: "a fan-out of which a part failed that is not told of", omitted: 1, missing: []string{"q"}, members: []store.MemberOutcome{
			{Member: "q", LabelSets: both, Warnings: []error{lost}},
			{Member: "q/us", LabelSets: cluster("us"), Status: store.Failed, Err: lost},
		}},
		{name: "a fan-out of which parts failed, more of this part perhaps", omitted: 1, missing: []string{"q/eu"}, members: []store.MemberOutcome{
			{Member: "q", LabelSets: both, Warnings: []error{lost}},
			{Member: "q/eu", LabelSets: cluster("eu"), Status: store.Failed, Err: lost},
		}},
		{name: "a fan-out of which another part failed, and of which all that failed is told", omitted: 7, members: []store.MemberOutcome{
			{Member: "q", LabelSets: both, Warnings: []error{lost}},
			{Member: "q/us", LabelSets: cluster("us"), Status: store.Failed, Err: lost},
			{Member: "q/eu", LabelSets: cluster("eu")},
		}},
		{name: "a fan-out that answered and does not tell of this part", omitted: 1, members: []store.MemberOutcome{
			{Member: "q", LabelSets: both},
			{Member: "q/us", LabelSets: cluster("us")},
		}},
		{name: "a fan-out whose labels are not its members'", members: []store.MemberOutcome{
			{Member: "q", LabelSets: cluster("eu")},
			{Member: "q/a", LabelSets: cluster("a")},
		}},
		{name: "a fan-out whose labels are not its members', one of which failed", missing: []string{"q"}, members: []store.MemberOutcome{
			{Member: "q", LabelSets: cluster("eu"), Warnings: []error{lost}},
			{Member: "q/a", LabelSets: cluster("a"), Status: store.Failed, Err: lost},
		}},
		{name: "failed, and may have been it", missing: []string{"q/many"}, members: []store.MemberOutcome{
			{Member: "q", LabelSets: both, Warnings: []error{lost}},
			{Member: "q/eu", LabelSets: cluster("eu")},
			{Member: "q/many", LabelSets: cluster("us"), OmittedLabelSets: 1, Status: store.Failed, Err: lost},
		}},
		{name: "answered, and may have been it", members: []store.MemberOutcome{
			{Member: "q", LabelSets: both},
			{Member: "q/eu", LabelSets: cluster("eu")},
			{Member: "q/many", LabelSets: cluster("us"), OmittedLabelSets: 1},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var o store.Outcome
			o.AddOmitted(tc.omitted)
			for _, m := range tc.members {
				o.AddMember(m)
			}
			err := o.Require(requires("eu"))
			if tc.missing == nil && !tc.nobody {
				testutil.Ok(t, err)
				return
			}
			testutil.Assert(t, errors.Is(err, store.ErrIncomplete))
			testutil.Equals(t, !tc.nobody, errors.Is(err, lost))
			incomplete, ok := errors.AsType[*store.IncompleteError](err)
			testutil.Assert(t, ok)
			var names []string
			for _, m := range incomplete.Members {
				names = append(names, m.Member)
			}
			testutil.Equals(t, tc.missing, names)
		})
	}
}

func ExampleOutcome_Require() {
	var o store.Outcome // of a call
	o.AddMember(store.MemberOutcome{Member: "eu:10901", LabelSets: []labels.Labels{labels.FromStrings("cluster", "eu")}})
	o.AddMember(store.MemberOutcome{
		Member: "us:10901", LabelSets: []labels.Labels{labels.FromStrings("cluster", "us")},
		Status: store.TimedOut, Err: errors.New("wait budget used up"),
	})
	for _, cluster := range []string{"eu", "us", "asia"} {
		fmt.Println(o.Require([][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "cluster", cluster)}}))
	}
	// Output:
	// <nil>
	// incomplete answer: {cluster="us"} is required, but member us:10901 timed out: wait budget used up
	// incomplete answer: {cluster="asia"} is required, but no member has such labels
}
