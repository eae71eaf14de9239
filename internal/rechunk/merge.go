package rechunk

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// Sort sorts raw chunks of one series by time and drops those that say what
// another says.
func Sort(chunks []encoded.Chunk) []encoded.Chunk {
	if len(chunks) < 2 {
		return chunks
	}
	if !slices.IsSortedFunc(chunks, compare) {
		slices.SortFunc(chunks, compare)
	}
	return slices.CompactFunc(chunks, func(a, b encoded.Chunk) bool { return compare(a, b) == 0 })
}

func compare(a, b encoded.Chunk) int {
	if c := cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.MaxTime, b.MaxTime), cmp.Compare(a.Raw.Encoding, b.Raw.Encoding)); c != 0 {
		return c
	}
	return bytes.Compare(a.Raw.Bytes, b.Raw.Bytes)
}

// Merge makes chunks of one series ascend without overlap, which is what readers
// of streamed remote read need. Chunks that overlap none are left as they are;
// stretches of those that do are encoded anew from their samples, merged as
// [Samples] does.
//
// The input is sorted in place. The result is the caller's, but what was left as
// it is shares bytes with the input.
//
// Errors: store.ErrMalformed if a chunk that is to be merged does not decode, and
// *store.EncodingError if it is none that the StoreAPI carries.
func Merge(chunks []encoded.Chunk) ([]encoded.Chunk, error) {
	chunks = Sort(chunks)
	if ascend(chunks) {
		return chunks, nil
	}
	var (
		out     []encoded.Chunk
		samples Samples
		enc     Encoder
	)
	for len(chunks) > 0 {
		n := stretch(chunks)
		if n == 1 {
			out = append(out, chunks[0])
		} else {
			samples.Reset(chunks[:n])
			enc.Reset(0)
			for vt := samples.Next(); vt != chunkenc.ValNone; vt = samples.Next() {
				if err := enc.Sample(vt, &samples); err != nil {
					return nil, err
				}
			}
			if err := samples.Err(); err != nil {
				return nil, err
			}
			out = append(out, enc.Chunks()...)
		}
		chunks = chunks[n:]
	}
	return out, nil
}

// ascend reports whether no sorted chunks overlap.
func ascend(chunks []encoded.Chunk) bool {
	for i := 1; i < len(chunks); i++ {
		if chunks[i].MinTime <= chunks[i-1].MaxTime {
			return false
		}
	}
	return true
}
