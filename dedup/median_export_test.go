package dedup

// Median is that of the first distances in a window, of which there are up to five.
func Median(distances ...int64) int64 {
	var p presence
	p.n = copy(p.distances[:], distances)
	return p.median()
}
