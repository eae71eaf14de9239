package bucketstore

import "sync/atomic"

// Poison overwrites the memory of pages when they are given up, so that whoever
// still looks at it gets nonsense.
func Poison(s *Store) {
	s.pages.onFree = func(pg *page) {
		for i, b := 0, pg.mem[:cap(pg.mem)]; i < len(b); i++ {
			b[i] = 0xa5
		}
	}
}

// CountPages returns how many pages have been given up, from now on.
func CountPages(s *Store) *atomic.Int64 {
	var n atomic.Int64
	before := s.pages.onFree
	s.pages.onFree = func(pg *page) {
		n.Add(1)
		if before != nil {
			before(pg)
		}
	}
	return &n
}
