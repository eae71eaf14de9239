// Package xor decodes whole XOR chunks at once, into slices of times and
// values, where chunkenc's iterator goes sample by sample through an interface.
//
//	ts, vs, err := xor.Decode(chunk, math.MaxInt64, ts[:0], vs[:0])
//
// It reads exactly what chunkenc reads: a fuzz test compares the two. It does
// not encode, and knows nothing of histograms.
package xor
