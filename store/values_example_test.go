package store_test

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/store"
)

// Chunks that a program has in Prometheus' form are sent as they are.
func ExampleRawChunk() {
	chunks, err := store.FloatChunks([]int64{1000, 2000}, []float64{7, 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := chunks[0].Raw.Chunk() // a chunkenc.Chunk
	if err != nil {
		fmt.Println(err)
		return
	}
	chunk, err := store.RawChunk(1000, 2000, c)
	fmt.Println(chunk.MinTime, chunk.MaxTime, chunk.Raw.Encoding, err)

	_, err = store.RawChunk(0, 0, unknown{c})
	fmt.Println(errors.Is(err, store.ErrEncoding))
	// Output:
	// 1000 2000 XOR <nil>
	// true
}

// unknown is a chunk in an encoding that the StoreAPI does not have.
type unknown struct{ chunkenc.Chunk }

func (unknown) Encoding() chunkenc.Encoding { return 99 }

// What PromQL remarks on an expression says nothing of data that is missing.
func ExampleIsAnnotation() {
	for _, warning := range []error{
		annotations.PossibleNonCounterInfo,
		&store.Error{Store: "eu", Op: "series", Err: store.ErrUnavailable},
	} {
		fmt.Println(store.IsAnnotation(warning), errors.Is(warning, store.ErrUnavailable))
	}
	// Output:
	// true false
	// false true
}
