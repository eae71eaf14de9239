package downsample_test

import (
	"errors"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
)

// TestZeroThreshold: what Prometheus' code for histograms would never come to an end
// with is an error.
func TestZeroThreshold(t *testing.T) {
	t.Parallel()
	for _, zero := range []float64{math.NaN(), -1} {
		samples := []blocktest.Sample{{T: 1, FH: &histogram.FloatHistogram{Count: 1, ZeroThreshold: 0.1}}, {T: 2, FH: &histogram.FloatHistogram{Count: 2, ZeroThreshold: zero}}}
		var d downsample.Downsampler
		_, err := d.Append(nil, block.Raw, block.FiveMinutes, blocktest.Chunks(0, samples...))
		testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v: %v", zero, err)
	}
}

// FuzzAppend: chunks can hold anything, which is an error that says so, or leads to
// chunks that can be read and downsampled again.
func FuzzAppend(f *testing.F) {
	for _, s := range blocktest.Random(1, &blocktest.RandomOptions{Series: 12, Samples: 60}) {
		f.Add(byte(s.Chunks[0].Encoding), s.Chunks[0].Data, byte(s.Chunks[len(s.Chunks)-1].Encoding), s.Chunks[len(s.Chunks)-1].Data, false)
		a := blocktest.Downsample(block.FiveMinutes, s)[0].Chunks[0]
		f.Add(byte(a.Encoding), a.Data, byte(s.Chunks[0].Encoding), s.Chunks[0].Data, true)
		f.Add(byte(a.Encoding), a.Data, byte(a.Encoding), a.Data, true)
	}
	f.Fuzz(func(t *testing.T, e1 byte, b1 []byte, e2 byte, b2 []byte, aggregates bool) {
		from := block.Raw
		if aggregates {
			from = block.FiveMinutes
		}
		to, _ := downsample.Next(from)
		chunks := []block.Chunk{
			{MinTime: math.MinInt64, MaxTime: -1, Encoding: chunkenc.Encoding(e1), Data: b1},
			{MinTime: 0, MaxTime: 1 << 45, Encoding: chunkenc.Encoding(e2), Data: b2},
		}
		var d downsample.Downsampler
		out, err := d.Append(nil, from, to, chunks)
		if err != nil {
			_, ok := errors.AsType[*downsample.ChunkError](err)
			testutil.Assert(t, ok && (errors.Is(err, block.ErrCorrupt) != errors.Is(err, block.ErrUnsupported)), "%v", err)
			testutil.Equals(t, 0, len(out))
			out, err = d.Append(out, block.Raw, block.FiveMinutes, blocktest.Random(2, &blocktest.RandomOptions{Series: 1})[0].Chunks)
			testutil.Ok(t, err) // what went wrong before does not matter
			testutil.Assert(t, len(out) > 0, "no chunks")
			return
		}
		for _, c := range out {
			testutil.Assert(t, c.MinTime <= c.MaxTime, "[%d, %d]", c.MinTime, c.MaxTime)
			plain, err := c.Plain()
			testutil.Ok(t, err)
			for _, p := range plain {
				if p == nil {
					continue
				}
				it := p.Iterator(nil)
				for it.Next() != chunkenc.ValNone {
				}
				testutil.Ok(t, it.Err())
			}
		}
		if len(out) > 0 && to == block.FiveMinutes {
			if _, err := d.Append(nil, block.FiveMinutes, block.OneHour, out); err != nil {
				_, ok := errors.AsType[*block.SeriesError](err)
				_, okToo := errors.AsType[*downsample.ChunkError](err)
				testutil.Assert(t, ok || okToo, "%v", err)
			}
		}
	})
}
