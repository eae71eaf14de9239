package dedup

// Decoded returns how many chunks were decoded since it was last called.
func (m *ChunkMerger) Decoded() int {
	n := m.decoded
	m.decoded = 0
	return n
}

// DecodeAll has nothing passed on undecoded.
func (m *ChunkMerger) DecodeAll() { m.decodeAll = true }
