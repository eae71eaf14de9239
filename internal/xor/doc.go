// Package xor decodes and encodes whole XOR chunks at once, from and into slices of
// times and values, where chunkenc goes sample by sample through an interface.
//
//	ts, vs, err := xor.Decode(chunk, math.MaxInt64, ts[:0], vs[:0])
//	chunk = xor.Encode(chunk[:0], ts, vs)
//
// It reads exactly what chunkenc reads and writes the same bytes: fuzz tests
// compare the two. Iterator is for who needs a chunkenc.Iterator. The package
// knows nothing of histograms.
package xor
