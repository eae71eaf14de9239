// Package recode makes the chunks of a block from samples, as Prometheus does, and
// opens chunks that were made elsewhere, without trusting them.
//
//	var e recode.Encoder
//	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
//		if err := e.Sample(vt, it); err != nil {
//			return err
//		}
//	}
//	chunks := e.Chunks()
//
// It knows the three encodings of samples; aggregates are package aggr's.
package recode
