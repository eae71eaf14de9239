package store

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Series is the labels of a series and some or all of its chunks.
type Series struct {
	Labels labels.Labels
	// Chunks are best sorted by MinTime; they may overlap and reach out of the
	// requested time range. Empty if the request skips chunks.
	Chunks []Chunk
}

// Chunk is one chunk of a series: raw data, or aggregates of downsampled data.
type Chunk struct {
	// MinTime and MaxTime are in milliseconds, both inclusive. Every sample of
	// the chunk lies between them.
	MinTime, MaxTime int64
	// Raw is the data as scraped; its Encoding is chunkenc.EncNone if there is
	// none.
	Raw ChunkData
	// Aggregated is downsampled data; nil for raw data.
	Aggregated *AggregatedChunk
}

// AggregatedChunk holds the aggregates of downsampled data. Those that were not
// asked for, or that the series has not, have the Encoding chunkenc.EncNone.
type AggregatedChunk struct {
	Count, Sum, Min, Max, Counter ChunkData
}

// ChunkData is the bytes of a Prometheus chunk (tsdb/docs/format/chunks.md),
// without length, encoding byte or checksum.
type ChunkData struct {
	// Encoding is EncXOR, EncHistogram or EncFloatHistogram: what the StoreAPI
	// can carry. EncNone means that there is no data.
	Encoding chunkenc.Encoding
	Bytes    []byte
}

// IsZero reports whether there is no data.
func (d ChunkData) IsZero() bool { return d.Encoding == chunkenc.EncNone }

// Chunk decodes the data far enough to iterate over it. The result shares the
// bytes of d.
//
// Errors: ErrEncoding if the encoding is not one that the StoreAPI carries.
func (d ChunkData) Chunk() (chunkenc.Chunk, error) {
	if err := checkEncoding(d.Encoding); err != nil {
		return nil, err
	}
	return chunkenc.FromData(d.Encoding, d.Bytes)
}

// RawChunk makes a Chunk of a Prometheus chunk whose samples lie between mint
// and maxt, milliseconds, both inclusive. The result shares the bytes of c.
//
// Errors: ErrEncoding if the StoreAPI cannot carry the chunk's encoding.
func RawChunk(mint, maxt int64, c chunkenc.Chunk) (Chunk, error) {
	if err := checkEncoding(c.Encoding()); err != nil {
		return Chunk{}, err
	}
	return Chunk{MinTime: mint, MaxTime: maxt, Raw: ChunkData{Encoding: c.Encoding(), Bytes: c.Bytes()}}, nil
}

func checkEncoding(e chunkenc.Encoding) error {
	switch e {
	case chunkenc.EncXOR, chunkenc.EncHistogram, chunkenc.EncFloatHistogram:
		return nil
	}
	return &EncodingError{Encoding: e}
}
