package block

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Versions of meta.json that are understood.
const (
	metaVersion   = 1
	thanosVersion = 1 // 0, as before Thanos had versions, is the same.
)

// Meta is what meta.json says about a block: that of the Prometheus TSDB, and
// Thanos' section.
//
// Encode writes the bytes that Thanos v0.42.4 writes for the same contents.
// Fields that are not here are lost by decoding and encoding; Replicate copies
// bytes.
//
// Concurrency: reading is safe. A Meta from a Fetcher is shared and must not be
// changed: change a Clone.
type Meta struct {
	ULID ulid.ULID `json:"ulid"`
	// MinTime and MaxTime are in ms and half-open: samples are at or after
	// MinTime and before MaxTime.
	MinTime    int64      `json:"minTime"`
	MaxTime    int64      `json:"maxTime"`
	Stats      Stats      `json:"stats"`
	Compaction Compaction `json:"compaction"`
	// Version is 1.
	Version int    `json:"version"`
	Thanos  Thanos `json:"thanos"`
}

// Stats counts what is in a block.
type Stats struct {
	NumSamples          uint64 `json:"numSamples,omitempty"`
	NumFloatSamples     uint64 `json:"numFloatSamples,omitempty"`
	NumHistogramSamples uint64 `json:"numHistogramSamples,omitempty"`
	NumSeries           uint64 `json:"numSeries,omitempty"`
	NumChunks           uint64 `json:"numChunks,omitempty"`
	NumTombstones       uint64 `json:"numTombstones,omitempty"`
}

// Compaction is what a block was made of.
type Compaction struct {
	// Level is 1 for a block that was cut from a head, and one more than its
	// highest parent's for any other.
	Level int `json:"level"`
	// Sources are the blocks of level 1 that are in this one, ascending; its own
	// ULID if it is one.
	Sources []ulid.ULID `json:"sources,omitempty"`
	// Deletable says that a compaction left nothing of it.
	Deletable bool `json:"deletable,omitempty"`
	// Parents are the blocks that this one was made of directly.
	Parents []Parent `json:"parents,omitempty"`
	// Failed says that a compaction of it failed.
	Failed bool `json:"failed,omitempty"`
	// Hints are "from-out-of-order" and the like.
	Hints []string `json:"hints,omitempty"`
}

// Parent names a block that another one was made of. Its range is half-open, ms.
type Parent struct {
	ULID    ulid.ULID `json:"ulid"`
	MinTime int64     `json:"minTime"`
	MaxTime int64     `json:"maxTime"`
}

// SourceType says which component made a block.
type SourceType string

// The components that make blocks.
const (
	SourceUnknown         SourceType = ""
	SourceSidecar         SourceType = "sidecar"
	SourceReceive         SourceType = "receive"
	SourceCompactor       SourceType = "compactor"
	SourceCompactorRepair SourceType = "compactor.repair"
	SourceRuler           SourceType = "ruler"
	SourceBucketRepair    SourceType = "bucket.repair"
	SourceBucketRewrite   SourceType = "bucket.rewrite"
	SourceBucketUpload    SourceType = "bucket.upload"
	SourceTest            SourceType = "test"
)

// Thanos is Thanos' section of meta.json.
type Thanos struct {
	// Version is 1, or 0 for the same.
	Version int `json:"version,omitempty"`
	// Labels are the external labels.
	Labels     map[string]string `json:"labels"`
	Downsample Downsample        `json:"downsample"`
	Source     SourceType        `json:"source"`
	// SegmentFiles are the names below chunks/, in the order of chunk references.
	// Files has replaced it, but it is what Thanos goes by where it is there.
	SegmentFiles []string `json:"segment_files,omitempty"`
	// Files are the block's files, sorted by path; meta.json among them has no
	// size. It may be missing.
	Files    []File    `json:"files,omitempty"`
	Rewrites []Rewrite `json:"rewrites,omitempty"`
	// IndexStats is 0 in blocks from before there was such a thing.
	IndexStats IndexStats `json:"index_stats"`
	// Extensions is any JSON, kept as it is but for blanks, and nil for none.
	Extensions json.RawMessage `json:"extensions,omitempty"`
	// UploadTime is when meta.json was uploaded, and zero before that.
	UploadTime time.Time `json:"upload_time"`
}

// Downsample says how dense samples are.
type Downsample struct {
	Resolution Resolution `json:"resolution"`
}

// File describes one file of a block.
type File struct {
	// RelPath is relative to the block, with slashes.
	RelPath string `json:"rel_path"`
	// SizeBytes is 0 if it is not known.
	SizeBytes int64 `json:"size_bytes,omitempty"`
	// Hash is nil if none was made.
	Hash *Hash `json:"hash,omitempty"`
}

// IndexStats says how much a reader had better fetch of an index or a segment to
// have a whole entry. It is no bound: by Thanos' reckoning neither the last series
// counts, nor the last two chunks of each series.
type IndexStats struct {
	// SeriesMaxSize is the bytes of the largest series entry, with what is before
	// the next one.
	SeriesMaxSize int64 `json:"series_max_size,omitempty"`
	// ChunkMaxSize is the bytes of the largest chunk, with what is before the next
	// one of its series.
	ChunkMaxSize int64 `json:"chunk_max_size,omitempty"`
}

// HashFunc names a hash function.
type HashFunc string

// The hash functions that Thanos knows.
const (
	HashNone   HashFunc = ""
	HashSHA256 HashFunc = "SHA256"
)

// Hash is a file's hash.
type Hash struct {
	Func HashFunc `json:"hashFunc"`
	// Value is hexadecimal, in lower case.
	Value string `json:"value"`
}

// Labels returns the external labels. A label with an empty value is none.
func (m *Meta) Labels() labels.Labels {
	b := labels.NewScratchBuilder(0)
	for name, value := range m.Thanos.Labels {
		if value != "" {
			b.Add(name, value)
		}
	}
	b.Sort()
	return b.Labels()
}

// Resolution returns the distance of samples, 0 for raw ones.
func (m *Meta) Resolution() Resolution { return m.Thanos.Downsample.Resolution }

// String returns ULID, range, resolution and level.
func (m *Meta) String() string {
	return fmt.Sprintf("%s [%d, %d) %s level %d", m.ULID, m.MinTime, m.MaxTime, m.Resolution(), m.Compaction.Level)
}

// Encode returns the bytes of meta.json, indented by tabs as Thanos and
// Prometheus do.
//
// Errors: Extensions that are no JSON, an UploadTime that RFC 3339 cannot say.
func (m *Meta) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "\t")
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("encode meta.json of block %s: %w", m.ULID, err)
	}
	return b.Bytes(), nil
}
