// Package rechunk encodes samples to the chunks that the StoreAPI carries:
// floats, native histograms with integer and with float counts, one encoding
// per chunk and at most store.SamplesPerChunk samples in each.
//
//	var e rechunk.Encoder
//	e.Reset(0)
//	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
//		if err := e.Sample(vt, it); err != nil {
//			return err
//		}
//	}
//	chunks := e.Chunks()
//
// It also merges what overlaps: see [Merge].
package rechunk
