package dedup

import "slices"

// Tracks splits the chunks of one series, those of all its replicas in one list,
// into tracks of which none has chunks that overlap: the replicas, if each of
// them has chunks without gaps, or what comes closest to them once the labels
// that told them apart are gone. A track may hold chunks of several replicas.
//
// Each chunk goes to the first track that ends before the chunk begins, or else
// to a new one, so the order of chunks with equal start decides who goes where.
//
// Input: chunks ascend by minTime. span gives a chunk's range in ms, both
// inclusive; chunks that share one millisecond overlap.
// Output: the tracks in the order in which they were begun, with their chunks in
// the order given. All chunks are in exactly one track. No chunks make no
// track. The tracks hold copies of the elements, but where nothing overlaps the
// only track is chunks itself.
// Cost: two passes, each of as many comparisons as there are chunks times
// tracks; two allocations up to eight tracks, one if nothing overlaps.
// Source: Thanos v0.42.4, pkg/dedup/iter.go, NewOverlapSplit.
func Tracks[C any](chunks []C, span func(*C) (minTime, maxTime int64)) [][]C {
	if len(chunks) == 0 {
		return nil
	}
	// Chunks are dealt out twice: to count those of each track, then to copy.
	var endsBuf [8]int64
	var sizesBuf [8]int
	ends, sizes := endsBuf[:0], sizesBuf[:0]
	var n int
	for i := range chunks {
		minTime, maxTime := span(&chunks[i])
		if ends, n = deal(ends, minTime, maxTime); n == len(sizes) {
			sizes = append(sizes, 0)
		}
		sizes[n]++
	}
	if len(sizes) == 1 {
		return [][]C{slices.Clip(chunks)}
	}

	tracks := make([][]C, len(sizes))
	room := make([]C, len(chunks))
	for n, size := range sizes {
		tracks[n], room = room[:0:size], room[size:]
	}
	ends = ends[:0]
	for i := range chunks {
		minTime, maxTime := span(&chunks[i])
		ends, n = deal(ends, minTime, maxTime)
		tracks[n] = append(tracks[n], chunks[i])
	}
	return tracks
}

// deal finds the first track that ends before minTime, or adds one, makes it end
// at maxTime and returns its index. ends holds the end of each track.
func deal(ends []int64, minTime, maxTime int64) ([]int64, int) {
	for n, end := range ends {
		if end < minTime {
			ends[n] = maxTime
			return ends, n
		}
	}
	return append(ends, maxTime), len(ends)
}
