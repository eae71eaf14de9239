package indexheader_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/thanoskit/thanoskit/internal/indexheader"
)

func Example() {
	bkt, meta := put(&testing.B{}, exampleIndex())
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	lazy := indexheader.NewPool(bkt, dir, nil).Block(meta)
	h, err := lazy.Acquire(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println("series:", h.SeriesCount())
	for i := range h.Names() {
		values := h.ValuesAt(i)
		fmt.Printf("%s: %d values, %q first, in %d series\n", h.Name(i), values.Len(), values.At(0), values.Postings(0).Count)
	}
	lazy.Release()
	fmt.Println(lazy.Close())
	// Output:
	// series: 102
	// bar: 100 values, "0" first, in 1 series
	// foo: 2 values, "bar" first, in 1 series
	// <nil>
}

func exampleIndex() []byte {
	b, err := os.ReadFile("testdata/index_format_v1/index")
	if err != nil {
		panic(err)
	}
	return b
}
