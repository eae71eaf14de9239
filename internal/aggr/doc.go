// Package aggr reads the aggregates of downsampled data: the chunk that holds
// them, a counter that goes on rising through resets and from chunk to chunk, and
// averages from sums and counts.
//
//	var c aggr.Counter
//	for _, chunk := range counterChunks { // in order of time
//		n := c.Floats(chunk.ts, chunk.vs)
//		use(chunk.ts[:n], chunk.vs[:n])
//	}
//
// Floats come as slices of times and values, decoded a chunk at a time;
// histograms sample by sample. The package knows nothing of how aggregates are
// chosen or made.
package aggr
