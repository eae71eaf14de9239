package deduptest

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Replica holds the samples of one replica in ascending order of time. It is a
// replica that any dedup.Algorithm can merge, and stays unchanged by that.
type Replica []Sample

// Iterator implements chunkenc.Iterable.
//
// Output: an iterator that keeps to the contract of chunkenc.Iterator by the
// letter: a value read as another type than it has panics, and so does one read
// where there is no sample. AtT gives math.MinInt64 there, since Thanos asks.
// Histograms are new at each reading, unless the caller gives one to overwrite.
func (r Replica) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it, ok := reuse.(*replicaIterator)
	if !ok {
		it = &replicaIterator{}
	}
	it.samples, it.i = r, -1
	return it
}

type replicaIterator struct {
	samples []Sample
	i       int // -1 before the first sample, len(samples) after the last.
}

// Next implements chunkenc.Iterator.
func (it *replicaIterator) Next() chunkenc.ValueType {
	it.i = min(it.i+1, len(it.samples))
	return it.at().Type
}

// Seek implements chunkenc.Iterator.
func (it *replicaIterator) Seek(t int64) chunkenc.ValueType {
	it.i = max(it.i, 0)
	for it.i < len(it.samples) && it.samples[it.i].T < t {
		it.i++
	}
	return it.at().Type
}

// at is the current sample, the zero one where there is none.
func (it *replicaIterator) at() Sample {
	if it.i < 0 || it.i >= len(it.samples) {
		return Sample{}
	}
	return it.samples[it.i]
}

// At implements chunkenc.Iterator.
func (it *replicaIterator) At() (int64, float64) {
	s := it.at()
	if s.Type != chunkenc.ValFloat {
		panic(it.misread("a float")) //nolint:forbidigo // A test fails with it; the interface has no error.
	}
	return s.T, s.V
}

// AtHistogram implements chunkenc.Iterator.
func (it *replicaIterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	s := it.at()
	if s.Type != chunkenc.ValHistogram {
		panic(it.misread("a histogram")) //nolint:forbidigo // As above.
	}
	if h == nil {
		return s.T, s.intHistogram()
	}
	s.intHistogram().CopyTo(h)
	return s.T, h
}

// AtFloatHistogram implements chunkenc.Iterator.
func (it *replicaIterator) AtFloatHistogram(fh *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	s := it.at()
	if s.Type != chunkenc.ValHistogram && s.Type != chunkenc.ValFloatHistogram {
		panic(it.misread("a float histogram")) //nolint:forbidigo // As above.
	}
	return s.T, s.intHistogram().ToFloat(fh)
}

func (it *replicaIterator) misread(as string) string {
	return fmt.Sprintf("sample %d of %d, type %s, read as %s", it.i, len(it.samples), it.at().Type, as)
}

// AtT implements chunkenc.Iterator.
func (it *replicaIterator) AtT() int64 {
	if s := it.at(); s.Type != chunkenc.ValNone {
		return s.T
	}
	return math.MinInt64
}

// AtST returns 0: replicas have no start timestamps.
func (it *replicaIterator) AtST() int64 { return 0 }

// Err implements chunkenc.Iterator.
func (it *replicaIterator) Err() error { return nil }

// Runs returns the same replica with iterators that are a dedup.FloatRunner. A
// run has at most so many samples, and at least one. What it consists of is
// overwritten as soon as it may no longer be read.
func (r Replica) Runs(length int) chunkenc.Iterable {
	return runs{samples: r, length: max(length, 1)}
}

type runs struct {
	samples Replica
	length  int
}

// Iterator implements chunkenc.Iterable.
func (r runs) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return &runIterator{replicaIterator: replicaIterator{samples: r.samples, i: -1}, length: r.length}
}

type runIterator struct {
	replicaIterator
	length int
	ts     []int64
	vs     []float64
}

// Next implements chunkenc.Iterator.
func (it *runIterator) Next() chunkenc.ValueType {
	it.spoil()
	return it.replicaIterator.Next()
}

// Seek implements chunkenc.Iterator.
func (it *runIterator) Seek(t int64) chunkenc.ValueType {
	it.spoil()
	return it.replicaIterator.Seek(t)
}

func (it *runIterator) spoil() {
	for i := range it.ts {
		it.ts[i], it.vs[i] = math.MinInt64, math.Inf(-1)
	}
}

// FloatRun implements dedup.FloatRunner.
func (it *runIterator) FloatRun() ([]int64, []float64) {
	it.ts, it.vs = nil, nil
	for {
		t, v := it.At()
		it.ts, it.vs = append(it.ts, t), append(it.vs, v)
		if len(it.ts) == it.length || it.i+1 == len(it.samples) || it.samples[it.i+1].Type != chunkenc.ValFloat {
			return it.ts, it.vs
		}
		it.i++
	}
}

// Step is one movement of an iterator. The zero Step is a call of Next.
type Step struct {
	Seek bool
	To   int64 // Argument of Seek in ms.
}

// String returns the step as it stands in a timeline.
func (s Step) String() string {
	if s.Seek {
		return "seek=" + formatTime(s.To)
	}
	return "next"
}

// Walk takes the steps, then goes on with Next, and returns the sample after
// each of them. A step that finds no sample is the last.
//
// Errors: that of the iterator, along with what was read until then.
func Walk(it chunkenc.Iterator, steps ...Step) ([]Sample, error) {
	var out []Sample
	for i := 0; ; i++ {
		var vt chunkenc.ValueType
		if i < len(steps) && steps[i].Seek {
			vt = it.Seek(steps[i].To)
		} else {
			vt = it.Next()
		}
		switch vt {
		case chunkenc.ValFloat:
			t, v := it.At()
			out = append(out, Sample{T: t, Type: vt, V: v})
		case chunkenc.ValHistogram:
			out = append(out, readHistogram(it.AtHistogram(nil)))
		case chunkenc.ValFloatHistogram:
			out = append(out, readFloatHistogram(it.AtFloatHistogram(nil)))
		default:
			return out, it.Err()
		}
		if s := &out[len(out)-1]; it.AtT() != s.T {
			return out, fmt.Errorf("read sample %s: AtT says %s", s, formatTime(it.AtT()))
		}
	}
}
