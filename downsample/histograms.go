package downsample

import "github.com/thanoskit/thanoskit/block"

func (d *Downsampler) rawHistograms(r block.Resolution, chunks []block.Chunk) error { return nil }

func (d *Downsampler) histogramAggregates(r int64, size int, chunks []aggregateChunk) error {
	return nil
}
