package query

import "slices"

// openAll opens a chunk of floats that may overlap with others, of which all samples
// count: up to where the one after it begins.
func (it *iterator) openAll(c *chunk) bool {
	if len(it.rest.ts) == 0 {
		if !it.decode(&it.buf, c.data, it.track.series.sel.maxTime, c) {
			return false
		}
	} else {
		if !it.decode(&it.counts, c.data, it.track.series.sel.maxTime, c) {
			return false
		}
		it.buf.union(&it.rest, &it.counts)
		it.rest.reset()
	}
	n := len(it.buf.ts)
	if it.next < len(it.track.chunks) {
		n, _ = slices.BinarySearch(it.buf.ts, it.track.chunks[it.next].minTime)
	}
	it.rest.ts, it.rest.vs = append(it.rest.ts, it.buf.ts[n:]...), append(it.rest.vs, it.buf.vs[n:]...)
	return it.emit(it.buf.ts[:n], it.buf.vs[:n])
}

func (s *samples) reset() { s.ts, s.vs = s.ts[:0], s.vs[:0] }

// union makes s what is in a or b, in order; of samples at the same time a's.
func (s *samples) union(a, b *samples) {
	s.reset()
	i, k := 0, 0
	for i < len(a.ts) && k < len(b.ts) {
		switch {
		case a.ts[i] <= b.ts[k]:
			if a.ts[i] == b.ts[k] {
				k++
			}
			s.ts, s.vs = append(s.ts, a.ts[i]), append(s.vs, a.vs[i])
			i++
		default:
			s.ts, s.vs = append(s.ts, b.ts[k]), append(s.vs, b.vs[k])
			k++
		}
	}
	s.ts, s.vs = append(s.ts, a.ts[i:]...), append(s.vs, a.vs[i:]...)
	s.ts, s.vs = append(s.ts, b.ts[k:]...), append(s.vs, b.vs[k:]...)
}
