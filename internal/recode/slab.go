package recode

// Sizes in bytes of the slabs that chunks are cut from: each is twice the one before,
// up to a bound so that a chunk that is kept does not keep much else.
const (
	leastSlab = 1 << 10
	mostSlab  = 64 << 10
)

// slab is where small pieces of memory are cut from. Its own memory is never moved.
type slab struct {
	b    []byte
	used int // bytes kept since reset
}

// keep returns a copy of b.
func (s *slab) keep(b []byte) []byte {
	if len(b) > cap(s.b)-len(s.b) {
		s.b = make([]byte, 0, max(len(b), min(max(2*cap(s.b), leastSlab), mostSlab)))
	}
	s.used += len(b)
	n := len(s.b)
	s.b = append(s.b, b...)
	return s.b[n:len(s.b):len(s.b)]
}

// reset takes back all that was kept. From then on there is one slab with room for
// as much.
func (s *slab) reset() {
	if s.used > cap(s.b) {
		s.b = make([]byte, 0, s.used)
	}
	s.b, s.used = s.b[:0], 0
}
