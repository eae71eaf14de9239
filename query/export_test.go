package query

// Order sorts label sets in canonical form, and returns where each was.
func Order(keys [][]byte) (was []int32) {
	parts := make([]part, len(keys))
	for i, k := range keys {
		parts[i] = part{key: k, replica: int32(i)}
	}
	order(parts)
	for i := range parts {
		was = append(was, parts[i].replica)
	}
	return was
}
