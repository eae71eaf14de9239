package dedup

import "github.com/prometheus/prometheus/tsdb/chunkenc"

var WindowOf = windowOf

// Stepping returns an iterator of Follow that goes on without runs.
func Stepping(it chunkenc.Iterator) chunkenc.Iterator { return stepping{it.(*followIterator)} }

type stepping struct{ *followIterator }

func (it stepping) Next() chunkenc.ValueType {
	it.step()
	return it.vt
}

// HasRun reports whether an iterator of Follow has taken more than a step at once.
func HasRun(it chunkenc.Iterator) bool { return cap(it.(*followIterator).ahead.ts) > 0 }
