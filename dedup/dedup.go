package dedup

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Algorithm merges the replicas of one series into one sequence of samples.
//
// An Algorithm has no state of its own, so one value serves queries and
// compaction, and any number of goroutines. It knows nothing of labels, stores
// or blocks: a replica is whatever can be iterated, a storage.Series and a
// chunkenc.Chunk among others.
type Algorithm interface {
	// Merge returns an iterator over the merged samples.
	//
	// Input: replicas hold samples of the same series in ascending order of
	// time (ms), floats and native histograms mixed as they come. Their order
	// matters to an algorithm that prefers one replica in a tie, so the caller
	// keeps it stable. Merge opens each of them at most once at a time and may
	// do so before it returns. values says what the caller knows of the
	// samples. reuse may be nil or any iterator that the caller gives up; one
	// that the same Algorithm returned earlier saves all allocations, those of
	// the replicas' iterators included.
	//
	// Output: never nil. It obeys the contract of chunkenc.Iterator, belongs to
	// the caller until passed as reuse, and reads from the replicas, which must
	// stay valid as long. Given no replica it is empty, given one it may be
	// that replica's own iterator.
	//
	// Errors: a replica that ends with an error makes the iterator's Err not
	// nil once it is exhausted.
	//
	// Concurrency: Merge is safe for concurrent use, the iterator is not.
	Merge(reuse chunkenc.Iterator, values Values, replicas ...chunkenc.Iterable) chunkenc.Iterator
}

// FloatRunner is an optional ability of a replica's iterator that has floats in
// memory, as one that decodes a chunk at a time does. An Algorithm finds it by
// type assertion and then reads those floats without a call for each.
type FloatRunner interface {
	// FloatRun returns the sample that the iterator is on, a float, and as many
	// after it as are at hand: times in ms, ascending, and values, both of the
	// same length, at least one. It moves the iterator to the last of them.
	//
	// It is called only directly after Next or Seek returned chunkenc.ValFloat.
	// The caller reads the slices only, and only until it calls Next or Seek
	// again. Samples that have a start timestamp are in no run.
	FloatRun() (ts []int64, vs []float64)
}

// Credited is an optional ability of a replica's iterator: to be told how many of
// its samples come out, for a caller that tells which replica served what. Follow
// finds it by type assertion. A lone replica is not told, as all of its samples
// come out.
type Credited interface {
	// Credit says that n more of the iterator's samples come out. It may be called
	// when they are merged, which is some samples before they are returned.
	Credit(n int)
}

// Values says what a caller knows about the values of a series. It is an
// argument because nothing that an Algorithm sees tells it: a metric's name, or
// the PromQL function around it, is only a hint.
type Values uint8

const (
	// Untyped values may go up and down. They are never altered.
	Untyped Values = iota
	// Counters only go down when the counter was reset. An algorithm may raise
	// float values at a switch of replica, lest a replica that lags behind the
	// other look like a reset.
	Counters
)

// String returns "untyped" or "counters".
func (v Values) String() string {
	switch v {
	case Untyped:
		return "untyped"
	case Counters:
		return "counters"
	default:
		return fmt.Sprintf("Values(%d)", uint8(v))
	}
}

// Parse returns the algorithm of that name: "follow", or "penalty" or "chain", the
// values of Thanos' --deduplication.func.
//
// Errors: *UnknownAlgorithmError for any other name. The empty one is among
// them: it means penalty to Thanos' querier and chain to its compactor, so what
// it means is for the program to say.
func Parse(name string) (Algorithm, error) {
	switch name {
	case followName:
		return Follow{}, nil
	case penaltyName:
		return Penalty{}, nil
	case chainName:
		return Chain{}, nil
	default:
		return nil, &UnknownAlgorithmError{Name: name}
	}
}

// ByValue returns Follow{}, Chain{} or Penalty{} for a pointer to one, and any other
// algorithm as it is, nil included. It is for those who treat some of them in a way of
// their own, as ChunkMerger and package query do: a pointer is the same algorithm.
func ByValue(alg Algorithm) Algorithm {
	switch alg.(type) {
	case *Follow:
		return Follow{}
	case *Chain:
		return Chain{}
	case *Penalty:
		return Penalty{}
	}
	return alg
}

// UnknownAlgorithmError is returned by Parse for a name that is none of its
// algorithms'.
type UnknownAlgorithmError struct {
	Name string // As given to Parse.
}

// Error implements error.
func (e *UnknownAlgorithmError) Error() string {
	return fmt.Sprintf("parse deduplication algorithm %q: unknown name, want %q, %q or %q", e.Name, followName, penaltyName, chainName)
}
