package memstore

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// index finds series by their labels. Each list is in order of addition.
type index struct {
	all      []*series
	byHash   map[uint64][]*series
	postings map[string]map[string][]*series // by name, then value
}

// add adds a series whose labels the index does not have yet.
func (x *index) add(s *series) {
	if x.byHash == nil {
		x.byHash = map[uint64][]*series{}
		x.postings = map[string]map[string][]*series{}
	}
	x.all = append(x.all, s)
	h := s.lset.Hash()
	x.byHash[h] = append(x.byHash[h], s)
	s.lset.Range(func(l labels.Label) {
		values := x.postings[l.Name]
		if values == nil {
			values = map[string][]*series{}
			x.postings[l.Name] = values
		}
		values[l.Value] = append(values[l.Value], s)
	})
}

// get returns the series with exactly these labels, or nil.
func (x *index) get(lset labels.Labels) *series {
	for _, s := range x.byHash[lset.Hash()] {
		if labels.Equal(s.lset, lset) {
			return s
		}
	}
	return nil
}

// checkEvery is the number of series that are looked at between two looks at
// the context.
const checkEvery = 1024

// matching returns the series that match all matchers, in no particular order.
func (x *index) matching(ctx context.Context, ms []*labels.Matcher) ([]*series, error) {
	req := store.SeriesRequest{Matchers: ms}
	var out []*series
	n := 0
	for _, list := range x.candidates(ms) {
		for _, s := range list {
			if n%checkEvery == 0 {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
			}
			n++
			if req.Matches(s.lset) {
				out = append(out, s)
			}
		}
	}
	return out, ctx.Err()
}

// candidates returns disjoint lists of series, among which are all that match:
// those of the matcher that leaves the fewest. A matcher that matches the empty
// value, and so series without the label, cannot be looked up.
func (x *index) candidates(ms []*labels.Matcher) [][]*series {
	best, fewest := [][]*series{x.all}, len(x.all)
	for _, m := range ms {
		if m.Matches("") {
			continue
		}
		if lists, n := x.lookUp(m); n < fewest {
			best, fewest = lists, n
		}
	}
	return best
}

// lookUp returns the lists of all values that match, and how many series are in
// them.
func (x *index) lookUp(m *labels.Matcher) (lists [][]*series, n int) {
	values := x.postings[m.Name]
	if m.Type == labels.MatchEqual {
		list := values[m.Value]
		return [][]*series{list}, len(list)
	}
	for v, list := range values {
		if m.Matches(v) {
			lists = append(lists, list)
			n += len(list)
		}
	}
	return lists, n
}
