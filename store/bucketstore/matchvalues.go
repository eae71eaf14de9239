package bucketstore

import (
	"context"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// valueRun is the values of a label from the lo-th to before the hi-th.
type valueRun struct{ lo, hi uint32 }

// valueRuns is some values of a label, ascending; no two valueRuns touch.
type valueRuns []valueRun

// len returns the number of values.
func (rs valueRuns) len() (n int) {
	for _, r := range rs {
		n += int(r.hi - r.lo)
	}
	return n
}

// add adds values after all that are there.
func (rs valueRuns) add(lo, hi int) valueRuns {
	if lo >= hi {
		return rs
	}
	if n := len(rs); n > 0 && rs[n-1].hi == uint32(lo) {
		rs[n-1].hi = uint32(hi)
		return rs
	}
	return append(rs, valueRun{uint32(lo), uint32(hi)})
}

// invert returns the values of n that are not in rs.
func (rs valueRuns) invert(n int) valueRuns {
	var out valueRuns
	at := 0
	for _, r := range rs {
		out = out.add(at, int(r.lo))
		at = int(r.hi)
	}
	return out.add(at, n)
}

// intersect returns the values that are in both.
func (rs valueRuns) intersect(other valueRuns) valueRuns {
	var out valueRuns
	for len(rs) > 0 && len(other) > 0 {
		out = out.add(int(max(rs[0].lo, other[0].lo)), int(min(rs[0].hi, other[0].hi)))
		if rs[0].hi < other[0].hi {
			rs = rs[1:]
		} else {
			other = other[1:]
		}
	}
	return out
}

// matchValues returns the values that match, or the context's error. A regular expression that is no
// list of values is evaluated for each value that begins as it does; the cache
// remembers the result.
func matchValues(ctx context.Context, c *matchCache, v indexheader.Values, id ulid.ULID, m *labels.Matcher) (valueRuns, error) {
	switch m.Type {
	case labels.MatchEqual:
		return findValues(v, []string{m.Value}), nil
	case labels.MatchNotEqual:
		return findValues(v, []string{m.Value}).invert(v.Len()), nil
	}
	rs, err := matchPositive(ctx, c, v, id, m)
	if m.Type == labels.MatchNotRegexp {
		return rs.invert(v.Len()), err
	}
	return rs, err
}

// matchPositive returns the values that the regular expression of m matches,
// whether m wants them or not.
func matchPositive(ctx context.Context, c *matchCache, v indexheader.Values, id ulid.ULID, m *labels.Matcher) (valueRuns, error) {
	switch m.Value {
	case ".*":
		return valueRuns(nil).add(0, v.Len()), nil
	case ".+":
		lo := 0
		if v.Len() > 0 && len(v.At(0)) == 0 {
			lo = 1
		}
		return valueRuns(nil).add(lo, v.Len()), nil
	}
	if set := m.SetMatches(); len(set) > 0 {
		return findValues(v, set), nil
	}
	key := matchKey{id, m.Name, m.Value}
	if rs, ok := c.get(key); ok {
		return rs, nil
	}
	rs, err := scanValues(ctx, v, m)
	if err == nil {
		c.set(key, rs)
	}
	return rs, err
}

// findValues returns those of the values that are there.
func findValues(v indexheader.Values, wanted []string) valueRuns {
	if !slices.IsSorted(wanted) {
		wanted = slices.Sorted(slices.Values(wanted))
	}
	var out valueRuns
	for i, s := range wanted {
		if i > 0 && s == wanted[i-1] {
			continue
		}
		if at, ok := v.Search(s); ok {
			out = out.add(at, at+1)
		}
	}
	return out
}

// scanBytes is how many bytes of values become one string to be matched: matchers
// want strings, and one for each value would be most of what a call allocates.
const scanBytes = 8 << 10

// scanValues evaluates the regular expression of m for each value that has its
// prefix.
func scanValues(ctx context.Context, v indexheader.Values, m *labels.Matcher) (valueRuns, error) {
	lo, hi := 0, v.Len()
	if p := m.Prefix(); p != "" {
		lo, hi = v.Prefixed(p)
	}
	inverted := m.Type == labels.MatchNotRegexp
	var out valueRuns
	var text []byte
	var ends []int
	flush := func(before int) { // The values of text end before that one.
		s, from := string(text), 0
		for i, end := range ends {
			if m.Matches(s[from:end]) != inverted {
				at := before - len(ends) + i
				out = out.add(at, at+1)
			}
			from = end
		}
		text, ends = text[:0], ends[:0]
	}
	for i := lo; i < hi; i++ {
		text = append(text, v.At(i)...)
		ends = append(ends, len(text))
		if len(text) < scanBytes {
			continue
		}
		if flush(i + 1); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	flush(hi)
	return slices.Clip(out), nil
}

// matchKey is a regular expression on a label of a block.
type matchKey struct {
	id          ulid.ULID
	name, value string
}

// matchCache remembers which values of a block's label a regular expression
// matches. A nil one remembers nothing.
//
// Concurrency: safe.
type matchCache struct{ lru lru[matchKey, valueRuns] }

// newMatchCache returns a cache of that many bytes, nil if there are none.
func newMatchCache(bytes int64) *matchCache {
	if bytes <= 0 {
		return nil
	}
	return &matchCache{lru: lru[matchKey, valueRuns]{limit: bytes}}
}

func (c *matchCache) get(k matchKey) (valueRuns, bool) {
	if c == nil {
		return nil, false
	}
	return c.lru.get(k)
}

func (c *matchCache) set(k matchKey, rs valueRuns) {
	if c == nil {
		return
	}
	// The caller's strings may be parts of larger ones.
	k.name, k.value = strings.Clone(k.name), strings.Clone(k.value)
	c.lru.set(k, rs, int64(len(k.name)+len(k.value)+8*len(rs)+lruOverhead))
}
