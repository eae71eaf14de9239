package block_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// benchSeries has many series of 4 chunks and 11 labels, as of machines.
func benchSeries(n int) []block.Series {
	chunked := blocktest.Random(1, &blocktest.RandomOptions{Series: 1, Kinds: []blocktest.Kind{blocktest.Counter}})[0].Chunks
	out := make([]block.Series, n)
	for i := range out {
		ls := []string{"__name__", fmt.Sprintf("metric_%03d", i%200), "instance", fmt.Sprintf("10.0.%d.%d:9100", i/200/256, i/200%256)}
		for l := range 9 {
			ls = append(ls, fmt.Sprintf("label_%d", l), fmt.Sprintf("value_%d", (i>>l)%20))
		}
		out[i] = block.Series{Labels: labels.FromStrings(ls...), Chunks: chunked}
	}
	return out
}

const benchCount = 20_000

func perSeries(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/series")
}

// BenchmarkRead reads all series of a block and the bytes of their chunks: as
// references, as labels, and as Prometheus does.
func BenchmarkRead(b *testing.B) {
	dir := blocktest.Build(b, b.TempDir(), nil, benchSeries(benchCount)...)
	r, err := block.Open(dir)
	testutil.Ok(b, err)
	defer func() { testutil.Ok(b, r.Close()) }()
	b.Run("refs", func(b *testing.B) {
		b.ReportAllocs()
		var cs []block.Chunk
		for b.Loop() {
			it := r.Series()
			for it.Next() {
				if cs, err = r.AppendChunks(cs[:0], it.Chunks()); err != nil {
					b.Fatal(err)
				}
			}
			testutil.Ok(b, it.Err())
		}
		perSeries(b, benchCount)
	})
	b.Run("labels", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, err := range r.All(context.Background()) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		perSeries(b, benchCount)
	})
	b.Run("tsdb", func(b *testing.B) {
		ir, err := index.NewFileReader(filepath.Join(dir, "index"), index.DecodePostingsRaw)
		testutil.Ok(b, err)
		defer func() { testutil.Ok(b, ir.Close()) }()
		cr, err := chunks.NewDirReader(filepath.Join(dir, "chunks"), nil)
		testutil.Ok(b, err)
		defer func() { testutil.Ok(b, cr.Close()) }()
		b.ReportAllocs()
		for b.Loop() {
			p, err := ir.Postings(context.Background(), "", "")
			testutil.Ok(b, err)
			sb := labels.NewScratchBuilder(0)
			var metas []chunks.Meta
			for p.Next() {
				if err := ir.Series(p.At(), &sb, &metas); err != nil {
					b.Fatal(err)
				}
				_ = sb.Labels()
				for _, m := range metas {
					c, _, err := cr.ChunkOrIterable(m)
					if err != nil {
						b.Fatal(err)
					}
					_ = c
				}
			}
		}
		perSeries(b, benchCount)
	})
}

// BenchmarkWrite writes a block: from labels, by references with chunks copied,
// and as Prometheus does.
func BenchmarkWrite(b *testing.B) {
	series := benchSeries(benchCount)
	dir := blocktest.Build(b, b.TempDir(), nil, series...)
	r, err := block.Open(dir)
	testutil.Ok(b, err)
	defer func() { testutil.Ok(b, r.Close()) }()
	b.Run("labels", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, err := block.WriteBlock(b.TempDir(), &block.Meta{ULID: newID(i + 1)}, series, nil)
			testutil.Ok(b, err)
		}
		perSeries(b, benchCount)
	})
	b.Run("copy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			copyBlock(b, r, b.TempDir(), nil)
		}
		perSeries(b, benchCount)
	})
	b.Run("tsdb", func(b *testing.B) {
		syms := symbols(series)
		metas := make([][]chunks.Meta, len(series))
		for i, s := range series {
			for _, c := range s.Chunks {
				chunk, err := chunkenc.FromData(c.Encoding, c.Data)
				testutil.Ok(b, err)
				metas[i] = append(metas[i], chunks.Meta{MinTime: c.MinTime, MaxTime: c.MaxTime, Chunk: chunk})
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			dir := b.TempDir()
			iw, err := index.NewWriter(context.Background(), filepath.Join(dir, "index"))
			testutil.Ok(b, err)
			cw, err := chunks.NewWriter(filepath.Join(dir, "chunks"))
			testutil.Ok(b, err)
			for _, s := range syms {
				testutil.Ok(b, iw.AddSymbol(s))
			}
			for i, s := range series {
				if err := cw.WriteChunks(metas[i]...); err != nil {
					b.Fatal(err)
				}
				if err := iw.AddSeries(storage.SeriesRef(i), s.Labels, metas[i]...); err != nil {
					b.Fatal(err)
				}
			}
			testutil.Ok(b, cw.Close())
			testutil.Ok(b, iw.Close())
		}
		perSeries(b, benchCount)
	})
}
