package bucketstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// group is what the matchers on one label select: the series that have any of
// some values, or all but those.
type group struct {
	name     string
	matchers []*labels.Matcher
	values   indexheader.Values
	runs     valueRuns
	subtract bool
	entries  int64 // In the postings of the values together.

	key     string // In the cache.
	list    list   // The postings, united.
	known   bool   // Whether they are there.
	lazy    bool   // Not fetched: the matchers are tested on the series' labels.
	fetched []list // What list is to be united from.
	sealed  []byte // What they are in.
}

// bytes returns how many bytes the postings of the group take in the index.
func (g *group) bytes() int64 { return 4*g.entries + 12*int64(g.runs.len()) }

// all reports whether the group is the list of all series.
func (g *group) all() bool { return g.name == "" }

// groups returns what matchers select: the series that are in all groups but in
// none of those that subtract. It is false if no series can match. The error is
// the context's.
//
// A series matches if each matcher matches the value of its label, which is empty
// if it has no such label. So a matcher that does not match the empty value wants
// one of the values that it matches; any other one wants none of those that it
// does not match. Matchers on the same label want what each of them wants.
func (x *indexReader) groups(ctx context.Context, ms []*labels.Matcher) ([]*group, bool, error) {
	var out []*group
	base := false
	for i, m := range ms {
		if slices.ContainsFunc(ms[:i], func(o *labels.Matcher) bool { return o.Name == m.Name }) {
			continue
		}
		g, ok, err := x.group(ctx, m.Name, ms[i:])
		if !ok {
			return nil, false, err
		}
		if g == nil {
			continue
		}
		base = base || !g.subtract
		out = append(out, g)
	}
	if !base {
		all := &group{entries: int64(x.header.SeriesCount())}
		if all.entries == 0 {
			return nil, false, nil
		}
		out = append(out, all)
	}
	return out, true, nil
}

// group returns what the matchers on that label select. It is nil if they select
// everything, and false if nothing.
func (x *indexReader) group(ctx context.Context, name string, ms []*labels.Matcher) (*group, bool, error) {
	g := &group{name: name, subtract: true}
	v, has := x.header.Values(name)
	g.values = v
	wanted := valueRuns(nil).add(0, v.Len())
	for _, m := range ms {
		if m.Name != name {
			continue
		}
		g.matchers = append(g.matchers, m)
		if !m.Matches("") {
			g.subtract = false
		}
		if has {
			matching, err := matchValues(ctx, x.matches, v, x.block.id, m)
			if err != nil {
				return nil, false, err
			}
			wanted = wanted.intersect(matching)
		}
	}
	if !g.subtract && len(wanted) == 0 {
		return nil, false, nil
	}
	if g.runs = wanted; g.subtract {
		g.runs = wanted.invert(v.Len())
	}
	for _, r := range g.runs {
		if int(r.hi-r.lo) == v.Len() {
			g.entries = int64(v.Entries())
			break
		}
		for i := r.lo; i < r.hi; i++ {
			g.entries += int64(v.Postings(int(i)).Count)
		}
	}
	// Each series is in the postings of one value of a label at most.
	switch all := g.entries == int64(x.header.SeriesCount()); {
	case g.subtract && all:
		return nil, false, nil
	case len(g.runs) == 0 || all:
		return nil, true, nil
	}
	return g, true, nil
}

// lazyOptions say when postings are not fetched.
type lazyOptions struct {
	// disabled fetches all postings.
	disabled bool
	// kept is the share of series that a matcher is expected to leave. 0 is a half.
	kept float64
}

// plan marks the groups whose postings are not worth fetching: where reading the
// series that they would exclude, to test the matchers on their labels, takes
// fewer bytes. Groups that are in the cache cost nothing. At least one that does
// not subtract is not marked.
func (o lazyOptions) plan(groups []*group, seriesBytes, requestCost int64) {
	if o.disabled || len(groups) < 2 {
		return
	}
	kept := o.kept
	if kept == 0 {
		kept = 0.5
	}
	cost := func(g *group) int64 {
		if g.known {
			return 0
		}
		return g.bytes() + requestCost
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(cost(a), cost(b)), cmp.Compare(a.entries, b.entries))
	})
	base := slices.IndexFunc(groups, func(g *group) bool { return !g.subtract })
	left := float64(groups[base].entries)
	for i, g := range groups {
		if i == base {
			continue
		}
		excluded := left * (1 - kept)
		if g.subtract {
			excluded = min(excluded, float64(g.entries)*(1-kept))
		} else {
			excluded = max(excluded, left-float64(g.entries))
		}
		if float64(cost(g)) > excluded*float64(seriesBytes) {
			g.lazy = true
			continue
		}
		left -= excluded
	}
}
