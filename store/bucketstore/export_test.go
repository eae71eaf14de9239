package bucketstore

// Poison overwrites the memory of pages when they are given up, so that whoever
// still looks at it gets nonsense.
func Poison(s *Store) {
	s.pages.onFree = func(pg *page) {
		for i, b := 0, pg.mem[:cap(pg.mem)]; i < len(b); i++ {
			b[i] = 0xa5
		}
	}
}
