package dedupratio_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/xor"
	"github.com/thanoskit/thanoskit/store"
)

const (
	start        = int64(1_700_000_000_000)
	interval     = int64(15_000)
	chunkSamples = 120
)

// sample is one that was scraped.
type sample struct {
	t int64
	v float64
}

// chunk is a piece of a replica, XOR encoded.
type chunk struct {
	minTime, maxTime int64
	data             []byte
}

// replica is what one Prometheus scraped of a series.
type replica struct {
	samples []sample
	chunks  []chunk
}

// scrape makes a replica of a counter: scraped every 15 s for so long, so many ms
// after the first one, with jitter of 0 to 4 ms. The first chunk has fewer samples
// by so many.
func scrape(tb testing.TB, series uint64, offset int64, length time.Duration, fewer int) *replica {
	tb.Helper()
	// What is counted is the same for all replicas: requests, some hundreds between
	// two scrapes, by second.
	rng := rand.New(rand.NewPCG(series, 1))
	rate := 1 + rng.IntN(40)
	seconds := make([]float64, int(length/time.Second)+60)
	sum := float64(rng.IntN(1_000_000))
	for i := range seconds {
		seconds[i] = sum
		sum += float64(rng.IntN(rate))
	}
	jitter := rand.New(rand.NewPCG(series, uint64(offset)+2))
	r := &replica{}
	for at := offset; at < length.Milliseconds(); at += interval {
		t := at + jitter.Int64N(5)
		r.samples = append(r.samples, sample{start + t, seconds[t/1000]})
	}
	var ts []int64
	var vs []float64
	for i, s := range r.samples {
		ts, vs = append(ts, s.t), append(vs, s.v)
		if len(ts) == chunkSamples || len(r.chunks) == 0 && len(ts) == chunkSamples-fewer || i == len(r.samples)-1 {
			r.chunks = append(r.chunks, chunk{ts[0], s.t, xor.Encode(nil, ts, vs)})
			ts, vs = ts[:0], vs[:0]
		}
	}
	return r
}

// data is replicas of some series.
type data struct {
	series  [][]*replica
	samples int // of all
}

// scrapeAll makes so many series with a replica for each offset.
func scrapeAll(tb testing.TB, series int, length time.Duration, offsets []int64, fewer int) *data {
	tb.Helper()
	d := &data{}
	for i := range series {
		var rs []*replica
		for j, offset := range offsets {
			r := scrape(tb, uint64(i), offset, length, j*fewer)
			d.samples += len(r.samples)
			rs = append(rs, r)
		}
		d.series = append(d.series, rs)
	}
	return d
}

// Iterator goes through the chunks of the replica and decodes each at once, as
// package query does.
func (r *replica) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it, ok := reuse.(*decoder)
	if !ok {
		it = &decoder{Iterator: chunkenc.NewNopIterator()}
	}
	it.chunks, it.ts, it.vs, it.pos, it.err = r.chunks, it.ts[:0], it.vs[:0], -1, nil
	return it
}

// decoder is a dedup.FloatRunner. It counts the samples that it decoded.
type decoder struct {
	chunkenc.Iterator
	chunks  []chunk
	ts      []int64
	vs      []float64
	pos     int
	decoded int
	err     error
}

func (it *decoder) Next() chunkenc.ValueType {
	if it.pos++; it.pos < len(it.ts) {
		return chunkenc.ValFloat
	}
	if len(it.chunks) == 0 || it.err != nil {
		it.pos = len(it.ts)
		return chunkenc.ValNone
	}
	it.ts, it.vs, it.err = xor.Decode(it.chunks[0].data, math.MaxInt64, it.ts[:0], it.vs[:0])
	it.chunks, it.pos = it.chunks[1:], -1
	it.decoded += len(it.ts)
	return it.Next()
}

func (it *decoder) Seek(t int64) chunkenc.ValueType {
	for it.pos < 0 || it.pos == len(it.ts) || it.ts[it.pos] < t {
		if it.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return chunkenc.ValFloat
}

func (it *decoder) At() (int64, float64) { return it.ts[it.pos], it.vs[it.pos] }
func (it *decoder) AtT() int64           { return it.ts[it.pos] }
func (it *decoder) Err() error           { return it.err }

func (it *decoder) FloatRun() ([]int64, []float64) {
	from := it.pos
	it.pos = len(it.ts) - 1
	return it.ts[from:], it.vs[from:]
}

func labelsOf(series int) labels.Labels {
	return labels.FromStrings("__name__", "http_requests_total", "cluster", "prod-eu-west-1", "instance", fmt.Sprintf("10.0.%03d.%03d:9090", series/250, series%250), "job", "api")
}

// members are the series as a Store has them, each replica with its label.
type members []*store.Series

func newMembers(d *data) (m members) {
	for i, rs := range d.series {
		for j, r := range rs {
			s := &store.Series{Labels: labels.NewBuilder(labelsOf(i)).Set("replica", fmt.Sprint(j)).Labels()}
			for _, c := range r.chunks {
				s.Chunks = append(s.Chunks, store.Chunk{MinTime: c.minTime, MaxTime: c.maxTime, Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: c.data}})
			}
			m = append(m, s)
		}
	}
	return m
}

// Series implements store.Store.
func (m members) Series(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	for _, s := range m {
		if err := w.Send(&store.Series{Labels: s.Labels, Chunks: slices.Clone(s.Chunks)}); err != nil {
			return err
		}
	}
	return nil
}

// inOrder returns the chunks of all replicas of a series by time, as Thanos' proxy
// hands them on.
func inOrder(rs []*replica) (out []chunk) {
	for _, r := range rs {
		out = append(out, r.chunks...)
	}
	slices.SortStableFunc(out, func(a, b chunk) int {
		return cmp.Or(cmp.Compare(a.minTime, b.minTime), cmp.Compare(a.maxTime, b.maxTime))
	})
	return out
}

// walk reads an iterator to its end.
func walk(tb testing.TB, it chunkenc.Iterator) (out []sample) {
	tb.Helper()
	for it.Next() != chunkenc.ValNone {
		t, v := it.At()
		out = append(out, sample{t, v})
	}
	testutil.Ok(tb, it.Err())
	return out
}

// drain reads an iterator to its end and keeps nothing.
func drain(it chunkenc.Iterator) (n int) {
	for it.Next() != chunkenc.ValNone {
		it.At()
		n++
	}
	return n
}

// requireSame says where samples differ.
func requireSame(tb testing.TB, want, got []sample) {
	tb.Helper()
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			tb.Fatalf("sample %d of %d is %v, want %v", i, len(got), got[i], want[i])
		}
	}
	testutil.Equals(tb, len(want), len(got))
}
