package store

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
)

// SamplesPerChunk is how many samples Prometheus puts into a chunk of floats.
const SamplesPerChunk = 120

// FloatChunks encodes samples as raw chunks of up to SamplesPerChunk samples.
//
// Input: times in milliseconds, strictly ascending, and as many values.
//
// Errors: if there are not as many values as times, or the times do not ascend.
func FloatChunks(ts []int64, vs []float64) ([]Chunk, error) {
	if len(ts) != len(vs) {
		return nil, fmt.Errorf("encode samples: %d times and %d values", len(ts), len(vs))
	}
	chunks := make([]Chunk, 0, (len(ts)+SamplesPerChunk-1)/SamplesPerChunk)
	for from := 0; from < len(ts); from += SamplesPerChunk {
		to := min(from+SamplesPerChunk, len(ts))
		c := chunkenc.NewXORChunk()
		app, err := promcompat.NewAppender(c)
		if err != nil {
			return nil, err
		}
		for i := from; i < to; i++ {
			if i > 0 && ts[i] <= ts[i-1] {
				return nil, fmt.Errorf("encode samples: time %d follows %d", ts[i], ts[i-1])
			}
			app.Append(ts[i], vs[i])
		}
		chunk, err := RawChunk(ts[from], ts[to-1], c)
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, chunk)
	}
	return chunks, nil
}
