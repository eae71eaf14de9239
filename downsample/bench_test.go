package downsample_test

import (
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
