package bucketstore

import (
	"context"
	"fmt"
	"slices"
)

// postingsGain is how many times fewer bytes postings must take than series
// entries for label values to be found by them: entries are cached.
const postingsGain = 4

// byPostings returns the values that a label has in the series of a block that
// match, if postings alone can tell and take much less to read than the series.
func (c *call) byPostings(ctx context.Context, b choice, name string) (values []string, done bool, err error) {
	err = c.withIndex(ctx, b.block, func(x *indexReader) error {
		of, ok := x.header.Values(name)
		if !ok {
			done = true
			return nil
		}
		refs, rest, err := x.postings(ctx, b.matchers)
		if err != nil {
			return c.blockError(b.block, "select series", err)
		}
		bytes := 4*int64(of.Entries()) + 12*int64(of.Len())
		if len(rest) > 0 || postingsGain*bytes > int64(len(refs))*x.seriesBytes() {
			return nil
		}
		done = true
		if values, err = x.valuesIn(ctx, name, refs); err != nil {
			return c.blockError(b.block, "read labels", err)
		}
		return c.limits.check()
	})
	return values, done, err
}

// valuesIn returns the values of a label whose postings have any of the series at
// these offsets, which ascend. Values ascend.
//
// Errors: *block.CorruptError, those of ranger.fetch.
// Cost: one trip to the bucket for the postings of all values.
func (x *indexReader) valuesIn(ctx context.Context, name string, refs []uint64) ([]string, error) {
	of, _ := x.header.Values(name)
	parts := make([]part, of.Len())
	for i := range parts {
		r := of.Postings(i).Range()
		parts[i] = part{r.Off, r.Size}
	}
	if !slices.IsSortedFunc(parts, func(a, b part) int { return int(a.off - b.off) }) {
		return nil, x.corrupt(fmt.Errorf("postings of label %q are not in order", name))
	}
	var out []string
	unit := x.header.SeriesUnit()
	o := indexObject(x.block.id, kindPostings)
	err := x.ranger.fetch(ctx, o, parts, x.st, func(i int, b []byte) error {
		l, err := parseList(b)
		if err != nil {
			return o.corrupt(fmt.Errorf("postings at %d: %w", parts[i].off, err))
		}
		x.st.touch(kindPostings, int64(len(b)))
		if l.meets(refs, unit) {
			out = append(out, string(of.At(i)))
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

// meets reports whether any of the series at these offsets, which ascend, is in
// the list. It looks for the members of the shorter one in the longer.
func (l list) meets(refs []uint64, unit uint64) bool {
	for i := 0; i < l.len() && len(refs) > 0; i++ {
		at := uint64(l.at(i)) * unit
		n, found := slices.BinarySearch(refs, at)
		if found {
			return true
		}
		if refs = refs[n:]; len(refs) > 0 {
			i = max(l.seek(i, uint32(refs[0]/unit))-1, i)
		}
	}
	return false
}
