package downsample_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
)

// BenchmarkAppend downsamples a series of two days, by what its samples are like.
func BenchmarkAppend(b *testing.B) {
	for _, kind := range []blocktest.Kind{blocktest.Counter, blocktest.Gauge, blocktest.IntHistogram, blocktest.GaugeHistogram} {
		series := blocktest.Random(1, &blocktest.RandomOptions{Series: 1, Samples: 11_520, Jitter: 4, Kinds: []blocktest.Kind{kind}})[0]
		var d downsample.Downsampler
		five, err := d.Append(nil, block.Raw, block.FiveMinutes, series.Chunks)
		if err != nil {
			b.Fatal(err)
		}
		d = downsample.Downsampler{}
		for _, from := range []struct {
			r      block.Resolution
			chunks []block.Chunk
		}{{block.Raw, series.Chunks}, {block.FiveMinutes, five}} {
			to, _ := downsample.Next(from.r)
			b.Run(string(kind)+"/"+to.String(), func(b *testing.B) {
				var out []block.Chunk
				b.ReportAllocs()
				for b.Loop() {
					d.Reset()
					if out, err = d.Append(out[:0], from.r, to, from.chunks); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/11_520, "ns/sample")
			})
		}
	}
}

// BenchmarkBlock downsamples a block of two days of floats.
func BenchmarkBlock(b *testing.B) {
	const series, samples = 200, 11_520
	dir := b.TempDir()
	raw := blocktest.Build(b, dir, nil, blocktest.Random(1, &blocktest.RandomOptions{
		Series: series, Samples: samples, Jitter: 4, Kinds: []blocktest.Kind{blocktest.Counter},
	})...)
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprintf("concurrency=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, err := downsample.Block(b.Context(), raw, dir, block.FiveMinutes, &downsample.Options{Concurrency: n})
				if err != nil {
					b.Fatal(err)
				}
				if err := os.RemoveAll(filepath.Join(dir, m.ULID.String())); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(series*samples), "ns/sample")
		})
	}
}
