package main

import (
	"context"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// writeDownsampled writes a block of one downsampled series. like gives the
// block's ULID; the rest of its meta.json is made anew.
func writeDownsampled(ctx context.Context, dir string, like *tsdb.BlockMeta, external labels.Labels, d storetest.Downsampled) (block string, err error) {
	block = filepath.Join(dir, like.ULID.String())
	chunksDir := filepath.Join(block, "chunks")
	if err := os.MkdirAll(chunksDir, 0o777); err != nil { //nolint:gosec // As Prometheus makes blocks: the umask decides.
		return "", err
	}
	metas, samples := aggregates(d.Series.Chunks)
	cw, err := chunks.NewWriter(chunksDir)
	if err != nil {
		return "", err
	}
	err = cw.WriteChunks(metas...)
	errcapture.Do(&err, cw.Close, "close chunks")
	if err != nil {
		return "", err
	}
	if err := writeIndex(ctx, filepath.Join(block, "index"), d.Series.Labels, metas); err != nil {
		return "", err
	}
	first, last := metas[0], metas[len(metas)-1]
	meta := &tsdb.BlockMeta{
		ULID: like.ULID, Version: like.Version,
		MinTime: first.MinTime - d.Resolution.Milliseconds() + 1, // where the first window begins
		MaxTime: last.MaxTime + 1,
		Stats:   tsdb.BlockStats{NumSeries: 1, NumChunks: uint64(len(metas)), NumSamples: samples},
	}
	meta.Compaction.Level = 1
	meta.Compaction.Sources = append(meta.Compaction.Sources, like.ULID)
	return block, writeMeta(block, meta, external, d.Resolution)
}

// writeIndex writes the index of one series.
func writeIndex(ctx context.Context, path string, lset labels.Labels, metas []chunks.Meta) (err error) {
	w, err := index.NewWriter(ctx, path)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, w.Close, "close index")
	symbols := map[string]bool{}
	lset.Range(func(l labels.Label) { symbols[l.Name], symbols[l.Value] = true, true })
	for _, s := range slices.Sorted(maps.Keys(symbols)) {
		if err := w.AddSymbol(s); err != nil {
			return err
		}
	}
	return w.AddSeries(0, lset, metas...)
}

// aggregates returns chunks as a block has them, and the number of samples that
// they stand for.
func aggregates(cs []store.Chunk) (metas []chunks.Meta, samples uint64) {
	for _, c := range cs {
		a := c.Aggregated
		metas = append(metas, chunks.Meta{MinTime: c.MinTime, MaxTime: c.MaxTime, Chunk: aggregateChunk{data: encode(a)}})
		if len(a.Count.Bytes) >= 2 {
			samples += uint64(binary.BigEndian.Uint16(a.Count.Bytes))
		}
	}
	return metas, samples
}

// encode encodes an aggregated chunk as blocks have it: of each aggregate, in
// this order, its length, its encoding and its bytes; of one that is not there,
// the length 0.
//
// Source: Thanos' pkg/compact/downsample/aggr.go.
func encode(a *store.AggregatedChunk) []byte {
	var b []byte
	for _, d := range []store.ChunkData{a.Count, a.Sum, a.Min, a.Max, a.Counter} {
		b = binary.AppendUvarint(b, uint64(len(d.Bytes)))
		if len(d.Bytes) > 0 {
			b = append(append(b, byte(d.Encoding)), d.Bytes...)
		}
	}
	return b
}

// aggregateChunk is an aggregated chunk for a chunks.Writer, which asks it for
// nothing but its encoding and bytes.
type aggregateChunk struct {
	chunkenc.Chunk // nil

	data []byte
}

// encAggregates is the encoding of aggregated chunks in blocks.
const encAggregates chunkenc.Encoding = 0xff

func (c aggregateChunk) Bytes() []byte               { return c.data }
func (c aggregateChunk) Encoding() chunkenc.Encoding { return encAggregates }
